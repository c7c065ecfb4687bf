"""What a comparison says about one task: a table of methods with their differences from none, and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from bayesreg import statistics
from bayesreg.costs import costs
from bayesreg.metrics import METRICS
from bayesreg.recommendation import CONSTANT, NONE, Recommendation, differences, interval
from bayesreg.report.tables import number
from bayesreg.statistics import Difference, Tables

WHY = {"incomplete": "a run that it needs is not finished", "diverged": "the loss of a run that it needs is not finite"}
PARTS = ("difference", "low", "high", "p", "verdict")
MEASURED = {"seconds_epoch": "seconds_epoch_mean", "memory": "memory_main_mean", "memory_gpu": "memory_gpu_mean"}
MEASURED |= {f"sparsity_{what}": f"sparsity_{what}_mean" for what in ("zero", "small")}


@dataclass(frozen=True)
class Conclusion:
    """The conclusion for one task. table: one row per method; shown: as printed. method: the recommended one, or None.

    scores: by metric, what each test example contributed, for each method [seeds, rows], more is better.
    """

    table: pd.DataFrame
    shown: pd.DataFrame
    sentence: str
    method: str | None
    scores: Mapping[str, Tables]

    def candidate(self, method: str | None) -> tuple[str, tuple[float, ...]]:
        """The name of a method (None: the recommended one, or else none) and the strengths that were chosen for it."""
        wanted = method or self.method or NONE
        done = self.table[self.table["status"].eq("done")]
        if wanted not in set(done["method"]):
            known = f"those that have: {', '.join(done['method'])}" if len(done) else "nor has another method"
            raise ValueError(f"{wanted!r} has no result here; {known}")
        return wanted, tuple(done[done["method"] == wanted].iloc[0]["tuned"])

    def differences(self, to: str) -> pd.DataFrame:
        """A row a method and metric: method − `to`, as in `table` to none. ValueError where `to` has no result."""
        self.candidate(to)
        rows = []
        for metric, tables in self.scores.items():
            found = differences(tables, to, metric) if metric in METRICS else {}
            rows += [{"method": name, "metric": metric, **_of(metric, "", found, name)} for name in found]
        return pd.DataFrame(rows, columns=["method", "metric", *PARTS])


def conclude(
    task: str,
    results: pd.DataFrame,
    selected: pd.DataFrame,
    settings: Mapping[str, Any],
    stopped: Mapping[str, str] = MappingProxyType({}),
) -> Conclusion:
    """The conclusion from the `statistics.results` of a task, from the runs of its chosen strengths, and study.json.

    stopped: by method, what stopped a run that did not finish, where that is known.
    """
    headline = settings["tasks"][task]["metric"]
    metrics = list(dict.fromkeys(["nll", headline]))
    watched = metrics + [name for name, metric in METRICS.items() if metric.calibrates and name not in metrics]
    rows = _rows(task, results, selected, settings, stopped)
    done = selected[selected["method"].isin([name for name, row in rows.items() if row["status"] == "done"])]
    scores = statistics.examples(done, (*watched, CONSTANT))
    against = {metric: differences(scores[metric], NONE, metric) for metric in watched}
    method, sentence = Recommendation(rows, scores, against, headline, settings["select"], _least(done)).made()
    to_best = {metric: differences(scores[metric], method, metric) if method else {} for metric in watched}
    shared = [metric for metric in watched if metric in metrics or scores[metric]]
    table = pd.DataFrame([_row(row, shared, against, to_best, scores) for row in rows.values()])
    table = table.merge(costs(done), on="method", how="left").merge(_reasons(rows), on="method")
    table.insert(2, "recommended", table["method"] == method)
    table.insert(3, "metric", headline)
    return Conclusion(table, _shown(table, metrics), sentence, method, scores)


def _rows(
    task: str, results: pd.DataFrame, selected: pd.DataFrame, settings: Mapping[str, Any], stopped: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """A row of results for every method of the study, "done" only where all its test runs are there and finite."""
    known = {row["method"]: row for row in results.to_dict("records")}
    nothing: dict[str, Any] = {"task": task, "status": "incomplete", "reason": None, "tuned": (), "strengths": 0}
    nothing |= dict.fromkeys(("strength", "strength_low", "strength_high"), math.nan)
    nothing |= {"candidate": None, "edge": False, "seeds": 0}
    rows = {name: known.get(name) or nothing | {"method": name} for name in settings["methods"]}
    expected = settings["seeds"][task] * settings["folds"][task]
    for name, row in rows.items():
        own = selected[selected["method"] == name]
        diverged = own[own["status"] == "diverged"]
        if row["status"] == "done" and len(diverged):
            row |= {"status": "diverged", "reason": diverged["message"].iloc[0]}
        elif row["status"] == "done" and len(own) < expected:
            row["status"] = "incomplete"
        if row["status"] == "incomplete" and name in stopped:
            row["reason"] = f"a run that it needs failed: {stopped[name]}"
        row["reason"] = row["reason"] or WHY.get(row["status"])
    return {name: rows[name] for name in statistics.ordered(rows)}


def _least(runs: pd.DataFrame) -> float:
    """N, the least number of rows that a run was trained on; ∞ where no run records it."""
    known = runs["size"].dropna() if "size" in runs else runs.index[:0]
    return float(known.min()) if len(known) else math.inf


def _row(
    row: dict[str, Any],
    metrics: list[str],
    against: Mapping[str, Mapping[str, Difference]],
    to_best: Mapping[str, Mapping[str, Difference]],
    scores: Mapping[str, Tables],
) -> dict[str, Any]:
    """A row of the table."""
    name = row["method"]
    kept = ("candidate", "tuned", "strength", "strength_low", "strength_high", "strengths", "edge", "seeds")
    made = {"task": row["task"], "method": name, "status": row["status"], **{k: row[k] for k in kept}}
    made["rows"] = scores["nll"][name].shape[1] if name in scores["nll"] else 0
    done = row if row["status"] == "done" else {}
    for metric in metrics:
        made |= {metric: done.get(f"{metric}_mean", math.nan), f"{metric}_sd": done.get(f"{metric}_sd", math.nan)}
        made |= _of(metric, metric, against[metric], name) | _power(metric, against[metric].get(name))
        made |= _of(metric, f"{metric}_to_recommended", to_best[metric], name)
    for metric in METRICS:
        if f"validation_{metric}_mean" in row:
            made[f"validation_{metric}"] = row[f"validation_{metric}_mean"]
    return made | {column: done.get(measured, math.nan) for column, measured in MEASURED.items()}


def _reasons(rows: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame({"method": list(rows), "reason": [row["reason"] for row in rows.values()]})


def _of(metric: str, column: str, found: Mapping[str, Difference], name: str) -> dict[str, Any]:
    """The columns of a difference, method − the other, in the unit of the metric; p adjusted by Holm's correction."""
    if name not in found:
        return dict.fromkeys(_columns(column), math.nan) | {_columns(column)[-1]: ""}
    own, sign = found[name], statistics.sense(metric)
    adjusted = dict(zip(found, statistics.holm([each.p for each in found.values()]), strict=True))
    low, high = sorted((sign * own.low, sign * own.high))
    return dict(zip(_columns(column), (sign * own.mean, low, high, adjusted[name], own.verdict), strict=True))


def _columns(prefix: str) -> list[str]:
    return [f"{prefix}_{part}".lstrip("_") for part in PARTS]


def _power(metric: str, found: Difference | None) -> dict[str, float]:
    """The smallest difference from none that these seeds and rows would detect in four of five cases."""
    if found is None or found.reason:
        return {f"{metric}_detectable": math.nan}
    return {f"{metric}_detectable": statistics.shows(found)[0]}


def _shown(table: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """The table as it is printed."""
    made = table[["task", "method"]].copy()
    made["strength"] = [", ".join(f"{strength:.3g}" for strength in tuned) for tuned in table["tuned"]]
    for metric in metrics:
        done = zip(table[metric], table["status"], strict=True)
        made[metric] = [number(value) if status == "done" else status for value, status in done]
    bounds = zip(*(table[f"nll_{name}"] for name in ("difference", "low", "high")), strict=True)
    made["nll − none"] = [interval(*one) if math.isfinite(one[0]) else "" for one in bounds]
    made["verdict"] = table["nll_verdict"]
    made[""] = ["← use" if chosen else "" for chosen in table["recommended"]]
    return made
