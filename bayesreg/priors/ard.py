"""Automatic relevance determination: a precision of its own for every weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor

from bayesreg.priors.base import Latent, Look, On, WeightPrior, on_data_set, positive, shortest
from bayesreg.priors.vector import Vector


@dataclass(frozen=True)
class ARD(WeightPrior):
    """α ~ Gamma(a, b), θ ~ Normal(0, α^−½), one α per weight (MacKay, 1994; Neal, 1996; Tipping, 2001).

    log p(θ, α) = Σ [½ log α − ½ α θ² + (a−1) log α − b α] + constant.

    AutoDelta maximises over α itself, with no Jacobian, so under MAP α = (a−½)/(b+½θ²) and the penalty
    that remains is (a−½) log(b+½θ²). With a = b = 1 that is ½ log(1+½θ²), and α ≤ ½ always: MAP cannot
    prune, it only discounts large weights less than L2 does. (Over log α the optimum is another point,
    (a+½)/(b+½θ²).) For a ≤ ½ the density grows without bound as α → 0, so MAP is refused; the normal
    guide integrates over α and takes any a, b > 0.

    `ard:sparse`, ARD.sparse(), is a = ½ and b = 1e-3, under which the normal guide selects: given q(θ), α is about
    (a+½)/(b+½E[θ²]), which for a weight that the data do not need goes towards 1/b = 1,000, a deviation of 0.03, and
    for one that they need stays near 2/θ². Under a = b = 1 it is at most 1.5 for the former, and tells none apart.

    temper: the whole hierarchical density is raised to this power. ARD has no penalty coefficient of its
    own, only a and b; a `strength` other than 1/N is temper = N·strength, the paper's λ.
    """

    grid: ClassVar[tuple[float | None, ...]] = (1e-3, 1e-2, 1e-1, 1.0)
    look: ClassVar[Look] = Look("#CC79A7", "D")
    named: ClassVar[Mapping[str, Mapping[str, Any]]] = {"sparse": {"a": 0.5, "b": 1e-3}}
    a: float = 1.0
    b: float = 1.0
    temper: float = 1.0
    on: On = "weights"

    def __post_init__(self) -> None:
        positive("ARD", a=self.a, b=self.b, temper=self.temper)

    @classmethod
    def from_strength(cls, strength: float | None, size: int, **options: Any) -> Self:
        """The density tempered by N·strength; strength None or 1/N leaves it as it is. options: a, b and on."""
        positive("ARD", size=size)
        return cls(temper=1.0 if strength is None else on_data_set("ARD", strength, size), **options)

    @classmethod
    def sparse(cls, **options: Any) -> Self:
        """The hyperparameters that select weights, for the normal guide. options: the other arguments."""
        return cls(**{**cls.named["sparse"], **options})

    def per_datum(self, size: int) -> float:
        return shortest(self.temper / size, lambda strength: size * strength == self.temper)

    def check_map(self) -> None:
        if self.a <= 0.5:
            raise ValueError(
                f"ARD(a={self.a}) has no MAP estimate: the log density, (a−½) log α − (b+½θ²) α, grows without "
                "bound as α → 0 when a ≤ ½, and MAP cannot select weights by their α at any a; take a > ½ "
                "(--ard.a 1), or the normal guide (--guide normal, or as a method ard:sparse@normal)"
            )

    def sample(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        with poutine.scale(scale=self.temper):
            precision = pyro.sample(f"precision.{site}", Precisions(self.a, self.b, initial))
            weights = pyro.sample(site, OfPrecision(precision))
        return {site: weights, f"precision.{site}": precision}

    def constant(self, size: int) -> float:
        return self.temper * (Precisions.constant(size, self.a, self.b) + OfPrecision.constant(size))

    @property
    def latents(self) -> tuple[Latent, ...]:
        return (Latent("precision", None, self._maximum if self.a > 0.5 else self._mean, self._maximum),)

    def _maximum(self, weights: Tensor) -> Tensor:
        return (self.a - 0.5) / (self.b + weights**2 / 2)

    def _mean(self, weights: Tensor) -> Tensor:
        return (self.a + 0.5) / (self.b + weights**2 / 2)


class Precisions(Vector):
    """Gamma(a, b) for each of n numbers: log p = (a−1) Σ log α − b Σ α + n (a log b − log Γ(a))."""

    def __init__(self, a: float, b: float, like: Tensor) -> None:
        shape, rate = (like.new_tensor(number).expand(like.shape) for number in (a, b))
        super().__init__(dist.Gamma(shape, rate, validate_args=False))
        self.a, self.b = a, b

    @staticmethod
    def constant(size: int, a: float, b: float) -> float:
        return size * (a * math.log(b) - math.lgamma(a))

    def log_prob(self, value: Tensor) -> Tensor:
        rest = value.sum(-1) * -self.b + self.constant(value.shape[-1], self.a, self.b)
        return rest if self.a == 1 else rest + value.log().sum(-1) * (self.a - 1)


class OfPrecision(Vector):
    """Normal(0, α_j^−½) for each of n numbers, written in α itself: log p = ½ (Σ log α − Σ α θ² − n log 2π)."""

    def __init__(self, precision: Tensor) -> None:
        super().__init__(dist.Normal(0.0, precision.rsqrt(), validate_args=False))
        self.precision = precision

    @staticmethod
    def constant(size: int) -> float:
        return -size * math.log(2 * math.pi) / 2

    def log_prob(self, value: Tensor) -> Tensor:
        terms = torch.addcmul(self.precision.log(), self.precision, value**2, value=-1)
        return 0.5 * terms.sum(-1) + self.constant(value.shape[-1])
