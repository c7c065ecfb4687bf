"""Normalisation: torch's own second derivatives of it are wrong (jet.WRONG), so it is written out."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bayesreg.curvature.jet import Jet
from bayesreg.curvature.rules import rule


def _standardised(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    x = x - x.mean(dims, keepdim=True)
    return x * torch.rsqrt(x.square().mean(dims, keepdim=True) + eps)


def _scaled(x: Any, weight: Any, bias: Any, shape: Any) -> Any:
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


class _Statistics(torch.autograd.Function):
    """Mean and 1/deviation of a batch x [B, C, ...], as torch has computed them for its output, with a gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
        return mean.clone(), inverse.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, of_mean: Tensor, of_inverse: Tensor) -> tuple[Tensor, None, None]:
        """Σ x / n, and −(x − mean) / (n deviation³)."""
        x, mean, inverse = ctx.saved_tensors
        n, shape = x.numel() / x.shape[1], [-1, *[1] * (x.dim() - 2)]
        slope = of_inverse * inverse**3 / -n
        return x * slope.reshape(shape) + (of_mean / n - mean * slope).reshape(shape), None, None


def batch_norm(
    x: Tensor, mean: Any, var: Any, weight: Any, bias: Any, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised by the batch itself, whose statistics update `mean` and `var`; and these statistics."""
    out, centre, inverse = torch.native_batch_norm(x, weight, bias, mean, var, True, momentum, eps)
    centre, inverse = _Statistics.apply(x, centre, inverse)
    return out, centre, inverse


def normalised(x: Any, mean: Tensor, inverse: Tensor, weight: Any, bias: Any) -> Any:
    """Normalised by given statistics, which are constant with respect to x: affine."""
    scale = inverse if weight is None else inverse * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = [-1, *[1] * (x.dim() - 2)]
    return x * scale.reshape(shape) + shift.reshape(shape)


@rule("batch_norm")
def _batch_norm(func: Any, x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, training: bool = False,
                momentum: Any = 0.1, eps: float = 1e-5, *rest: Any) -> Any:  # fmt: skip
    if func is not F.batch_norm or any(isinstance(t, Jet) for t in (mean, var, weight, bias)):
        return NotImplemented
    if not training and mean is not None:
        return normalised(x, mean, torch.rsqrt(var + eps), weight, bias)
    value, _, inverse = batch_norm(x.value, mean, var, weight, bias, momentum, eps)
    scale = inverse if weight is None else inverse * weight
    return x.map(value, lambda d: d * scale.reshape([-1, *[1] * (x.dim() - 2)]))


@rule("layer_norm")
def _layer_norm(func: Any, x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return _scaled(_standardised(x, tuple(range(-len(shape), 0)), eps), weight, bias, shape)


@rule("group_norm")
def _group_norm(func: Any, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    standard = _standardised(x.reshape(len(x), groups, -1), (-1,), eps).reshape(x.shape)
    return _scaled(standard, weight, bias, [-1, *[1] * (x.dim() - 2)])


@rule("instance_norm")
def _instance_norm(
    func: Any, x: Any, *args: Any, weight: Any, bias: Any, use_input_stats: bool, eps: float, **_: Any
) -> Any:
    return _group_norm(func, x, x.shape[1], weight, bias, eps) if use_input_stats else NotImplemented
