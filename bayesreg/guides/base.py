"""What a guide is: the contract of everything that infers q(θ)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from pyro.infer.autoguide import AutoGuide
from torch import Tensor

from bayesreg import memory, schedule
from bayesreg.guides.batchnorm import reestimate
from bayesreg.model import Model, Parameters
from bayesreg.structure import X

if TYPE_CHECKING:
    from bayesreg.datasets import Dataset
    from bayesreg.posterior import Posterior

MOST = 0.5  # of training, such as a warm-up: the rest is on the true ELBO


@dataclass(frozen=True)
class Guide:
    """How a posterior q(θ) is inferred. A hook that is not overridden does what suits a guide of Pyro's.

    A fit calls `check`, then `train`, in which `create` makes q, Adam moves its parameters along the gradient of
    −ELBO / N, and `finish` does what is left to do. The posterior then calls `centre`, `draws` and `outputs`, and
    `restore` rebuilds q from a file.

    A class is one family of q, a frozen dataclass whose fields are its options, numbers or words with defaults: so
    guides are equal by value, picklable, and read from text. name: in GUIDES and in a method, "l2@normal". aliases:
    its other names in the field. point: q is a single θ, so that one draw is all of it. trains_point: training moves a
    single θ, which an `Update` can change, whatever q is made of it. markov: its draws are those of Markov chains,
    which q holds as `chains`. copies: how many numbers training holds for each unknown; smaller: what would take less.
    rewinds: whether early stopping may go back to an earlier epoch, since nothing of q is made of the last ones alone.
    line: how the lines of its methods are drawn; None: as for the prior alone.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    point: ClassVar[bool] = False
    trains_point: ClassVar[bool] = False
    markov: ClassVar[bool] = False
    copies: ClassVar[int] = 8
    smaller: ClassVar[str] = ""
    rewinds: ClassVar[bool] = True
    line: ClassVar[Any] = (0, (1, 4))

    # --- Its text, and its record ---

    @classmethod
    def parse(cls, options: str) -> Self:
        """The guide from its options as text, "init_scale=0.1". ValueError for an unknown or invalid one."""
        known: dict[str, Any] = {field.name: type(field.default) for field in fields(cls)}
        given = dict(part.strip().partition("=")[::2] for part in options.split(","))
        try:
            return cls(**{name.strip(): known[name.strip()](value) for name, value in given.items()})
        except KeyError as error:
            raise ValueError(
                f"the guide {cls.name} has no option {error}: {', '.join(known) or 'it has none'}"
            ) from None
        except ValueError as error:
            raise ValueError(f"{cls.name}:{options}: {error}") from None

    @property
    def text(self) -> str:
        """Its name, with the options that are not the defaults, as in "normal:init_scale=0.1"."""
        own = self.options()
        changed = [f"{field.name}={own[field.name]}" for field in fields(self) if own[field.name] != field.default]
        return ":".join([self.name, ",".join(changed)] if changed else [self.name])

    def __str__(self) -> str:
        return self.text

    def options(self) -> dict[str, Any]:
        """Its options by name, in values that a file can hold."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def record(self) -> dict[str, Any]:
        """What, besides its name, determines the result of a fit."""
        return self.options()

    # --- Before training ---

    def check(self, model: Model) -> None:
        """Raise ValueError, with the reason and the remedy, where it has no meaning for the model, or no room."""
        need, have = self.memory(model), max(memory.total())
        if need > have:
            size = sum(map(math.prod, _shapes(model).values()))
            raise ValueError(
                f"the guide {self} of {size:,} unknowns needs {need / 2**30:,.1f} GB in training, and there are "
                f"{have / 2**30:,.1f}: take {self.smaller}a smaller network, or the guide delta"
            )

    def memory(self, model: Model) -> int:
        """Bytes that training holds for q, about: its parameters, their gradient, and Adam's two moments of it."""
        size = next(model.net.parameters()).element_size()
        return self.copies * size * sum(map(math.prod, _shapes(model).values()))

    def create(self, model: Model) -> AutoGuide:
        """q(θ) of the model's latents, with all its parameters, at the network's own weights: see `at_own_weights`."""
        raise NotImplementedError

    # --- Training ---

    @property
    def warm_up(self) -> float:
        """The share of training in which the weight of the KL term rises from 0 to 1; 0: it is 1 from the start."""
        return 0.0

    def pace(self, done: int, steps: int) -> float:
        """What the learning rate is multiplied by after `done` of all `steps`."""
        return schedule.half_cosine(done, steps)

    def train(self, once: partial[Posterior]) -> Posterior:
        """Train by one fit, `once()`, or make one posterior of several: `once(seed=1)` overrides options.

        once.keywords: the options it was given. A fit with stays=True leaves its complete checkpoint behind.
        """
        return once()

    def collect(self, q: Any, done: float) -> None:
        """At the end of an epoch, by which that share of training is done: what q keeps of it, in its buffers."""

    def finish(self, posterior: Posterior, train: Dataset) -> None:
        """What is done in place after the last step of training, with all its data on the device.

        The statistics of BatchNorm are estimated again, unless q is a point.
        """
        if not self.point:
            reestimate(posterior, train)

    # --- The posterior ---

    def centre(self, q: Any) -> Parameters:
        """The one θ, by site, that stands for q: its median."""
        return q.median()

    def draws(self, q: Any, number: int) -> Parameters:
        """Draws from PyTorch's random state, by site, [number, ...]; only one, [1, ...], from a point."""
        if self.point:
            return {site: value.detach()[None] for site, value in self.centre(q).items()}
        return stacked([q() for _ in range(number)])

    def outputs(self, posterior: Posterior, theta: Parameters, x: X) -> Tensor:
        """f [B, ...] at one draw of θ, by name, for x [B, ...]: the network's, in its present mode."""
        return posterior.model.outputs(theta, x)

    def restore(self, model: Model, state: dict[str, Tensor]) -> AutoGuide:
        """The q whose state dict is `state`, whatever `finish` has made of it."""
        q = self.create(model)
        q.load_state_dict(state)
        return q


def stacked(each: Sequence[Parameters]) -> Parameters:
    """By name, [number, ...], of so many of the same names."""
    return {name: torch.stack([one[name] for one in each]) for name in each[0]}


def positive(guide: Guide, *names: str, most: float = math.inf) -> None:
    """Raise ValueError unless these options are numbers above 0, finite and at most `most`."""
    for name in names:
        value = getattr(guide, name)
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) <= most or value == math.inf:
            bound = "finite" if math.isinf(most) else f"at most {most:g}"
            raise ValueError(f"{type(guide).__name__}({name}={value!r}): a number above 0 and {bound}")


def shares(guide: Guide, *names: str) -> None:
    """Raise ValueError unless these options are shares of training that leave at least half of it."""
    for name in names:
        value = getattr(guide, name)
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= MOST:
            raise ValueError(f"{type(guide).__name__}({name}={value!r}): a share of training from 0 to {MOST}")


def choice(guide: Guide, **choices: tuple[str, ...]) -> None:
    """Raise ValueError unless these options are among their choices."""
    for name, known in choices.items():
        if (value := getattr(guide, name)) not in known:
            raise ValueError(f"{type(guide).__name__}({name}={value!r}): one of {', '.join(known)}")


def _shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """The shape of the value at each site, without making any."""
    return {site: shape for block in model.blocks for site, shape in block.shapes_of_sites.items()}
