"""How far apart the numbers of two computations are."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def some(vector: Tensor) -> Tensor:
    """At most about a million of its numbers, evenly spread: all would be one more copy of a large network."""
    return vector.flatten()[:: 1 + vector.numel() // 2**20].clone()


def distance(ours: list[Tensor], plain: list[Tensor]) -> float:
    """‖ours − plain‖ / ‖plain‖, over all their numbers together; NaN unless non-finite values are the same in both."""
    pairs = [(_numbers(a), _numbers(b)) for a, b in zip(ours, plain, strict=True)]
    apart = [torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, a - b) for a, b in pairs]
    return _norm(apart) / (_norm([b.nan_to_num(0.0, 0.0, 0.0) for _, b in pairs]) + 1e-27)


def _numbers(t: Tensor) -> Tensor:
    """Numbers of any type, as float64."""
    return (torch.view_as_real(t) if t.is_complex() else t).double()


def _norm(tensors: list[Tensor]) -> float:
    """The norm of all their numbers together."""
    return math.hypot(*(t.norm().item() for t in tensors))
