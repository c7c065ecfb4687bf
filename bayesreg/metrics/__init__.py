"""How good predictions are: pure functions of predictions and data, each a Python float, computed in float64.

Each is the mean of another function, which gives what every example contributes, [n] in float64. For a mean over
examples these are its terms. Any other metric T is expanded in the weights w of the examples, at 1: T + n ∂T/∂w_i,
whose mean is T, and whose variance is to first order n times that of T over other test sets (the infinitesimal
jackknife: Jaeckel, 1972; Efron, 1982; the pseudovalues of Dorfman, Berbaum & Metz, 1992).

Probabilities are [n, C] with labels [n] in 0..C−1; for two classes also p(y = 1) alone, [n] or [n, 1]. Where the shapes
of predictions and data do not match, every function raises ValueError with both.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from bayesreg.metrics import checked
from bayesreg.metrics.classes import (
    accuracy,
    brier,
    brier_scores,
    confidence,
    correct,
    ece,
    ece_scores,
    macro_f1,
    macro_f1_scores,
)
from bayesreg.metrics.numbers import (
    coverage,
    coverage_error,
    coverage_error_scores,
    mse,
    nll,
    r2,
    r2_scores,
    rmse,
    rmse_scores,
    squared_errors,
    surprisals,
)

__all__ = [
    "METRICS",
    "Judged",
    "Metric",
    "accuracy",
    "brier",
    "brier_scores",
    "correct",
    "coverage",
    "coverage_error",
    "ece",
    "macro_f1",
    "mse",
    "nll",
    "r2",
    "rmse",
    "squared_errors",
    "surprisals",
]


class Metric(NamedTuple):
    """A function of predictions and data, its name, and whether higher is better.

    by_example: the function that gives what each example contributes, [n], whose mean is the metric. rope: the largest
    difference that does not matter in practice, in the metric's unit (the region of practical equivalence); relative:
    whether it is in shares of the other value. calibrates: whether it judges the probabilities themselves, so that a
    method that is ahead in another metric and behind in this one gets a warning. spread: the typical standard
    deviations of a difference between two methods, by seed, by example and of the rest; None where they depend on the
    unit of y.
    """

    name: str
    function: Callable[..., float]
    higher_is_better: bool
    by_example: Callable[..., Tensor]
    rope: float = 0.0
    relative: bool = False
    calibrates: bool = False
    spread: tuple[float, float, float] | None = None

    def __call__(self, *arguments: Any) -> float:
        return self.function(*arguments)

    def beats(self, score: float, other: float) -> bool:
        """Whether a score is better than another one; equal is not better."""
        return score > other if self.higher_is_better else score < other

    def equivalent(self, other: float) -> float:
        """The largest difference to this value that does not matter."""
        return self.rope * abs(other) if self.relative else self.rope


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        # Half a percentage point, to which tables of such shares are read, and likewise of shares of the variance; 0.01
        # nats, 1 % of the probability given to an example; errors in units of y have no natural size: 1 % of a squared
        # error, which is half as much of its root. The spreads are about the medians over methods on digits, synthetic
        # and diabetes (`python -m benchmarks.statistics --study FOLDER` prints them for any comparison).
        Metric("accuracy", accuracy, True, correct, rope=0.005, spread=(0.001, 0.05, 0.2)),
        Metric("macro_f1", macro_f1, True, macro_f1_scores, rope=0.005, spread=(0.001, 0.05, 0.2)),
        Metric("nll", nll, False, surprisals, rope=0.01, spread=(0.01, 0.5, 0.6)),
        Metric("brier", brier, False, brier_scores, rope=0.005, calibrates=True, spread=(0.002, 0.1, 0.2)),
        Metric("ece", ece, False, ece_scores, rope=0.005, calibrates=True),
        Metric("mse", mse, False, squared_errors, rope=0.01, relative=True),
        Metric("rmse", rmse, False, rmse_scores, rope=0.005, relative=True),
        Metric("r2", r2, True, r2_scores, rope=0.005, spread=(0.02, 0.3, 0.4)),
        Metric("coverage_error", coverage_error, False, coverage_error_scores, rope=0.005, calibrates=True),
    )
}


class Judged(NamedTuple):
    """Predictions of n examples with their targets: all that metrics and scores need.

    names: the metrics that judge them. surprisal: −log p(y_i | x_i) [n], float64. point, target: [n, ...]. pit: the
    probability integral transform F(y_i | x_i) [n, ...], uniform where the predictive is right; None where y has none.
    """

    names: tuple[str, ...]
    surprisal: Tensor
    point: Tensor
    target: Tensor
    pit: Tensor | None = None

    def metrics(self) -> dict[str, float]:
        """Every metric by name."""
        return {name: checked.mean(self._contributed(name)) for name in self.names}

    def scores(self) -> dict[str, Tensor]:
        """What each example contributes to them: [n] each, float32 on the CPU."""
        return {name: self._contributed(name).float().cpu() for name in self.names}

    def _contributed(self, name: str) -> Tensor:
        if name == "nll":
            return self.surprisal
        if name == "coverage_error":
            return coverage_error_scores(self._pit)
        return METRICS[name].by_example(self.point, self.target)

    def reliability(self) -> dict[str, Tensor]:
        """What reliability diagrams need, [n] float32: `confidence` for classes, `pit` for numbers."""
        if "ece" in self.names:
            return {"confidence": confidence(self.point, self.target).float().cpu()}
        return {} if self.pit is None or self.pit[0].numel() != 1 else {"pit": self.pit.reshape(-1).float().cpu()}

    @property
    def _pit(self) -> Tensor:
        if self.pit is None:
            raise ValueError("coverage_error needs F(y | x): give the likelihood a method `pit`, or leave it out")
        return self.pit
