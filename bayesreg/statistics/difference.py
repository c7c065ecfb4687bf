"""Whether two methods differ on one data set, where seeds and test examples are both samples.

The data are a table of differences d_si between the scores of two methods, seed s = 1..n by test example i = 1..m:

    d_si = δ + A_s + B_i + E_si,    of variances σ_A², σ_B², σ_E²

Another seed would draw other A, another test set other B. With the mean squares of seeds, examples and rest,

    Var(mean) = max(MSA + MSB − MSE, MSA, MSB) / (n m)
    df = (MSA + MSB − MSE)² / (MSA²/(n−1) + MSB²/(m−1) + MSE²/((n−1)(m−1))),  at least min(n, m) − 1

and (mean − δ)/√Var is close to Student's t of df degrees of freedom (Satterthwaite); a sum of mean squares below 0
counts as 0 in df. It is the analysis of multiple readers and cases (Dorfman, Berbaum & Metz, 1992; Hillis, 2007).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit


class Squares(NamedTuple):
    """The mean squares of a table: MSA = m Σ_s (d_s. − d..)²/(n−1), MSB likewise, MSE of the residuals.

    With one row MSA and MSE do not exist and are 0, with one column MSB and MSE.
    """

    seeds: float
    examples: float
    rest: float


class Components(NamedTuple):
    """The variances σ_A², σ_B², σ_E² of one difference: by seed, by example and the rest; (units of the score)²."""

    seeds: float
    examples: float
    rest: float


@dataclass(frozen=True, repr=False)
class Difference:
    """The difference between two methods on one data set, in the unit of the score; above 0, the first is better.

    mean: over seeds and examples. squares: the mean squares that its uncertainty follows from. rope: ρ, the differences
    in [−ρ, ρ] are of no practical importance. confidence: of the interval from `low` to `high`.
    """

    mean: float
    squares: Squares
    seeds: int
    examples: int
    rope: float = 0.0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rope) and self.rope >= 0):
            raise ValueError(f"rope={self.rope}: give the largest difference that does not matter, at least 0")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence={self.confidence} must lie between 0 and 1, as 0.95 does")

    def __repr__(self) -> str:
        interval = f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"
        return f"Difference({interval} at {self.confidence:.4g}, p = {self.p:.2g}: {self.verdict})"

    @property
    def se(self) -> float:
        """√Var(mean), the standard error."""
        A, B, E = self.squares
        return math.sqrt(max(A + B - E, A, B) / (self.seeds * self.examples))

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom."""
        (A, B, E), n, m = self.squares, self.seeds - 1, self.examples - 1
        parts = sum(square**2 / k for square, k in ((A, n), (B, m), (E, n * m)) if k)
        least = min(n, m) or max(n, m)  # with one seed or one example: the number of the other
        return max(max(A + B - E, 0.0) ** 2 / parts, least) if parts else float(least)

    @property
    def low(self) -> float:
        """The interval's lower end, mean − t_{(1+confidence)/2, df} · se; −∞ where there is only one score."""
        return self.mean - self._half

    @property
    def high(self) -> float:
        return self.mean + self._half

    @property
    def _half(self) -> float:
        if self.seeds == self.examples == 1:
            return math.inf
        return float(stdtrit(self.df, (1 + self.confidence) / 2)) * self.se

    @property
    def p(self) -> float:
        """p of the hypothesis |δ| ≤ ρ, two-sided: 2 P(T_df > (|mean| − ρ)/se), at most 1; at ρ = 0, of δ = 0.

        It is below 1 − confidence exactly where the verdict is better or worse. NaN where `reason` says that nothing
        can be concluded.
        """
        if self.reason:
            return math.nan
        beyond = abs(self.mean) - self.rope
        if beyond <= 0 or self.se == 0:
            return float(beyond <= 0)
        return float(2 * stdtr(self.df, -beyond / self.se))

    @property
    def verdict(self) -> str:
        """`better` or `worse` where the interval lies beyond [−ρ, ρ], `equal` where it lies within, or `undecided`."""
        if self.reason:
            return "undecided"
        if abs(self.mean) - self._half > self.rope:
            return "better" if self.mean > 0 else "worse"
        return "equal" if abs(self.mean) + self._half <= self.rope else "undecided"

    @property
    def reason(self) -> str | None:
        """Why nothing can be concluded, whatever the interval, which is then too narrow; None where something can."""
        if self.seeds == 1:
            return "one seed does not say how much the difference varies between seeds: run at least two, better eight"
        if self.examples == 1:
            return "one test example does not say how much the difference varies between examples: give more of them"
        return None

    @property
    def components(self) -> Components:
        """The estimates of σ_A², σ_B² and σ_E², at least 0."""
        A, B, E = self.squares
        return Components(max(A - E, 0.0) / self.examples, max(B - E, 0.0) / self.seeds, E)


def difference(a: Any, b: Any, rope: float = 0.0, confidence: float = 0.95) -> Difference:
    """The difference between two methods from their scores by example, a and b [seeds, examples]; higher is better.

    A row of both has the same seed, a column the same example. ValueError, with the place, for tables of other shapes
    and for scores that are missing, NaN or infinite.
    """
    d = _table("a", a) - _table("b", b, np.shape(a))
    return Difference(float(d.mean()), squares(d), len(d), d.shape[1], rope, confidence)


def squares(d: np.ndarray) -> Squares:
    """The mean squares of a table [n, m]."""
    n, m = d.shape
    mean, rows, columns = d.mean(), d.mean(1, keepdims=True), d.mean(0, keepdims=True)
    A, B, E = m * _sum(rows - mean), n * _sum(columns - mean), _sum(d - rows - columns + mean)
    return Squares(A / max(n - 1, 1), B / max(m - 1, 1), E / max((n - 1) * (m - 1), 1))


def _sum(values: np.ndarray) -> float:
    return float(np.square(values).sum())


def _table(name: str, values: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Scores [seeds, examples] in float64, checked."""
    try:
        table = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not a table of numbers [seeds, examples] ({error}); {DROP}") from None
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"{name} is of shape {list(table.shape)}: it must be [seeds, examples], neither of them 0")
    if shape not in (None, table.shape):
        raise ValueError(f"a is of shape {list(shape or ())} and b of {list(table.shape)}: they must be equal; {DROP}")
    finite = np.isfinite(table)
    missing = np.flatnonzero(np.isnan(table).all(1))
    if len(missing):
        raise ValueError(f"{name} has no scores at seed {', '.join(map(str, missing))} (counted from 0): {DROP}")
    if not finite.all():
        s, i = np.argwhere(~finite)[0]
        raise ValueError(
            f"{name}[{s}, {i}] = {table[s, i]} at seed {s}, example {i} (counted from 0; {(~finite).sum()} such "
            "scores): every score must be finite, since otherwise there is no mean"
        )
    return table


DROP = "if a seed is missing in one, drop it in both"
