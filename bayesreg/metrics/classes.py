"""Metrics of classes: probabilities [n, C], or p(y = 1) alone for two, with labels [n] in 0..C−1."""

import torch
from torch import Tensor

from bayesreg.metrics import checked


def accuracy(probs: Tensor, y: Tensor) -> float:
    """The share of examples whose most probable class is the label: in [0, 1]."""
    return checked.mean(correct(probs, y))


def correct(probs: Tensor, y: Tensor) -> Tensor:
    """1[argmax_c p_ic = y_i] [n]."""
    probs, y = checked.classes(probs, y)
    return (probs.argmax(-1) == y).double()


def confidence(probs: Tensor, y: Tensor) -> Tensor:
    """max_c p_ic [n]."""
    return checked.classes(probs, y)[0].amax(-1)


def macro_f1(probs: Tensor, y: Tensor) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN), over those in y or in the predictions."""
    return checked.mean(macro_f1_scores(probs, y))


def macro_f1_scores(probs: Tensor, y: Tensor) -> Tensor:
    """F + n ∂F/∂w_i [n] of the macro F1 with example i of weight w_i = 1.

    ∂F_c/∂w_i = (2·1[y = ŷ = c] − F_c (1[y = c] + 1[ŷ = c])) / D_c, with D_c = 2 TP + FP + FN.
    """
    probs, y = checked.classes(probs, y)
    top, C = probs.argmax(-1), probs.shape[1]
    hits = torch.bincount(y[top == y], minlength=C)
    counts = torch.bincount(y, minlength=C) + torch.bincount(top, minlength=C)  # D
    present = int((counts > 0).sum())
    each = counts.clamp_min(1).double()
    f1 = 2 * hits / each
    slope = 2 * (top == y) / each[y] - f1[y] / each[y] - f1[top] / each[top]
    return (f1.sum() + len(y) * slope) / present


def brier(probs: Tensor, y: Tensor) -> float:
    """Mean over examples of Σ_c (p_c − 1[y = c])²: in [0, 2], 0 is best  (Brier, 1950)."""
    return checked.mean(brier_scores(probs, y))


def brier_scores(probs: Tensor, y: Tensor) -> Tensor:
    """Σ_c (p_ic − 1[y_i = c])² [n]."""
    probs, y = checked.classes(probs, y)
    return (probs - torch.eye(probs.shape[1], dtype=probs.dtype, device=y.device)[y]).square().sum(-1)


def ece(probs: Tensor, y: Tensor, bins: int = 15) -> float:
    """Expected calibration error Σ_b (n_b/n) |accuracy_b − confidence_b|, in [0, 1]  (Guo et al., 2017).

    Over `bins` bins of equal width on the probability of the predicted class: ((b−1)/bins, b/bins].
    """
    return abs(checked.mean(ece_scores(probs, y, bins)))  # a rounding error may be below 0


def ece_scores(probs: Tensor, y: Tensor, bins: int = 15) -> Tensor:
    """s_b (1[ŷ_i = y_i] − max_c p_ic) [n], s_b the sign of accuracy − confidence in the bin of example i."""
    if bins < 1:
        raise ValueError(f"ece needs at least one bin, got bins={bins}")
    probs, y = checked.classes(probs, y)
    confidence, top = probs.max(-1)
    edges = torch.arange(1, bins, dtype=probs.dtype, device=probs.device) / bins
    place, each = torch.bucketize(confidence, edges), (top == y).double() - confidence
    # n_b (accuracy_b − confidence_b) is a sum over the bin: no bin is divided by, empty ones add nothing.
    gaps = torch.zeros(bins, dtype=probs.dtype, device=probs.device).index_add_(0, place, each)
    return gaps.sign()[place] * each
