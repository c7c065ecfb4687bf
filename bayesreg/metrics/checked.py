"""Predictions and data of matching shapes, in float64. ValueError, with both, where they are not."""

import torch
from torch import Tensor

TOLERANCE = 1e-2  # of the sum of probabilities: bfloat16 has three digits


def mean(values: Tensor) -> float:
    return float(values.detach().double().mean())


def examples(y: Tensor) -> int:
    """n; ValueError where it is 0."""
    if y.numel() == 0:
        raise ValueError(f"no examples to judge: y is of shape {list(y.shape)}")
    return len(y)


def classes(probs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities [n, C] and labels [n]."""
    if y.dim() != 1 or probs.dim() not in (1, 2) or len(probs) != len(y):
        raise ValueError(f"probs {list(probs.shape)} and y {list(y.shape)} must be [n, C] (or [n]) and [n]")
    examples(y)
    probs = probs.detach().double()
    if probs.dim() == 1 or probs.shape[1] == 1:
        p = probs.reshape(-1)
        probs = torch.stack([1 - p, p], -1)
    off = (probs.sum(-1) - 1).abs()
    if not bool((probs >= 0).all() and (off <= TOLERANCE).all()):  # written so that NaN fails too
        raise ValueError("probs must be probabilities: at least 0, summing to 1 over classes, not logits and not NaN")
    labels = y.long()
    if not bool((labels == y).all() and (labels >= 0).all() and (labels < probs.shape[1]).all()):
        raise ValueError(f"labels must be whole numbers from 0 to {probs.shape[1] - 1}, one for each column of probs")
    return probs, labels


def match(mean: Tensor, y: Tensor) -> int:
    """The number of examples of predictions and data, checked to have the same shape, so that none broadcasts."""
    if mean.shape != y.shape or y.dim() == 0:
        raise ValueError(f"mean {list(mean.shape)} and y {list(y.shape)} must be of one shape, [n] or [n, outputs]")
    return examples(y)


def outputs(mean: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions and data [n, outputs]."""
    n = match(mean, y)
    return mean.detach().double().reshape(n, -1), y.detach().double().reshape(n, -1)
