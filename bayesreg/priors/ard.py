"""Automatic relevance determination: a precision of its own for every weight."""

from dataclasses import dataclass
from typing import Self

import pyro
import pyro.distributions as dist
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
        one = initial.new_ones(initial.shape)
        with poutine.scale(scale=self.temper):
            precision = pyro.sample(f"precision.{site}", dist.Gamma(self.a * one, self.b).to_event(1))
            weights = pyro.sample(site, dist.Normal(0.0, precision.rsqrt()).to_event(1))
        return {site: weights, f"precision.{site}": precision}

    def initial(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        mean = {f"precision.{site}": (self.a + 0.5) / (self.b + initial**2 / 2)}
        return {site: initial} | (self.profile(site, initial) if self.a > 0.5 else mean)

    def profile(self, site: str, weights: Tensor) -> dict[str, Tensor]:
        return {f"precision.{site}": (self.a - 0.5) / (self.b + weights**2 / 2)}
