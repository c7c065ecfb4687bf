"""Whether two methods differ by a metric that is not a mean over examples: macro F1, R², calibration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bayesreg.statistics.difference import DROP, Difference, Squares


def two_way_bootstrap(
    statistic: Callable[..., float],
    a: Any,
    b: Any,
    *shared: Any,
    rope: float = 0.0,
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Difference:
    """The difference between two methods in a statistic of all test examples of a seed, as a `Difference`.

    statistic: a function of (a[s], *shared), [examples, ...] each; a float, higher is better. a, b: [seeds, examples,
    ...], its inputs from the two methods, such as their predictions; shared: [examples, ...], such as the labels.

    δ is the mean over seeds of statistic(a_s) − statistic(b_s) = d_s. Resampling seeds has a closed form, and examples
    are drawn with replacement, the same for all seeds and both methods: d*_s. With V over draws,

        MSA/(nm) = Σ_s (d_s − d.)² / (n (n−1)),    MSB/(nm) = m/(m−1) V(d*.),
        MSE/(nm) = m/(m−1) Σ_s V(d*_s − d*.) / (n (n−1))

    which are the mean squares of `difference` where the statistic is a mean over examples (after Obuchowski &
    Rockette, 1995). ValueError for shapes that do not match, and where the statistic is not finite.
    """
    if draws < 100:
        raise ValueError(f"draws={draws} are too few to estimate a variance: use at least 100, better 1,000")
    tables, others = [np.asarray(values) for values in (a, b)], [np.asarray(values) for values in shared]
    n, m = _shape(tables, others)
    rng = np.random.default_rng(seed)

    def by_seed(chosen: np.ndarray) -> np.ndarray:
        y = [values[chosen] for values in others]
        first, second = ([float(statistic(scores[chosen], *y)) for scores in table] for table in tables)
        return np.subtract(first, second)

    d = by_seed(np.arange(m))
    _finite(d, "all examples")
    drawn = np.stack([by_seed(rng.integers(m, size=m)) for _ in range(draws)])
    _finite(drawn, "examples drawn with replacement; it must allow that some are drawn twice and others not at all")
    centre, scale = drawn.mean(1), m / max(m - 1, 1)
    A = d.var(ddof=1) / n if n > 1 else 0.0
    B = centre.var() * scale if m > 1 else 0.0
    E = (drawn - centre[:, None]).var(0).sum() * scale / (n * (n - 1)) if n > 1 else 0.0
    return Difference(float(d.mean()), Squares(*(float(v) * n * m for v in (A, B, E))), n, m, rope, confidence)


def _shape(tables: list[np.ndarray], others: list[np.ndarray]) -> tuple[int, int]:
    """(seeds, examples), checked."""
    a, b = (table.shape[:2] for table in tables)
    if a != b or len(a) < 2 or 0 in a:
        raise ValueError(f"[seeds, examples] of a are {list(a)}, of b {list(b)}: they must be equal, not empty; {DROP}")
    for values in others:
        if values.shape[:1] != a[1:]:
            raise ValueError(f"a and b have {a[1]} examples, and what they share is of shape {list(values.shape)}")
    return a[0], a[1]


def _finite(d: np.ndarray, of: str) -> None:
    """Raise ValueError, with the seed, where a difference of the statistic [..., seeds] is NaN or infinite."""
    wrong = np.argwhere(~np.isfinite(d))
    if len(wrong):
        raise ValueError(f"the statistic is NaN or infinite at seed {wrong[0, -1]} (counted from 0) of {of}")
