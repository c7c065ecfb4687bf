"""The entropic prior: a bonus for uncertain predictions."""

from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from bayesreg.likelihoods import Likelihood
from bayesreg.priors.base import Batch, Prior, positive


@dataclass(frozen=True)
class Entropic(Prior):
    """Reward uncertain predictions: (λ/n) Σ_i H(Y | x_i, θ) (Buntine & Weigend, 1991; Pereyra et al., 2017).

    strength: the coefficient per datum, loss = mean NLL − strength × mean H; λ = N·strength. H in nats.
    """

    name: ClassVar[str] = "entropic"
    default_strength: ClassVar[float] = 0.3
    strength: float

    def __post_init__(self) -> None:
        positive("Entropic", strength=self.strength)

    @classmethod
    def from_strength(cls, strength: float, size: int) -> Self:
        return cls(strength)

    def per_datum(self, size: int) -> float:
        return self.strength

    def check(self, net: nn.Module, likelihood: Likelihood) -> None:
        if likelihood.constant_entropy:
            raise ValueError(
                f"the entropic prior does nothing under {likelihood}: the entropy of its predictions is constant; "
                "learn the noise scale, Gaussian(), or take another prior"
            )

    def log_factor(self, batch: Batch) -> Tensor:
        return self.strength * batch.size * batch.predictive.entropy().mean()
