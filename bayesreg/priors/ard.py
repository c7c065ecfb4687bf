"""Automatic relevance determination: a precision of its own for every weight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor

from bayesreg.priors.base import On, WeightPrior, positive


@dataclass(frozen=True)
class ARD(WeightPrior):
    """α ~ Gamma(a, b), θ ~ Normal(0, α^−½), one α per weight (MacKay, 1994; Neal, 1996; Tipping, 2001).

    log p(θ, α) = Σ [½ log α − ½ α θ² + (a−1) log α − b α] + constant.

    AutoDelta maximises over α itself, with no Jacobian, so under MAP α = (a−½)/(b+½θ²) and the penalty
    that remains is (a−½) log(b+½θ²). With a = b = 1 that is ½ log(1+½θ²), and α ≤ ½ always: MAP cannot
    prune, it only discounts large weights less than L2 does. (Over log α the optimum is another point,
    (a+½)/(b+½θ²).) For a ≤ ½ the density grows without bound as α → 0, so MAP is refused; the normal
    guide integrates over α and takes any a, b > 0.

    temper: the whole hierarchical density is raised to this power. ARD has no penalty coefficient of its
    own, only a and b; a `strength` other than 1/N is temper = N·strength, the paper's λ.
    """

    a: float = 1.0
    b: float = 1.0
    temper: float = 1.0
    on: On = "weights"

    def __post_init__(self) -> None:
        positive("ARD", a=self.a, b=self.b, temper=self.temper)

    @classmethod
    def from_strength(
        cls, strength: float | None, size: int, a: float = 1.0, b: float = 1.0, on: On = "weights"
    ) -> Self:
        """The density tempered by N·strength; strength None or 1/N leaves it as it is."""
        positive("ARD", size=size, **({} if strength is None else {"strength": strength}))
        return cls(a=a, b=b, temper=1.0 if strength is None else size * strength, on=on)

    def per_datum(self, size: int) -> float:
        return self.temper / size

    def check_map(self) -> None:
        if self.a <= 0.5:
            raise ValueError(
                f"ARD(a={self.a}) has no MAP estimate: the log density, (a−½) log α − (b+½θ²) α, grows without "
                "bound as α → 0 when a ≤ ½; take a > ½ (--ard.a 1), or the normal guide (--guide normal)"
            )

    def sample(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        with poutine.scale(scale=self.temper):
            precision = pyro.sample(f"precision.{site}", Precisions(self.a, self.b, initial).to_event(1))
            weights = pyro.sample(site, OfPrecision(precision).to_event(1))
        return {site: weights, f"precision.{site}": precision}

    def initial(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        mean = {f"precision.{site}": (self.a + 0.5) / (self.b + initial**2 / 2)}
        return {site: initial} | (self.profile(site, initial) if self.a > 0.5 else mean)

    def profile(self, site: str, weights: Tensor) -> dict[str, Tensor]:
        return {f"precision.{site}": (self.a - 0.5) / (self.b + weights**2 / 2)}


class Precisions(dist.Gamma):
    """Gamma(a, b), one number each for all: a log b − log Γ(a) + (a−1) log α − b α, where a = 1 needs no logarithm."""

    def __init__(self, a: float, b: float, like: Tensor) -> None:
        self.a, self.b = a, b
        super().__init__(like.new_full(like.shape, a), like.new_full(like.shape, b), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        constant = self.a * math.log(self.b) - math.lgamma(self.a)
        rest = -self.b * value + constant
        return rest if self.a == 1 else rest + (self.a - 1) * value.log()

    def expand(self, batch_shape: Any, _instance: Any = None) -> Precisions:
        return Precisions(self.a, self.b, self.rate.expand(batch_shape))


class OfPrecision(dist.Normal):
    """Normal(0, α^−½), with its log density written in α itself: ½ (log α − α θ² − log 2π)."""

    def __init__(self, precision: Tensor) -> None:
        self.precision = precision
        super().__init__(0.0, precision.rsqrt(), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        terms = torch.addcmul(self.precision.log(), self.precision, value**2, value=-1)
        return 0.5 * (terms - math.log(2 * math.pi))

    def expand(self, batch_shape: Any, _instance: Any = None) -> OfPrecision:
        return OfPrecision(self.precision.expand(batch_shape))
