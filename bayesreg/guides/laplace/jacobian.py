"""Derivatives of the outputs with respect to some parameters of the network, in eval mode: J, and its products."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import jacrev, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from bayesreg import structure
from bayesreg.model import Parameters
from bayesreg.structure import X

Network = Callable[[Parameters, X], Tensor]  # at these parameters, the others held constant, for x [B, ...]


def jacobian(network: Network, at: Parameters, x: X) -> Tensor:
    """J_ikp = ∂f_k(x_i)/∂θ_p: [B, K, P], the parameters flattened in their order.

    By reverse mode over all examples at once, or one by one where an operation of the network has no batching rule.
    """
    form = structure.form(x)

    def outputs(theta: Parameters, *leaves: Tensor) -> Tensor:
        return network(theta, structure.build(form, [leaf[None] for leaf in leaves])).reshape(-1)

    leaves = structure.leaves(x)
    try:
        with warnings.catch_warnings():  # of the batching rules that it does without
            warnings.simplefilter("ignore")
            rows = vmap(jacrev(outputs), in_dims=(None, *[0] * len(leaves)))(at, *leaves)
        return torch.cat([rows[name].flatten(2) for name in at], -1)
    except (RuntimeError, NotImplementedError):
        return torch.stack([_of_one(outputs, at, one) for one in zip(*leaves, strict=True)])


def _of_one(outputs: Callable[..., Tensor], at: Parameters, leaves: tuple[Tensor, ...]) -> Tensor:
    """[K, P], by one pass backward an output."""
    with torch.enable_grad():
        theta = {name: value.detach().requires_grad_() for name, value in at.items()}
        f = outputs(theta, *leaves)
        rows = [torch.autograd.grad(k, list(theta.values()), retain_graph=True, materialize_grads=True) for k in f]
    return torch.stack([torch.cat([slope.reshape(-1) for slope in row]) for row in rows])


def linearised(network: Network, at: Parameters, step: Parameters, x: X) -> Tensor:
    """f(x; θ̂) + J(x) step, [B, ...], with no J: by forward mode, or by reverse mode twice where there is none."""
    try:
        f, moved = jvp(lambda theta: network(theta, x), (at,), (step,))[:2]
        return f + moved
    except (RuntimeError, NotImplementedError):
        return _backward_twice(network, at, step, x)


def _backward_twice(network: Network, at: Parameters, step: Parameters, x: X) -> Tensor:
    """Jᵀv is linear in v, and its derivative along the step is J step."""
    with torch.enable_grad(), _differentiable():
        theta = {name: value.detach().requires_grad_() for name, value in at.items()}
        f = network(theta, x)
        v = torch.zeros_like(f, requires_grad=True)
        slopes = torch.autograd.grad(f, list(theta.values()), v, create_graph=True, materialize_grads=True)
        along = torch.stack([(slope * step[name]).sum() for name, slope in zip(theta, slopes, strict=True)]).sum()
        (moved,) = torch.autograd.grad(along, v)
    return f.detach() + moved


@contextmanager
def _differentiable() -> Iterator[None]:
    """Without the kernels of recurrent and attention layers that have no second derivative."""
    with warnings.catch_warnings():  # of settings of other devices
        warnings.simplefilter("ignore")
        with (
            torch.backends.mkldnn.flags(enabled=False),
            torch.backends.cudnn.flags(enabled=False),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield
