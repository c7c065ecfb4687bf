"""Scores of the reported runs: means over folds and seeds, differences paired by seed, scores on a common scale."""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from bayesreg.methods import TECHNIQUES
from bayesreg.metrics import METRICS
from bayesreg.priors import PRIORS

METHOD = ["task", "method"]
BY_FOLD = "by fold"  # in place of natural parameters that differ between folds
MEASURED = ("test_", "validation_", "train_", "seconds_", "memory_", "sparsity_")


def ordered(names: Iterable[str]) -> list[str]:
    """Methods in the order of every table and figure: by their first terms in PRIORS and TECHNIQUES, then by name."""
    known = [*PRIORS, *TECHNIQUES]

    def place(name: str) -> tuple[int, str]:
        first = re.split(r"[@+:(]", name)[0]
        return known.index(first) if first in known else len(known), name

    return sorted(set(names), key=place)


def sense(metric: str) -> int:
    """1 where higher is better, −1 where lower is."""
    return 1 if METRICS[metric].higher_is_better else -1


def score(runs: pd.DataFrame, split: str, metric: str | None = None) -> pd.Series:
    """A metric on one split; None: the one that each run names. NaN where it is absent or infinite."""
    found = pd.Series(np.nan, index=runs.index, dtype=float)
    for name, rows in runs.groupby(runs["metric"] if metric is None else pd.Series(metric, index=runs.index)):
        if f"{split}_{name}" in runs:
            found[rows.index] = rows[f"{split}_{name}"].astype(float)
    return found.where(np.isfinite(found))


def by_seed(selected: pd.DataFrame) -> pd.DataFrame:
    """One row per task, method and seed: its `metric`, its `folds`, and the means over them, NaN where one has none."""
    columns = [name for name in map(str, selected) if name.startswith(MEASURED)]
    groups = selected.astype(dict.fromkeys(columns, float)).groupby([*METHOD, "seed"], sort=False)
    folds = groups.size()
    means = groups[columns].mean().where(groups[columns].count().eq(folds, axis=0))
    return means.assign(metric=groups["metric"].first(), folds=folds).reset_index()


def summarise(selected: pd.DataFrame) -> pd.DataFrame:
    """One row per task and method: mean and sd (ddof = 1; NaN with one seed) over its seeds.

    `score_mean`, `score_sd` are of the test headline metric; `<metric>_mean`, `<metric>_sd` of every test
    metric; `seconds_epoch_…` of the cost; `validation_<metric>_…` of validation. `seeds` and `folds` count.
    """
    table = by_seed(selected)
    values = table[[name for name in map(str, table) if name.startswith(MEASURED)]]
    values = values.rename(columns=lambda name: name.removeprefix("test_")).assign(score=score(table, "test"))
    groups = values.groupby([table[name] for name in METHOD], sort=False)
    count = groups.size()
    complete = groups.count().eq(count, axis=0)
    mean, sd = groups.mean().where(complete), groups.std(ddof=1).where(complete)
    found = mean.add_suffix("_mean").join(sd.add_suffix("_sd")).assign(seeds=count)
    own = selected.groupby(METHOD, sort=False)
    found["folds"] = table.groupby(METHOD, sort=False)["folds"].max()
    if "natural" in selected:
        found["natural"] = own["natural"].first().where(own["natural"].nunique() < 2, BY_FOLD)
    return found.reset_index()


def paired(selected: pd.DataFrame, baseline: str = "none") -> pd.DataFrame:
    """Mean, sd (ddof = 1) and n of d_s = score_s(method) − score_s(baseline) on test, s the seeds of both."""
    rows = []
    table = by_seed(selected)
    for task, group in table.assign(score=score(table, "test")).groupby("task", sort=False):
        scores = group.pivot(index="seed", columns="method", values="score")
        for name in ordered(set(map(str, scores)) - {baseline}) if baseline in scores else []:
            d = (scores[name] - scores[baseline]).dropna()
            rows.append((task, name, d.mean(), d.std(ddof=1), len(d)))
    return pd.DataFrame(rows, columns=[*METHOD, "mean", "sd", "n"])


def oriented(results: pd.DataFrame) -> pd.DataFrame:
    """Mean test scores as rows of tasks and columns of methods, NaN where there is none; negated where lower is better.

    So the best of each row is its maximum.
    """
    senses = results.drop_duplicates("task").set_index("task")["metric"].map(sense)
    table = results.pivot(index="task", columns="method", values="score_mean")
    return table[ordered(table.columns)].mul(senses, axis=0)


def normalise(scores: pd.DataFrame) -> pd.DataFrame:
    """(s − min) / (max − min) in each row of oriented scores: the best method 1, the worst 0; all equal, all 1."""
    low, high = scores.min(axis=1), scores.max(axis=1)
    scaled = scores.sub(low, axis=0).div((high - low).where(high > low), axis=0)
    return scaled.fillna(1.0).where(scores.notna())


def average(normalised: pd.DataFrame) -> pd.Series:
    """The mean over tasks of each method's normalised score, over the tasks where it has one."""
    return normalised.mean(axis=0)
