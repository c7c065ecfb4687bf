"""What a technique is: a way to regularise that is not a prior, such as dropout. Its hooks say what it changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Self

from torch import nn

from bayesreg.datasets import Data
from bayesreg.guides import Guide
from bayesreg.likelihoods import Likelihood
from bayesreg.priors import Look


@dataclass(frozen=True)
class Technique:
    """A way to regularise that is not a prior. A hook that is not overridden leaves its argument as it is.

    `name` is its text in a method, `look` how its lines are drawn, `grid` the strengths that a comparison tries
    (None: it has no strength). A technique with a strength is a `Tuned`.
    """

    name: ClassVar[str]
    default_strength: ClassVar[float | None] = None
    grid: ClassVar[tuple[float | None, ...]] = (None,)
    look: ClassVar[Look] = Look("#56B4E9", "X")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = vars(cls).get("name", cls.__name__.lower())

    @classmethod
    def from_strength(cls, strength: float | None = None, size: int = 1) -> Self:
        """The technique with that strength, whatever the number of data. ValueError where it has none."""
        if strength is not None:
            raise ValueError(f"{cls.name} has no strength, got {strength}: leave the number out")
        return cls()

    def network(self, net: nn.Module) -> nn.Module:
        """The network that is trained; `net`, a copy of the user's, may be changed in place."""
        return net

    def likelihood(self, likelihood: Likelihood) -> Likelihood:
        """The likelihood under which it is trained."""
        return likelihood

    def training(self) -> dict[str, Any]:
        """Further options of `fit`."""
        return {}

    def check(self, net: nn.Module, likelihood: Likelihood, data: Data, guide: Guide) -> None:
        """Raise ValueError, with the reason, where the technique has no meaning."""


@dataclass(frozen=True)
class Tuned(Technique):
    """A technique with one number, its strength, above 0 and below `most`."""

    most: ClassVar[float] = math.inf
    strength: float

    def __post_init__(self) -> None:
        owner = f"{type(self).__name__}({self.strength!r})"
        if isinstance(self.strength, bool) or not isinstance(self.strength, Real):
            raise ValueError(f"{owner}: the strength must be a number")
        if not 0 < self.strength < self.most:
            bound = "finite" if math.isinf(self.most) else f"below {self.most:g}"
            raise ValueError(f"{owner}: the strength of {self.name} must be above 0 and {bound}")

    @classmethod
    def from_strength(cls, strength: float | None = None, size: int = 1) -> Self:
        return cls(cls.default_strength if strength is None else strength)  # type: ignore[arg-type]  # Tuned have one
