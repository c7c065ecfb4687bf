"""Normalisation: torch's own second derivatives of it are wrong (jet.WRONG), so it is written out."""

from typing import Any

import torch
import torch.nn.functional as F

from bayesreg.curvature.jet import Jet
from bayesreg.curvature.rules import rule


def _standardised(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    x = x - x.mean(dims, keepdim=True)
    return x * torch.rsqrt(x.square().mean(dims, keepdim=True) + eps)


def _scaled(x: Any, weight: Any, bias: Any, shape: Any) -> Any:
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


@rule("batch_norm")
def _batch_norm(func: Any, x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, training: bool = False,
                momentum: Any = 0.1, eps: float = 1e-5, *_: Any) -> Any:  # fmt: skip
    """Affine: the statistics, of this batch or running, are constant with respect to x."""
    if func is not F.batch_norm or any(isinstance(t, Jet) for t in (mean, var, weight, bias)):
        return NotImplemented
    shape = [-1, *[1] * (x.dim() - 2)]
    if training or mean is None:
        value = func(x.value, mean, var, weight, bias, training, momentum, eps)
        var = torch.var(x.value, [i for i in range(x.dim()) if i != 1], correction=0)
        scale = torch.rsqrt(var + eps) * (1 if weight is None else weight)
    else:
        scale = torch.rsqrt(var + eps) * (1 if weight is None else weight)
        shift = -mean * scale if bias is None else bias - mean * scale
        value = x.value * scale.reshape(shape) + shift.reshape(shape)
    return x.map(value, lambda d: d * scale.reshape(shape))


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
