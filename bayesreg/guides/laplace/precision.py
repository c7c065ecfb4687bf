"""The precision of q(θ): the data's and the prior's, which the marginal likelihood chooses where there is none."""

from __future__ import annotations

import math
from typing import NamedTuple

import pyro
import torch
from pyro import poutine
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.autograd import grad
from torch.linalg import cholesky

from bayesreg.model import Model, Parameters

DECADES, STEPS = 12, 10  # of the search for a precision, downwards from the largest that can be best


class Curvature(NamedTuple):
    """Of log p(θ) at θ: its value, and −∂² log p/∂θ_j² of each parameter by name."""

    log_density: float
    bends: Parameters


def of_prior(model: Model, sites: Parameters) -> Curvature:
    """By autograd through the densities of the model's own sample statements; 0 where the density is flat.

    The prior's latents, as the precisions under ARD, are held where they are. ValueError for a density that couples
    parameters.
    """
    with torch.enable_grad(), pyro.validation_enabled(False):
        thetas = {block.site: sites[block.site].detach().clone().requires_grad_() for block in model.blocks}
        latents = {site: value.detach() for site, value in sites.items()} | thetas
        trace = poutine.trace(poutine.condition(model.latents, data=latents)).get_trace()
        density = trace.log_prob_sum()
        vectors = list(thetas.values())
        if not density.requires_grad:
            bends = [torch.zeros_like(vector) for vector in vectors]
        else:
            slopes = grad(density, vectors, create_graph=True, materialize_grads=True)
            bends, mixed = (_bends(slopes, vectors, random) for random in (False, True))
            if not all(torch.allclose(*pair, rtol=1e-3) for pair in zip(bends, mixed, strict=True)):
                raise ValueError(
                    "the guide laplace takes a prior under which weights are independent given its latents, and that "
                    f"of {model.prior} couples them: take the guide delta or normal"
                )
    return Curvature(density.item(), model.unpack(dict(zip(thetas, bends, strict=True))))


def _bends(slopes: tuple[Tensor, ...], vectors: list[Tensor], random: bool) -> list[Tensor]:
    """−v ⊙ H v with v of ones, or of random signs: the diagonal of a diagonal −H, whatever v."""
    signs = torch.Generator().manual_seed(0)
    probes = [
        torch.randint(2, v.shape, generator=signs).to(v) * 2 - 1 if random else torch.ones_like(v) for v in vectors
    ]
    along = sum((slope * probe).sum() for slope, probe in zip(slopes, probes, strict=True))
    if not isinstance(along, Tensor) or not along.requires_grad:
        return [torch.zeros_like(vector) for vector in vectors]
    bent = grad(along, vectors, retain_graph=True, materialize_grads=True)
    return [-(probe * each) for probe, each in zip(probes, bent, strict=True)]


class Gaussian(NamedTuple):
    """q(θ) = Normal(θ̂, H⁻¹): the Cholesky factor of H [P, P], or its diagonal [P], and how it was found.

    isotropic: δ, the precision of the Gaussian prior of those parameters that have no other; NaN where H has an inverse
    without it. log_prior: its log density at θ̂; 0 without it. log_determinant: log |H|.
    """

    factor: Tensor
    isotropic: float
    log_prior: float
    log_determinant: float

    def log_evidence(self, log_joint: float) -> float:
        """log Z = log p(D, θ̂) − ½ log |H/2π|; log_joint: without the isotropic Gaussian."""
        return log_joint + self.log_prior - (self.log_determinant - len(self.factor) * math.log(2 * math.pi)) / 2


def gaussian(ggn: Tensor, own: Tensor, free: Tensor, centre: Tensor, unit: Tensor, always: bool = False) -> Gaussian:
    """H = GGN + diag(own), with θ_j ~ Normal(0, u_j δ^−½) for the `free` parameters if it has no inverse, or `always`.

    own, free, centre θ̂, unit u: [P], the free ones last; ggn: [P, P], or its diagonal [P], which does not tell, so that
    it is as `always`. δ maximises log Z as a function of it, −½ [δ ‖θ̂/u‖² − n log δ + log |H|] over the n free ones,
    with θ̂ held (MacKay, 1992; Immer et al., 2021). |H| = |H_oo| |S + δ/u²|, with S of the free ones given the others,
    so that its eigenvalues are found once.
    """
    others, diagonal = int((~free).sum()), ggn.dim() == 1
    H_oo, S, root, across = _given_the_others(ggn, own, others)
    u, square, delta, log_prior = unit[others:], float((centre / unit)[others:].square().sum()), math.nan, 0.0
    if len(u) and (always or diagonal or _is_singular(S)):
        delta = _best((S * u**2 if diagonal else torch.linalg.eigvalsh(u[:, None] * S * u)).clamp_min(0.0), square)
        log_prior = (len(u) * math.log(delta / (2 * math.pi)) - delta * square) / 2 - float(u.log().sum())
        S = S + (delta / u**2 if diagonal else torch.diag(delta / u**2))
    if diagonal:
        factor = torch.cat([H_oo, S])
        return Gaussian(factor, delta, log_prior, float(factor.log().sum()))
    factor = torch.zeros_like(ggn)
    factor[:others, :others], factor[others:, :others], factor[others:, others:] = root, across.T, cholesky(S)
    return Gaussian(factor, delta, log_prior, float(2 * factor.diagonal().log().sum()))


def _given_the_others(ggn: Tensor, own: Tensor, others: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """H_oo = L Lᵀ, the Schur complement S = H_ff − H_fo H_oo⁻¹ H_of, L, and L⁻¹ H_of; of a diagonal the first two."""
    if ggn.dim() == 1:
        return ggn[:others] + own[:others], ggn[others:], ggn, ggn
    H_oo = ggn[:others, :others] + torch.diag(own[:others])
    root = cholesky(H_oo)
    across = torch.linalg.solve_triangular(root, ggn[:others, others:], upper=False)
    return H_oo, ggn[others:, others:] - across.T @ across, root, across


def _is_singular(S: Tensor) -> bool:
    """Up to rounding of J in single precision, whatever the units of the parameters are."""
    scale = S.diagonal().clamp_min(0.0).sqrt()
    if bool((scale == 0).any()):
        return True
    return bool(torch.linalg.eigvalsh(S / scale[:, None] / scale)[0] < len(S) * torch.finfo(torch.float32).eps)


def _best(eigenvalues: Tensor, square: float) -> float:
    """The δ at which the log evidence is largest: γ/‖θ̂‖² with γ = Σ λ/(λ + δ) ≤ n, the number that data determine."""
    n = len(eigenvalues)
    most = math.log(n / max(square, 1e-12))

    def loss(log_delta: float) -> float:
        delta = math.exp(log_delta)
        return delta * square - n * log_delta + float((eigenvalues + delta).log().sum())

    width = math.log(10) / STEPS
    start = min((most - width * step for step in range(DECADES * STEPS + 1)), key=loss)
    found = minimize_scalar(loss, bounds=(start - width, start + width), method="bounded", options={"xatol": 1e-6})
    return math.exp(found.x)
