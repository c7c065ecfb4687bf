"""What each test example contributed in each run, as tables [seeds, rows] that can be compared."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from bayesreg import runs
from bayesreg.files import Unusable
from bayesreg.metrics import METRICS

log = logging.getLogger(__name__)

ROW = "row"
Columns = dict[str, np.ndarray]
Tables = dict[str, np.ndarray]  # by method: scores [seeds, rows], more is better


def examples(selected: pd.DataFrame, metrics: Iterable[str]) -> dict[str, Tables]:
    """{metric: {method: [seeds, rows]}} of the runs of one task, more is better.

    For the seeds that every method has, and the rows that every seed has; a seed with an unreadable fold is missing,
    and a line of warning says so. A metric that some run lacks is left out.
    """
    read = {str(name): _seeds(own) for name, own in selected.groupby("method", sort=False)}
    by_method = {name: seeds for name, seeds in read.items() if seeds}
    if not by_method:
        return {metric: {} for metric in metrics}
    seeds = sorted(set.intersection(*map(set, by_method.values())))
    known = {name: [own[seed] for seed in seeds] for name, own in by_method.items()}
    return {metric: _tables(known, metric) for metric in metrics}


def _seeds(selected: pd.DataFrame) -> dict[int, Columns]:
    """The columns of each seed of a method, its folds one after the other."""
    found = {}
    for seed, own in selected.groupby("seed", sort=True):
        try:
            folds = [runs.scores(Path(path)) for path in own["path"]]
        except (FileNotFoundError, Unusable) as error:
            log.warning("%s; seed %s is left out of the differences", error, seed)
            continue
        shared = set.intersection(*(set(fold) for fold in folds))
        found[int(str(seed))] = {name: np.concatenate([fold[name] for fold in folds]) for name in shared}
    return found


def _tables(known: dict[str, list[Columns]], metric: str) -> Tables:
    """The metric of each method that has it, [seeds, rows]."""
    have = {name: seeds for name, seeds in known.items() if seeds and all(metric in each for each in seeds)}
    if not have:
        return {}
    rows = [each[ROW] for seeds in have.values() for each in seeds]
    shared = reduce(np.intersect1d, rows)
    sign = 1 if metric in METRICS and METRICS[metric].higher_is_better else -1
    at = {name: [_at(shared, each[ROW], each[metric]) for each in seeds] for name, seeds in have.items()}
    return {name: sign * np.stack(seeds) for name, seeds in at.items()}


def _at(wanted: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    order = np.argsort(rows)
    return values[order[np.searchsorted(rows, wanted, sorter=order)]].astype(float)
