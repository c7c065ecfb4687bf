"""The normal prior: L2 regularisation, weight decay, ridge."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pyro
import pyro.distributions as dist
from torch import Tensor

from bayesreg.graph import of_numbers
from bayesreg.priors.base import Look, On, WeightPrior, on_data_set, positive, shortest
from bayesreg.priors.vector import Vector, square_sum


@dataclass(frozen=True)
class L2(WeightPrior):
    """θ ~ Normal(0, σ): log p(θ) = −Σ θ²/(2σ²) + constant (Hoerl & Kennard, 1970; MacKay, 1992).

    scale: σ. As a penalty per datum it is strength × ½‖θ‖² with strength = 1/(N σ²), the `weight_decay`
    of an optimiser of the mean loss.
    """

    default_strength: ClassVar[float] = 1e-3
    grid: ClassVar[tuple[float | None, ...]] = (1e-3, 1e-2, 1e-1, 1.0)
    look: ClassVar[Look] = Look("#0072B2", "^")
    scale: float = 1.0
    on: On = "weights"

    def __post_init__(self) -> None:
        positive("L2", scale=self.scale)

    @classmethod
    def from_strength(cls, strength: float | None, size: int, **options: Any) -> Self:
        """The density whose penalty per datum is strength × ½‖θ‖², for N = size: σ² = 1/(N·strength)."""
        return cls(scale=on_data_set("L2", strength, size) ** -0.5, **options)

    def per_datum(self, size: int) -> float:
        return shortest(1 / (size * self.scale**2), lambda strength: (size * strength) ** -0.5 == self.scale)

    def sample(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        zero = initial.new_zeros(()).expand(initial.shape)
        return {site: pyro.sample(site, NormalVector(zero, self.scale))}

    def constant(self, size: int) -> float:
        return NormalVector.constant(size, self.scale)


class NormalVector(Vector):
    """Normal(0, σ) for each of n numbers: log p = −‖θ‖²/(2σ²) − n log σ√2π."""

    def __init__(self, zero: Tensor, scale: float) -> None:
        super().__init__(dist.Normal(zero, scale, validate_args=False))
        self.scale = scale

    @staticmethod
    @of_numbers
    def constant(size: int, scale: float) -> float:
        return -size * (math.log(scale) + math.log(2 * math.pi) / 2)

    def log_prob(self, value: Tensor) -> Tensor:
        return square_sum(value) * (-0.5 / self.scale**2) + self.constant(value.shape[-1], self.scale)
