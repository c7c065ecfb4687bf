"""Has a fit converged? By going on from where it ended, for a moment and without the noise of batches.

The learning rate falls to 0, so every loss is flat in the end, and much of its last fall is noise that fades. What
tells is the gradient g of the whole objective at the end: Adam, at its first learning rate, would go S · lr · g / √v in
an epoch of S steps. Parts of that way are gone one after the other, smaller ones where the objective rises, until the
steep directions are done; what it falls by in the last, over the part that this was of an epoch, is what is left.

Tried on 84 fits of five small tables by 300 to 3,000 steps, each beside the same fit by three times as many: of the 52
that this gained more than 0.05 nats it names 50, of the 32 that it gained less than 0.03 nine, most of them short.

A fit of a few hundred steps, or one beside which all this would take long, is judged by its history alone: Adam's way
from the middle of training to its end, by the half cosine of the rate, is as long as that of 0.09 E epochs at the first
rate.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bayesreg import schedule
from bayesreg.datasets import Dataset
from bayesreg.device import random_state_kept
from bayesreg.step import Step

log = logging.getLogger(__name__)

NEGLIGIBLE = 0.3  # nats per datum at that pace over as many epochs again, or those of the default schedule
TRIALS = 8  # parts of an epoch's way, each over two sets of batches
FIRST, SMALLER = 1 / 4, 1 / 4  # the first part, and how much smaller the next is where the objective rises
SHARE = 400  # one step in so many of the fit's is made again in each trial,
CHEAP = 5e8  # or as many as these floating-point operations are worth
DEAR = 1 / 3  # of the fit's steps: the history tells where the trials would compute more gradients
WAY = 0.09  # of the epochs


@dataclass(frozen=True)
class Convergence:
    """What the loss would still fall by: `fall`, nats per datum an epoch, ± `error`.

    epochs: those of the fit; horizon: over how many more the fall is judged, as many again or the default's.
    """

    fall: float
    error: float
    epochs: int
    horizon: int

    @property
    def converged(self) -> bool:
        """Whether more epochs would gain little, or no more than chance explains; False where nothing is known."""
        return self.fall * self.horizon <= NEGLIGIBLE or self.fall <= 2 * self.error

    def record(self) -> dict[str, Any]:
        """Of a run: the judgement, its numbers and its words."""
        return {"converged": self.converged, "fall": self.fall, "error": self.error, "message": str(self)}

    def say(self) -> None:
        """Into the log: a warning where the fit has not converged."""
        log.log(logging.INFO if self.converged else logging.WARNING, "%s", self)

    def __str__(self) -> str:
        if self.converged:
            return "converged: the loss was no longer falling"
        epochs = f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        if math.isnan(self.fall):
            return f"not known to have converged: {epochs}, and it takes 3 to tell; train for more"
        return (
            f"not converged: the loss was still falling by {self.fall:.2g} nats an epoch after {epochs}; "
            "train for more epochs, or with a higher learning rate"
        )


def judge(
    step: Step,
    train: Dataset,
    batch_size: int,
    losses: list[float],
    work: float,
    augment: Callable[[Tensor], Tensor] | None = None,
) -> Convergence:
    """The judgement of a fit that `step` has made; parameters, buffers and random state stay as they are.

    losses: the mean of each epoch.

    The gradient is a mean over some batches, and the objective that over others, each with draws of its own, so that
    what is only noise of the one is none in the other. work: floating-point operations of a forward pass on a batch.
    """
    epochs, size, an_epoch = len(losses), len(train), math.ceil(len(train) / batch_size)
    horizon = max(epochs, schedule.epochs(size, batch_size))
    number = min(an_epoch, max(1, epochs * an_epoch // SHARE, int(CHEAP // max(1.0, work))))
    if step.is_short or (2 * TRIALS + 1) * number > DEAR * step.steps:
        return Convergence(*_by_history(losses), epochs, horizon)

    def over(seed: int, measure: Callable[[Iterator[tuple[Tensor, Tensor]]], Any]) -> Any:
        torch.manual_seed(seed)
        batches = itertools.cycle(torch.randperm(size).to(train.y.device).split(batch_size))
        some = itertools.islice(batches, math.ceil(number / cycle) * cycle)
        return measure((augment(train.x[b]) if augment else train.x[b], train.y[b]) for b in some)

    cycle, part, rate, gradient = step.cycle, FIRST, torch.zeros(1, dtype=torch.float64), None
    with step.model.buffers_kept(), random_state_kept(train.y.device):
        paces, end = step.paces(), step.clone()
        before, weights = over(1, step.losses)
        for _ in range(TRIALS):
            here = step.clone()
            gradient = gradient or over(0, step.mean_gradient)
            for parameter, g, pace in zip(step.parameters, gradient, paces, strict=True):
                parameter -= (part * an_epoch * pace * g).to(parameter.dtype)
            after = over(1, step.losses)[0]
            if (weights * after).sum() < (weights * before).sum():
                rate, before, gradient = (before - after) / part, after, None
            else:
                step.put(here)
                part *= SMALLER
        step.put(end)
    sampled = max(0.0, 1 - number / an_epoch)  # nothing is left to chance where all batches are there
    error = math.sqrt(sampled / len(rate)) * float(rate.std(correction=0))
    return Convergence(float((weights * rate).sum()), error, epochs, horizon)


def _by_history(losses: list[float]) -> tuple[float, float]:
    """What the loss fell by an epoch at the first rate, middle to end, and the error; NaN below 3 epochs."""
    epochs = len(losses)
    if epochs < 3:
        return math.nan, math.nan
    tenth = max(1, round(epochs / 10))
    first = (epochs - tenth) // 2
    middle, end = (np.array(part) for part in (losses[first : first + tenth], losses[-tenth:]))
    error = math.sqrt((middle.var() + end.var()) / tenth)
    return float(middle.mean() - end.mean()) / (WAY * epochs), error / (WAY * epochs)
