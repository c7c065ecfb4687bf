"""What a step does to the weights besides Adam: nothing, or what no gradient can, such as decoupled weight decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bayesreg.guides import Guide

Rate = Any  # the learning rate of the step: a float, or on a GPU a tensor of one number


class Update:
    """A change of the weights, in place, before or after Adam's step; under a guide that is a point, such as delta.

    It is given views of the tensors that it `claims`. `before` runs when the gradient is computed, but not yet used.
    """

    name: str

    def claims(self, name: str, parameter: Tensor) -> bool:
        """Whether it changes that parameter of the network: tensors of two or more dimensions, as on="weights"."""
        return parameter.dim() >= 2

    def check_guide(self, guide: Guide) -> None:
        """Raise ValueError under a guide that trains more than a point for a weight."""
        if not (guide.point or guide.trains_point):
            raise ValueError(
                f"{self.name} changes weights that are points, and the guide '{guide}' has distributions over them: "
                "use the guide delta, or a prior"
            )

    def check_rate(self, lr: float) -> None:
        """Raise ValueError where the initial learning rate is too large for it."""

    def before(self, weights: list[Tensor], lr: Rate) -> None:
        """Before Adam's step."""

    def after(self, weights: list[Tensor], lr: Rate, divisors: Callable[[], list[Tensor]]) -> None:
        """After Adam's step. divisors: what it has divided the mean gradient by, √v̂ + ε, as new tensors."""

    def penalty(self, weights: list[Tensor]) -> Tensor | None:
        """What it minimises besides the objective, a scalar in nats per datum, or None."""
        return None


class Bound:
    """An update of given weights: (weight, its second moment in Adam, its rate or None), views of flat vectors."""

    def __init__(
        self, update: Update, optimiser: torch.optim.Optimizer, parts: list[tuple[Tensor, Tensor, Tensor | None]]
    ) -> None:
        self.update, self.optimiser = update, optimiser
        self.weights, self.squares, self.rates = map(list, zip(*parts, strict=True))
        self.names = [] if update.penalty(self.weights) is None else [update.name]

    def before(self, terms: Tensor) -> Tensor:
        """Before Adam's step; returns the terms of the objective, and the penalty after them where there is one."""
        penalty = self.update.penalty(self.weights)
        self.update.before(self.weights, self._lr)
        return terms if penalty is None else torch.cat([terms, penalty[None]])

    def after(self) -> None:
        """After Adam's step."""
        self.update.after(self.weights, self._lr, self._divisors)

    @property
    def _lr(self) -> Rate:
        return self.optimiser.param_groups[0]["lr"]

    def _divisors(self) -> list[Tensor]:
        """√v̂ + ε over the squared rates: one for the gradient with respect to p / rate, one for the step."""
        b2, epsilon = self.optimiser.defaults["betas"][1], self.optimiser.defaults["eps"]
        seen = 1 - b2 ** next(iter(self.optimiser.state.values()))["step"].double()
        made = []
        for square, rate in zip(self.squares, self.rates, strict=True):
            root = square.sqrt().mul_(seen.rsqrt()).add_(epsilon)
            made.append(root if rate is None else root.div_(rate**2))
        return made
