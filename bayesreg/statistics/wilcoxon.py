"""Whether two methods differ over tasks, by ranks: the exact signed-rank test (Wilcoxon, 1945)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata


def wilcoxon(differences: Sequence[float]) -> float:
    """The two-sided p of the hypothesis that the differences, one per task, are symmetric about 0.

    W = Σ_{d_t > 0} r_t with r_t the rank of |d_t|, ties at their mean rank, under 2ⁿ equally probable signs: p = P(|W −
    E W| ≥ the observed value). Zeros are ranked, but have no sign (Pratt, 1959); ±∞ ranks last. Exact with ties and
    zeros too; at least 2/2ⁿ for n differences that are not 0, and 1 for none. ValueError for NaN.
    """
    d = np.asarray(differences, dtype=float)
    if d.ndim != 1 or np.isnan(d).any():
        raise ValueError(f"differences must be numbers, one per task, got {d.tolist()}: leave out what is missing")
    twice = np.rint(2 * rankdata(np.abs(d))).astype(int)[d != 0]  # whole numbers, whatever the ties
    ways = np.ones(1)  # the probability of each sum of the ranks with sign +
    for rank in twice:
        ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
    distance = np.abs(2 * np.arange(len(ways)) - twice.sum())
    return float(min(1.0, ways[distance >= abs(2 * twice[d[d != 0] > 0].sum() - twice.sum())].sum()))


def tasks_needed(methods: int, level: float = 0.05) -> int:
    """The fewest tasks on which one of so many methods can be shown to differ: methods · 2/2ⁿ < level."""
    return next(n for n in range(1, 1000) if methods * 2.0 ** (1 - n) < level)
