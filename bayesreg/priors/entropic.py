"""The entropic prior: a bonus for uncertain predictions."""

from typing import ClassVar

from torch import Tensor, nn

from bayesreg.likelihoods import Likelihood
from bayesreg.priors.base import FunctionPrior, Look
from bayesreg.priors.batch import Batch


class Entropic(FunctionPrior):
    """Reward uncertain predictions: (λ/n) Σ_i H(Y | x_i, θ) (Buntine & Weigend, 1991; Pereyra et al., 2017).

    strength: the coefficient per datum, loss = mean NLL − strength × mean H; λ = N·strength. H in nats.
    """

    default_strength: ClassVar[float] = 0.3
    grid: ClassVar[tuple[float | None, ...]] = (0.1, 0.3, 1.0, 3.0)
    look: ClassVar[Look] = Look("#009E73", "v")

    def check(self, net: nn.Module, likelihood: Likelihood) -> None:
        if likelihood.constant_entropy:
            raise ValueError(
                f"the entropic prior does nothing under {likelihood}: the entropy of its predictions is constant; "
                "learn the noise scale, Gaussian(), or use another prior"
            )

    def log_factor(self, batch: Batch) -> Tensor:
        return self.strength * batch.size * batch.predictive.entropy().mean()
