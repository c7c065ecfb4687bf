"""What each task gives without a network: the score that a prior's network has to beat."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pandas as pd

from bayesreg import statistics

log = logging.getLogger(__name__)


def baselines(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a task and baseline, a column a metric on test: what the runs hold in baselines.json.

    Runs that have none, as older ones, add nothing; a file that cannot be read costs one line of warning.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for task, path in zip(runs["task"], runs["path"], strict=True):
        for name, metrics in _read(Path(path) / "baselines.json").items():
            rows[task, name] = {"task": task, "baseline": name} | metrics
    return pd.DataFrame(rows.values(), columns=None if rows else ["task", "baseline"])


def _read(file: Path) -> dict[str, dict[str, float]]:
    try:
        return {str(name): {m: float(v) for m, v in own.items()} for name, own in json.loads(file.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("%s cannot be read (%s); its baselines are left out.", file, str(error).split("\n")[0])
        return {}


def against(results: pd.DataFrame, baselines: pd.DataFrame) -> pd.DataFrame:
    """The results with the best baseline of their task in the headline metric.

    New columns: `baseline`, its name; `baseline_score`; `unbeaten`, whether the prior's mean score is no better.
    None, NaN and False where there is no baseline, and for a prior without a score.
    """
    metrics = results.drop_duplicates("task").set_index("task")["metric"]
    best = pd.DataFrame([_best(task, baselines[baselines["task"] == task], metric) for task, metric in metrics.items()])
    results = results.merge(best, on="task")
    rows = zip(results["metric"], results["score_mean"], results["baseline_score"], strict=True)
    return results.assign(unbeaten=[_unbeaten(*row) for row in rows])


def _best(task: Any, baselines: pd.DataFrame, metric: str) -> dict[str, Any]:
    known = baselines.dropna(subset=metric) if metric in baselines else baselines[:0]
    if known.empty:
        return {"task": task, "baseline": None, "baseline_score": math.nan}
    best = known.sort_values(metric, ascending=metric in statistics.LOWER).iloc[0]
    return {"task": task, "baseline": best["baseline"], "baseline_score": best[metric]}


def _unbeaten(metric: str, score: float, baseline: float) -> bool:
    return math.isfinite(score) and math.isfinite(baseline) and not statistics.beats(metric, score, baseline)


def results(runs: pd.DataFrame) -> pd.DataFrame:
    """`statistics.results` beside the best baseline of each task."""
    return against(statistics.results(runs), baselines(runs))
