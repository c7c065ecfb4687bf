"""Densities of a long vector as one event: their sums read memory once, in the forward and in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor

BLOCK = 2**13  # numbers that one running sum adds up: with more of them, float32 would lose digits


class Vector(dist.Independent):
    """The n independent numbers of `base` [n] as one event. A subclass writes its own log_prob for all of them."""

    def __init__(self, base: dist.TorchDistribution) -> None:
        super().__init__(base, 1, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> dist.TorchDistribution:
        return dist.Independent(self.base_dist, 1).expand(batch_shape)


class FlatVector(dist.TorchDistribution):
    """The improper density p(θ) = 1 of a vector [n]; a draw from it, which has no meaning, is near `at()` [n]."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = dist.constraints.real_vector
    has_rsample = True

    def __init__(self, at: Callable[[], Tensor], size: int, batch_shape: tuple[int, ...] = ()) -> None:
        super().__init__(torch.Size(batch_shape), torch.Size([size]), validate_args=False)
        self.at = at

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        at = self.at()
        return at + torch.randn(self.shape(sample_shape), dtype=at.dtype, device=at.device)

    def log_prob(self, value: Tensor) -> Tensor:
        return value.new_zeros(value.shape[:-1])

    def expand(self, batch_shape: Any, _instance: Any = None) -> FlatVector:
        return FlatVector(self.at, self.event_shape[0], batch_shape)


def square_sum(v: Tensor) -> Tensor:
    """Σ_j v_j² over the last dimension of v [..., n], differentiable as often as needed."""
    return _SquareSum.apply(v)


class _SquareSum(torch.autograd.Function):
    """The gradient is 2 v in one pass, where PyTorch's for v² takes three."""

    generate_vmap_rule = True

    @staticmethod
    def forward(v: Tensor) -> Tensor:
        long = v.shape[-1] // BLOCK * BLOCK
        rest = torch.linalg.vector_norm(v[..., long:], dim=-1) ** 2
        if long == 0:
            return rest
        blocks = v[..., :long].reshape(*v.shape[:-1], -1, BLOCK)
        return (torch.linalg.vector_norm(blocks, dim=-1) ** 2).sum(-1) + rest

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        return v * (2 * grad).unsqueeze(-1)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        return (2 * v * tangent).sum(-1)
