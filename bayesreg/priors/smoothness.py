"""The smoothness prior: a penalty on the curvature of the network's function."""

from typing import ClassVar

from torch import Tensor, nn

from bayesreg.curvature import curvature, zero_curvature
from bayesreg.likelihoods import Likelihood
from bayesreg.priors.base import Batch, FunctionPrior

MOST_INPUTS = 256  # exact curvature costs one pass a coordinate: beyond this it would take hours


class Smoothness(FunctionPrior):
    """Prefer flat functions: −(λ/2n) Σ_i d(x_i), d(x) = Σ_c Σ_k (∂²Ω_c/∂x_k²)² (Bishop, 1993).

    strength: the coefficient per datum, loss = mean NLL + strength × ½ mean d; λ = N·strength. Exact, over
    all coordinates of x, and so for inputs of at most 256 numbers.
    """

    default_strength: ClassVar[float] = 1e-2

    def check(self, net: nn.Module, likelihood: Likelihood) -> None:
        flat = zero_curvature(net)
        if flat:
            raise ValueError(
                f"the smoothness prior does nothing for {flat[0]}: its curvature is zero almost everywhere; "
                "use a smooth activation (nn.SiLU, nn.Tanh, nn.GELU) or take another prior"
            )

    def log_factor(self, batch: Batch) -> Tensor:
        x = batch.x
        if not x.is_floating_point():
            raise ValueError(f"the smoothness prior needs continuous inputs, got x of {x.dtype}")
        if x[0].numel() > MOST_INPUTS:
            raise ValueError(
                f"the smoothness prior is exact and takes inputs of at most {MOST_INPUTS} numbers, got x of shape "
                f"{tuple(x.shape[1:])}, {x[0].numel()} numbers: image-sized inputs are not supported yet; "
                "take another prior, or reduce the input"
            )
        return -0.5 * self.strength * batch.size * curvature(batch.network, x).mean()
