"""The smoothness prior: a penalty on the curvature of the network's function."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from bayesreg.curvature import Share, zero_curvature
from bayesreg.likelihoods import Likelihood
from bayesreg.priors.base import FunctionPrior, Look, whole
from bayesreg.priors.batch import Batch, Factor

MOST = 256  # coordinates: beyond this the exact sum over all of them, one pass each, would take hours


@dataclass(frozen=True)
class Smoothness(FunctionPrior):
    """Prefer flat functions: −(λ/2n) Σ_i d(x_i), d(x) = Σ_c Σ_k (∂²Ω_c/∂x_k²)² (Bishop, 1993).

    strength: the coefficient per datum, loss = mean NLL + strength × ½ mean d; λ = N·strength. For images, x are the
    pixels in [0, 1]; for tokens, the embeddings.

    In training, d is estimated without bias: from a `fraction` of each batch, drawn at random (None: a sixteenth, but
    at least 8 examples), on every `every`-th step, weighted by `every`, and for each example along `coordinates` of its
    D coordinates, drawn at random and weighted by D/coordinates (None: all of them if D ≤ 32, else one). The variance
    of one estimate is [S_d² (1 − f) + mean of D²/m (1 − m/D) S_q²] / (f B), with S_d² the variance of d over the batch
    and S_q² that of q_k = Σ_c (∂²Ω_c/∂x_k²)² over the coordinates of an example. Elsewhere, as in `Model.log_joint`, it
    is exact: on every example and, for D ≤ 256, along every coordinate.
    """

    default_strength: ClassVar[float] = 1e-2
    grid: ClassVar[tuple[float | None, ...]] = (1e-2, 1e-1, 1.0, 10.0)
    look: ClassVar[Look] = Look("#D55E00", "P")
    fraction: float | None = None
    every: int = 4
    coordinates: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ValueError(f"Smoothness(fraction={self.fraction}): a share of the batch, above 0 and at most 1")
        whole("Smoothness", every=self.every)
        if self.coordinates is not None:
            whole("Smoothness", coordinates=self.coordinates)

    @property
    def share(self) -> Share:
        """What d is estimated from in training."""
        if self.fraction is None:
            return Share(1 / 16, self.coordinates, least=8)
        return Share(self.fraction, self.coordinates)

    @property
    def turns(self) -> tuple[Factor, ...]:
        return (self._estimate, *[_zero] * (self.every - 1))

    def check(self, net: nn.Module, likelihood: Likelihood) -> None:
        flat = zero_curvature(net)
        if flat:
            raise ValueError(
                f"the smoothness prior does nothing for {flat[0]}: its curvature is zero almost everywhere; "
                "use a smooth activation (nn.SiLU, nn.Tanh, nn.GELU) or another prior"
            )

    def log_factor(self, batch: Batch) -> Tensor:
        return self._of(batch, Share(1.0, self.coordinates, MOST))

    def _estimate(self, batch: Batch) -> Tensor:
        return self._of(batch, self.share) * self.every

    def _of(self, batch: Batch, share: Share) -> Tensor:
        return -0.5 * self.strength * batch.size * batch.curvature(share).mean()


def _zero(batch: Batch) -> float:
    """What replaces the factor on the steps in between."""
    return 0.0
