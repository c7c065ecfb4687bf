"""Metrics of numbers: predictive means and targets, both [n] or [n, outputs]."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from bayesreg.metrics import checked

AT_ONCE = 2**10  # examples in float64: all of them would take gigabytes for images
INTERVAL = 0.9  # the central interval of the predictive that should contain this share of targets


def nll(predictive: Distribution, y: Tensor) -> float:
    """−(1/n) Σ_i log p(y_i | x_i), nats per datum; for densities it depends on the unit of y."""
    return checked.mean(surprisals(predictive, y))


def surprisals(predictive: Distribution, y: Tensor) -> Tensor:
    """−log p(y_i | x_i) [n], nats."""
    expected = predictive.batch_shape + predictive.event_shape
    if y.shape != expected or y.dim() == 0:
        raise ValueError(f"the predictive is of shape {list(expected)} and y of {list(y.shape)}; they must be equal")
    return -predictive.log_prob(y).detach().double().reshape(checked.examples(y), -1).sum(-1)


def mse(mean: Tensor, y: Tensor) -> float:
    """Mean squared error, over examples and outputs: (units of y)²."""
    return checked.mean(squared_errors(mean, y))


def squared_errors(mean: Tensor, y: Tensor) -> Tensor:
    """(y_i − mean_i)² [n], the mean over outputs."""
    checked.match(mean, y)
    parts = zip(mean.detach().split(AT_ONCE), y.detach().split(AT_ONCE), strict=True)
    return torch.cat([(m.double() - t.double()).square().reshape(len(t), -1).mean(-1) for m, t in parts])


def rmse(mean: Tensor, y: Tensor) -> float:
    """Root of the mean squared error: units of y."""
    return mse(mean, y) ** 0.5


def rmse_scores(mean: Tensor, y: Tensor) -> Tensor:
    """½ (rmse + e_i/rmse) [n], e_i the squared error of example i."""
    errors = squared_errors(mean, y)
    root = errors.mean().sqrt()
    return (root + errors / root.where(root > 0, 1.0)) / 2


def r2(mean: Tensor, y: Tensor) -> float:
    """1 − Σ_i (y_i − mean_i)² / Σ_i (y_i − ȳ)², the uniform average over outputs: at most 1.

    Where an output of y does not vary, 1 for exact predictions and 0 for others.
    """
    return checked.mean(_r2(*_two(mean, y))[0])


def r2_scores(mean: Tensor, y: Tensor) -> Tensor:
    """r2 − (n/T) ((y_i − mean_i)² − (1 − r2) (y_i − ȳ)²) [n], T = Σ_i (y_i − ȳ)², the average over outputs.

    An output that does not vary adds only its r2.
    """
    mean, y = _two(mean, y)
    r2, total = _r2(mean, y)
    slope = (y - mean).square() - (1 - r2) * (y - y.mean(0)).square()
    return (r2 - len(y) * torch.where(total > 0, slope / total.where(total > 0, 1.0), 0.0)).mean(-1)


def _two(mean: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    mean, y = checked.outputs(mean, y)
    if len(y) < 2:
        raise ValueError("r2 needs at least two examples: one has no variance")
    return mean, y


def _r2(mean: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """r2 and T of each output; T is 0 where it does not vary."""
    residual = (y - mean).square().sum(0)
    total = (y - y.mean(0)).square().sum(0).where(~(y == y[0]).all(0), 0.0)
    return torch.where(total == 0, (residual == 0).double(), 1 - residual / total.where(total > 0, 1.0)), total


def coverage(pit: Tensor) -> Tensor:
    """1[(1 − c)/2 ≤ F(y_i | x_i) ≤ (1 + c)/2] [n], c = 0.9, the mean over outputs, of pit F(y_i | x_i) [n, ...]."""
    inside = (pit - 0.5).abs() <= INTERVAL / 2
    return inside.double().reshape(checked.examples(pit), -1).mean(-1)


def coverage_error(pit: Tensor) -> float:
    """|c − the share of targets in the central interval of probability c = 0.9 of the predictive|: in [0, 0.9]."""
    return abs(checked.mean(coverage(pit)) - INTERVAL)


def coverage_error_scores(pit: Tensor) -> Tensor:
    """s (coverage_i − 0.9) [n], s the sign of their mean."""
    each = coverage(pit) - INTERVAL
    return each.mean().sign() * each
