"""The Laplace prior: L1 regularisation, the lasso."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pyro
import pyro.distributions as dist
from torch import Tensor

from bayesreg.graph import of_numbers
from bayesreg.priors.base import Look, On, WeightPrior, on_data_set, positive, shortest
from bayesreg.priors.vector import Vector


@dataclass(frozen=True)
class L1(WeightPrior):
    """θ ~ Laplace(0, b): log p(θ) = −Σ |θ|/b + constant (Tibshirani, 1996).

    scale: b. As a penalty per datum it is strength × ‖θ‖₁ with strength = 1/(N b).
    """

    default_strength: ClassVar[float] = 1e-4
    grid: ClassVar[tuple[float | None, ...]] = (1e-4, 1e-3, 1e-2, 1e-1)
    look: ClassVar[Look] = Look("#E69F00", "s")
    scale: float = 1.0
    on: On = "weights"

    def __post_init__(self) -> None:
        positive("L1", scale=self.scale)

    @classmethod
    def from_strength(cls, strength: float | None, size: int, **options: Any) -> Self:
        """The density whose penalty per datum is strength × ‖θ‖₁, for N = size: b = 1/(N·strength)."""
        return cls(scale=1 / on_data_set("L1", strength, size), **options)

    def per_datum(self, size: int) -> float:
        return shortest(1 / (size * self.scale), lambda strength: 1 / (size * strength) == self.scale)

    def sample(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        zero = initial.new_zeros(()).expand(initial.shape)
        return {site: pyro.sample(site, LaplaceVector(zero, self.scale))}

    def constant(self, size: int) -> float:
        return LaplaceVector.constant(size, self.scale)


class LaplaceVector(Vector):
    """Laplace(0, b) for each of n numbers: log p = −‖θ‖₁/b − n log 2b."""

    def __init__(self, zero: Tensor, scale: float) -> None:
        super().__init__(dist.Laplace(zero, scale, validate_args=False))
        self.scale = scale

    @staticmethod
    @of_numbers
    def constant(size: int, scale: float) -> float:
        return -size * math.log(2 * scale)

    def log_prob(self, value: Tensor) -> Tensor:
        return value.abs().sum(-1) / -self.scale + self.constant(value.shape[-1], self.scale)
