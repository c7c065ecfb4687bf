"""How far a mean over tasks may be from that over other tasks: tasks are resampled, and seeds within each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit


class Interval(NamedTuple):
    """A mean over tasks, with its interval; −∞ to ∞ for fewer than two tasks."""

    mean: float
    low: float
    high: float


def two_level_bootstrap(
    tasks: Sequence[np.ndarray], confidence: float = 0.95, draws: int = 5000, seed: int = 0
) -> Interval:
    """The mean over T tasks of each task's mean over its seeds.

    tasks: the values averaged in each, by seed [n], or by pairs of seeds [n, n]. T tasks are drawn with replacement,
    and in each its n seeds (Davison & Hinkley, 1997, section 3.8). With s the standard deviation of the mean over
    draws, the interval is mean ± t_{(1+confidence)/2, T−1} √(T/(T−1)) s: quantiles of the draws of few tasks are too
    narrow, and so is s (Hesterberg, 2015). ValueError for what is not finite.
    """
    values = [np.asarray(task, dtype=float) for task in tasks]
    if not values or not all(value.size and np.isfinite(value).all() for value in values):
        raise ValueError("every task needs finite values by seed, [n] or [n, n]: leave out tasks without a result")
    T, mean = len(values), float(np.mean([value.mean() for value in values]))
    if T == 1:
        return Interval(mean, -math.inf, math.inf)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(T, size=(draws, T))
    drawn = np.empty((draws, T))
    for t, value in enumerate(values):
        here = chosen == t
        drawn[here] = _mean(value, rng.multinomial(len(value), [1 / len(value)] * len(value), here.sum()) / len(value))
    half = float(stdtrit(T - 1, (1 + confidence) / 2)) * math.sqrt(T / (T - 1)) * float(drawn.mean(1).std())
    return Interval(mean, mean - half, mean + half)


def _mean(value: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean of [n] or [n, n] for each row of weights [draws, n]."""
    return weights @ value if value.ndim == 1 else ((weights @ value) * weights).sum(1)
