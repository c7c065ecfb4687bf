"""Which methods cannot be told apart over many tasks: mean ranks, and groups (Demšar, 2006; Benavoli et al., 2016).

Groups come from Wilcoxon's test of each pair with Holm's correction: whether two methods differ by mean ranks, as in
Nemenyi's test, depends on which others are compared with them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesreg.statistics.holm import holm
from bayesreg.statistics.wilcoxon import wilcoxon

FEWEST = 10  # tasks: with fewer no pair of six methods can be told apart


@dataclass(frozen=True)
class Ranks:
    """mean: the mean rank of each method, 1 the best, in that order. p: adjusted, of each pair [methods, methods].

    groups: of neighbours in that order, each as large as possible, with no two methods that differ.
    """

    mean: pd.Series
    p: pd.DataFrame
    groups: list[tuple[str, ...]]


def ranks(scores: pd.DataFrame, level: float = 0.05) -> Ranks | None:
    """The ranks of scores [tasks, methods], higher is better, −∞ the worst; None for fewer than ten tasks.

    ValueError for NaN: a method that was not compared on a task has no rank there, and is left out by the caller.
    """
    if scores.isna().any(axis=None):
        raise ValueError(f"no score of {', '.join(scores.columns[scores.isna().any()])} on a task: leave them out")
    if len(scores) < FEWEST or scores.shape[1] < 2:
        return None
    mean = scores.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    names = [str(name) for name in mean.index]
    pairs = list(itertools.combinations(names, 2))
    adjusted = holm([wilcoxon(difference(scores[a], scores[b]).tolist()) for a, b in pairs])
    p = pd.DataFrame(1.0, index=names, columns=names)
    for (a, b), value in zip(pairs, adjusted, strict=True):
        p.loc[a, b] = p.loc[b, a] = value
    return Ranks(mean, p, _groups(names, p, level))


def difference(a: pd.Series, b: pd.Series) -> np.ndarray:
    """a − b, where two scores of −∞ are equal."""
    a, b = a.to_numpy(float), b.to_numpy(float)
    with np.errstate(invalid="ignore"):
        return np.where(a == b, 0.0, a - b)


def _groups(names: list[str], p: pd.DataFrame, level: float) -> list[tuple[str, ...]]:
    """The longest runs of neighbours of which no pair has p below the level."""
    found: list[tuple[str, ...]] = []
    for i in range(len(names)):
        ends = (j for j in range(i, len(names)) if (p.loc[names[i : j + 1], names[i : j + 1]] >= level).all(axis=None))
        run = tuple(names[i : max(ends) + 1])
        if not found or not set(run) <= set(found[-1]):
            found.append(run)
    return found
