"""What each task gives without a network: the score that a method's network has to beat."""

import math
from typing import Any

import pandas as pd

from bayesreg import statistics
from bayesreg.metrics import METRICS
from bayesreg.statistics import CELL


def baselines(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a task and baseline, a column a metric on test: what the runs hold in baselines.json.

    All runs of a fold hold the same; with folds, the mean over them.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for task, partition, fold, own in zip(*(runs[name] for name in (*CELL, "baselines")), strict=True):
        for name, metrics in own.items():
            rows[task, name, partition, fold] = {"task": task, "baseline": name} | metrics
    table = pd.DataFrame(rows.values(), columns=None if rows else ["task", "baseline"])
    return table.groupby(["task", "baseline"], sort=False).mean().reset_index()


def against(results: pd.DataFrame, baselines: pd.DataFrame) -> pd.DataFrame:
    """The results with the best baseline of their task in the headline metric.

    New columns: `baseline`, its name; `baseline_score`; `below_baseline`, whether the method's mean score is no better.
    None, NaN and False where there is no baseline, and for a method without a score.
    """
    metrics = results.drop_duplicates("task").set_index("task")["metric"]
    best = pd.DataFrame([_best(task, baselines[baselines["task"] == task], metric) for task, metric in metrics.items()])
    results = results.merge(best, on="task")
    rows = zip(results["metric"], results["score_mean"], results["baseline_score"], strict=True)
    return results.assign(below_baseline=[_below_baseline(*row) for row in rows])


def _best(task: Any, baselines: pd.DataFrame, metric: str) -> dict[str, Any]:
    known = baselines.dropna(subset=metric) if metric in baselines else baselines[:0]
    if known.empty:
        return {"task": task, "baseline": None, "baseline_score": math.nan}
    best = known.sort_values(metric, ascending=not METRICS[metric].higher_is_better).iloc[0]
    return {"task": task, "baseline": best["baseline"], "baseline_score": best[metric]}


def _below_baseline(metric: str, score: float, baseline: float) -> bool:
    return math.isfinite(score) and math.isfinite(baseline) and not METRICS[metric].beats(score, baseline)


def results(runs: pd.DataFrame, select: str = statistics.SELECT) -> pd.DataFrame:
    """`statistics.results` beside the best baseline of each task."""
    return against(statistics.results(runs, select), baselines(runs))
