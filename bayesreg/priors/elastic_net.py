"""The elastic net: L1 and L2 in one density."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pyro
import pyro.distributions as dist
import torch
from scipy.special import erfcx
from torch import Tensor

from bayesreg.graph import of_numbers
from bayesreg.priors.base import Look, On, WeightPrior, on_data_set, positive, shortest
from bayesreg.priors.vector import Vector, square_sum


@dataclass(frozen=True)
class ElasticNet(WeightPrior):
    """log p(θ) = −λ Σ [ρ |θ| + (1−ρ)/2 θ²] + constant (Zou & Hastie, 2005).

    rate: λ; l1_ratio: ρ, between 0 and 1. A Laplace density of b = 1/(λρ) times a normal one of σ² = 1/(λ(1−ρ)), whose
    constant is −n log Z with Z = √(2π) σ erfcx(σ/(b√2)). As a penalty per datum it is strength × (ρ‖θ‖₁ + (1−ρ)/2 ‖θ‖²)
    with strength = λ/N, the `alpha` and `l1_ratio` of scikit-learn's ElasticNet. Where the optimum is 0, MAP by Adam
    comes near it, but does not reach it.
    """

    name: ClassVar[str] = "elastic_net"
    default_strength: ClassVar[float] = 1e-3
    grid: ClassVar[tuple[float | None, ...]] = (1e-4, 1e-3, 1e-2, 1e-1)
    look: ClassVar[Look] = Look("#56B4E9", "h")
    rate: float = 1.0
    l1_ratio: float = 0.5
    on: On = "weights"

    def __post_init__(self) -> None:
        positive("ElasticNet", rate=self.rate, l1_ratio=self.l1_ratio)
        if self.l1_ratio >= 1:
            raise ValueError(f"ElasticNet(l1_ratio={self.l1_ratio}): above 0 and below 1; for 1 use L1, for 0 L2")

    @classmethod
    def from_strength(cls, strength: float | None, size: int, **options: Any) -> Self:
        """The density of that penalty per datum, for N = size: λ = N·strength. options: l1_ratio and on."""
        return cls(rate=on_data_set("ElasticNet", strength, size), **options)

    def per_datum(self, size: int) -> float:
        return shortest(self.rate / size, lambda strength: size * strength == self.rate)

    def sample(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        zero = initial.new_zeros(()).expand(initial.shape)
        return {site: pyro.sample(site, ElasticNetVector(zero, *self._factors))}

    def constant(self, size: int) -> float:
        return ElasticNetVector.constant(size, *self._factors)

    @property
    def _factors(self) -> tuple[float, float]:
        """1/b and 1/σ²."""
        return self.rate * self.l1_ratio, self.rate * (1 - self.l1_ratio)


class ElasticNetVector(Vector):
    """p(θ) = Π_j exp(−r |θ_j| − q θ_j²/2)/Z for n numbers: log p = −r ‖θ‖₁ − q/2 ‖θ‖² − n log Z."""

    def __init__(self, zero: Tensor, rate: float, precision: float) -> None:
        super().__init__(_One(zero, rate, precision))
        self.rate, self.precision = rate, precision

    @staticmethod
    @of_numbers
    def constant(size: int, rate: float, precision: float) -> float:
        """−n log Z, Z = √(2π/q) erfcx(r/√(2q))."""
        return -size * (math.log(2 * math.pi / precision) / 2 + math.log(erfcx(rate / math.sqrt(2 * precision))))

    def log_prob(self, value: Tensor) -> Tensor:
        both = value.abs().sum(-1) * -self.rate - square_sum(value) * (self.precision / 2)
        return both + self.constant(value.shape[-1], self.rate, self.precision)


class _One(dist.TorchDistribution):
    """The density of each number. Draws are exact, by rejection: of two proposals more than one is accepted."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = dist.constraints.real

    def __init__(self, zero: Tensor, rate: float, precision: float) -> None:
        super().__init__(zero.shape, validate_args=False)
        self.zero, self.rate, self.precision = zero, rate, precision

    def expand(self, batch_shape: Any, _instance: Any = None) -> "_One":
        return _One(self.zero.expand(batch_shape), self.rate, self.precision)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        draw = self.zero.new_empty(self.shape(sample_shape))
        left = torch.ones_like(draw, dtype=torch.bool)
        while number := int(left.sum()):
            size, taken = self._propose(number)
            where = left.nonzero(as_tuple=True)
            draw[where] = torch.where(torch.rand_like(size) < 0.5, size, -size)
            left[where] = ~taken
        return draw

    def _propose(self, number: int) -> tuple[Tensor, Tensor]:
        """|θ| from one factor of the density, and whether it is accepted, with the other factor as its probability."""
        new = self.zero.new_empty(number)
        if math.pi * self.rate**2 < 2 * self.precision:
            size = new.normal_().abs() / math.sqrt(self.precision)
            return size, torch.rand_like(size) < torch.exp(-self.rate * size)
        size = new.exponential_(self.rate)
        return size, torch.rand_like(size) < torch.exp(-self.precision / 2 * size**2)

    def log_prob(self, value: Tensor) -> Tensor:
        one = ElasticNetVector.constant(1, self.rate, self.precision)
        return value.abs() * -self.rate - value**2 * (self.precision / 2) + one
