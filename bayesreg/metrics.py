"""How good predictions are: pure functions of predictions and data, each a Python float, computed in float64.

What is a mean over examples has a function of its own that gives them, [n] in float64, and is that function's mean.

Probabilities are [n, C] with labels [n] in 0..C−1; for two classes also p(y = 1) alone, [n] or [n, 1]. Where
predictions and data are not of matching shapes, every function raises ValueError with both.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

TOLERANCE = 1e-2  # of what probabilities sum to: bfloat16 has three digits
AT_ONCE = 2**10  # examples in float64: all of some images would take gigabytes


def accuracy(probs: Tensor, y: Tensor) -> float:
    """The share of examples whose most probable class is the label: in [0, 1]."""
    return _mean(correct(probs, y))


def correct(probs: Tensor, y: Tensor) -> Tensor:
    """1[argmax_c p_ic = y_i] [n]."""
    probs, y = _classes(probs, y)
    return (probs.argmax(-1) == y).double()


def macro_f1(probs: Tensor, y: Tensor) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN), over those in y or in the predictions."""
    probs, y = _classes(probs, y)
    C = probs.shape[1]
    top = probs.argmax(-1)
    hits = torch.bincount(y[top == y], minlength=C)
    counts = torch.bincount(y, minlength=C) + torch.bincount(top, minlength=C)  # 2 TP + FP + FN
    present = counts > 0
    return _mean(2 * hits[present] / counts[present])


def brier(probs: Tensor, y: Tensor) -> float:
    """Mean over examples of Σ_c (p_c − 1[y = c])²: in [0, 2], 0 the best  (Brier, 1950)."""
    return _mean(brier_scores(probs, y))


def brier_scores(probs: Tensor, y: Tensor) -> Tensor:
    """Σ_c (p_ic − 1[y_i = c])² [n]."""
    probs, y = _classes(probs, y)
    return (probs - torch.eye(probs.shape[1], dtype=probs.dtype, device=y.device)[y]).square().sum(-1)


def ece(probs: Tensor, y: Tensor, bins: int = 15) -> float:
    """Expected calibration error Σ_b (n_b/n) |accuracy_b − confidence_b|, in [0, 1]  (Guo et al., 2017).

    Over `bins` bins of equal width on the probability of the predicted class: ((b−1)/bins, b/bins].
    """
    if bins < 1:
        raise ValueError(f"ece needs at least one bin, got bins={bins}")
    probs, y = _classes(probs, y)
    confidence, top = probs.max(-1)
    edges = torch.arange(1, bins, dtype=probs.dtype, device=probs.device) / bins
    # n_b (accuracy_b − confidence_b) is a sum over the bin: no bin is divided by, empty ones add nothing.
    gaps = torch.zeros(bins, dtype=probs.dtype, device=probs.device)
    gaps.index_add_(0, torch.bucketize(confidence, edges), (top == y).double() - confidence)
    return float(gaps.abs().sum() / len(y))


def nll(predictive: Distribution, y: Tensor) -> float:
    """−(1/n) Σ_i log p(y_i | x_i), nats per datum; in densities, of the units of y."""
    return _mean(surprisals(predictive, y))


def surprisals(predictive: Distribution, y: Tensor) -> Tensor:
    """−log p(y_i | x_i) [n], nats."""
    expected = predictive.batch_shape + predictive.event_shape
    if y.shape != expected or y.dim() == 0:
        raise ValueError(f"the predictive is of shape {list(expected)} and y of {list(y.shape)}; they must be equal")
    return -predictive.log_prob(y).detach().double().reshape(_examples(y), -1).sum(-1)


def mse(mean: Tensor, y: Tensor) -> float:
    """Mean squared error, over examples and outputs: (units of y)²."""
    return _mean(squared_errors(mean, y))


def squared_errors(mean: Tensor, y: Tensor) -> Tensor:
    """(y_i − mean_i)² [n], the mean over outputs."""
    _match(mean, y)
    parts = zip(mean.detach().split(AT_ONCE), y.detach().split(AT_ONCE), strict=True)
    return torch.cat([(m.double() - t.double()).square().reshape(len(t), -1).mean(-1) for m, t in parts])


def rmse(mean: Tensor, y: Tensor) -> float:
    """Root of the mean squared error: units of y."""
    return mse(mean, y) ** 0.5


def r2(mean: Tensor, y: Tensor) -> float:
    """1 − Σ_i (y_i − mean_i)² / Σ_i (y_i − ȳ)², the uniform average over outputs: at most 1.

    Where an output of y does not vary, 1 for exact predictions and 0 for others.
    """
    mean, y = _outputs(mean, y)
    if len(y) < 2:
        raise ValueError("r2 needs at least two examples: one has no variance")
    residual = (y - mean).square().sum(0)
    total = (y - y.mean(0)).square().sum(0)
    constant = (y == y[0]).all(0)
    return _mean(torch.where(constant, (residual == 0).double(), 1 - residual / total.where(~constant, 1.0)))


class Metric(NamedTuple):
    """A function of predictions and data, by name, and whether more of it is better.

    by_example: where the metric is a mean over examples, the function that gives them, [n]. rope: the largest
    difference that does not matter in practice, in the metric's unit (the region of practical equivalence).
    """

    name: str
    function: Callable[..., float]
    higher_is_better: bool
    by_example: Callable[..., Tensor] | None = None
    rope: float = 0.0

    def __call__(self, *arguments: Any) -> float:
        return self.function(*arguments)

    def beats(self, score: float, other: float) -> bool:
        """Whether a score is better than another one; equal is not better."""
        return score > other if self.higher_is_better else score < other


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        # Half a percentage point, as far as tables of such shares are read; 0.01 nats, 1 % of the probability given to
        # an example; errors in units of y have no such size of their own: any difference counts unless a rope is given.
        Metric("accuracy", accuracy, higher_is_better=True, by_example=correct, rope=0.005),
        Metric("macro_f1", macro_f1, higher_is_better=True, rope=0.005),
        Metric("nll", nll, higher_is_better=False, by_example=surprisals, rope=0.01),
        Metric("brier", brier, higher_is_better=False, by_example=brier_scores, rope=0.005),
        Metric("ece", ece, higher_is_better=False, rope=0.005),
        Metric("mse", mse, higher_is_better=False, by_example=squared_errors),
        Metric("rmse", rmse, higher_is_better=False),
        Metric("r2", r2, higher_is_better=True, rope=0.005),
    )
}


class Judged(NamedTuple):
    """Predictions of n examples beside their targets: what every metric and score of them is made of.

    names: the metrics that judge them. surprisal: −log p(y_i | x_i) [n], float64. point, target: [n, ...].
    """

    names: tuple[str, ...]
    surprisal: Tensor
    point: Tensor
    target: Tensor

    def metrics(self) -> dict[str, float]:
        """Every metric by name."""
        point, target = self.point, self.target
        return {n: _mean(self.surprisal) if n == "nll" else METRICS[n](point, target) for n in self.names}

    def scores(self) -> dict[str, Tensor]:
        """Those that are means over examples, by example: [n] each, float32 on the CPU."""
        found = {}
        for name in self.names:
            by_example = METRICS[name].by_example
            if by_example:
                values = self.surprisal if name == "nll" else by_example(self.point, self.target)
                found[name] = values.float().cpu()
        return found

    def confidence(self) -> Tensor | None:
        """max_c p_ic [n], how sure each predicted class is, float32 on the CPU; None where there are no classes."""
        return _classes(self.point, self.target)[0].amax(-1).float().cpu() if "accuracy" in self.names else None


def _mean(values: Tensor) -> float:
    return float(values.detach().double().mean())


def _examples(y: Tensor) -> int:
    if y.numel() == 0:
        raise ValueError(f"no examples to judge: y is of shape {list(y.shape)}")
    return len(y)


def _classes(probs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities [n, C] and labels [n], checked."""
    if y.dim() != 1 or probs.dim() not in (1, 2) or len(probs) != len(y):
        raise ValueError(f"probs {list(probs.shape)} and y {list(y.shape)} must be [n, C] (or [n]) and [n]")
    _examples(y)
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


def _match(mean: Tensor, y: Tensor) -> int:
    """The number of examples of predictions and data, of one shape, so that none broadcasts."""
    if mean.shape != y.shape or y.dim() == 0:
        raise ValueError(f"mean {list(mean.shape)} and y {list(y.shape)} must be of one shape, [n] or [n, outputs]")
    return _examples(y)


def _outputs(mean: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions and data [n, outputs]."""
    n = _match(mean, y)
    return mean.detach().double().reshape(n, -1), y.detach().double().reshape(n, -1)
