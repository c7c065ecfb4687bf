"""The generalised Gauss-Newton matrix Σ_i J_iᵀ F_i J_i of the likelihood over the data (Schraudolph, 2002).

F is the Fisher information of p(y | f) in f. Where f is the natural parameter, as logits are, or a mean of known scale,
it is the Hessian of −log p(y | f), whatever y is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor
from torch.autograd import grad
from torch.distributions import kl_divergence

from bayesreg import structure
from bayesreg.datasets import Dataset
from bayesreg.guides.laplace.jacobian import jacobian
from bayesreg.likelihoods import Likelihood
from bayesreg.model import Model, Parameters, to_unit
from bayesreg.structure import X

CHUNK = 2**23  # numbers of J at a time


def fisher(likelihood: Likelihood, latents: Mapping[str, Tensor], f: Tensor) -> Tensor:
    """F = ∂²/∂g² KL(p(y | f) ‖ p(y | g)) at g = f, of each example: [B, K, K] for outputs f [B, ...].

    diag(p) − ppᵀ for classes, p(1−p) for two in one output, 1/σ² for numbers, diag(1/σ², 2) where f = (m, log σ).
    """
    with torch.enable_grad():
        g = f.detach().clone().requires_grad_()
        named = dict(latents)
        divergence = kl_divergence(likelihood(f.detach(), named), likelihood(g, named)).sum()
        (slope,) = grad(divergence, g, create_graph=True)
        rows = [grad(one.sum(), g, retain_graph=True)[0] for one in slope.reshape(len(f), -1).unbind(1)]
    return torch.stack([row.reshape(len(f), -1) for row in rows], 1)


def ggn(model: Model, theta: Parameters, names: list[str], train: Dataset, diagonal: bool) -> tuple[Tensor, float]:
    """Of the parameters of those names at θ, all in float64: [P, P], or its diagonal [P]; and Σ_i log p(y_i | f_i)."""
    at = {name: theta[name] for name in names}
    size = sum(value.numel() for value in at.values())
    network = partial(at_some, model, theta)
    first = model.outputs(theta, structure.rows(train.x, slice(1)))
    total = first.new_zeros([size] * (2 - diagonal), dtype=torch.float64)
    log_likelihood = 0.0
    for x, y in train.batches(max(1, CHUNK // (first.numel() * size))):
        x = to_unit(x)
        f = model.outputs(theta, x)
        predictive = model.likelihood(f, theta)
        observed = model.likelihood.target(y, predictive)
        log_likelihood += float(model.likelihood.observation(predictive).log_prob(observed).double().sum())
        J = jacobian(network, at, x).double()
        FJ = fisher(model.likelihood, theta, f.double()) @ J  # in single precision F could have eigenvalues below 0
        total += (J * FJ).sum((0, 1)) if diagonal else J.flatten(0, 1).T @ FJ.flatten(0, 1)
    return total if diagonal else (total + total.T) / 2, log_likelihood


def at_some(model: Model, theta: Parameters, some: Parameters, x: X) -> Tensor:
    """f at θ with some of its parameters replaced."""
    return model.outputs(theta | some, x)
