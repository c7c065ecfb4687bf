"""What a comparison says of one task: a table of methods with their differences to none, and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesreg import runs, statistics
from bayesreg.files import Unusable
from bayesreg.metrics import METRICS
from bayesreg.report.tables import number, shape
from bayesreg.report.words import several
from bayesreg.statistics import Difference

NONE, CONSTANT = "none", "constant"
WHY = {"incomplete": "a run that it needs is not finished", "diverged": "the loss of a run that it needs is not finite"}
LEAST = 1e-2  # nats: the digits of a difference are at least those of this one
Tables = dict[str, np.ndarray]  # by method: scores [seeds, test rows], more is better


@dataclass(frozen=True)
class Conclusion:
    """Of one task. table: a row a method; shown: as it is printed. method: the one recommended; None where none is."""

    table: pd.DataFrame
    shown: pd.DataFrame
    sentence: str
    method: str | None

    def candidate(self, method: str | None) -> tuple[str, tuple[float, ...]]:
        """A method's name, None for the one recommended or else none, and the strengths that were chosen for it."""
        wanted = method or self.method or NONE
        done = self.table[self.table["status"].eq("done")]
        if wanted not in set(done["method"]):
            known = f"those that have: {', '.join(done['method'])}" if len(done) else "nor has another method"
            raise ValueError(f"{wanted!r} has no result here; {known}")
        return wanted, tuple(done[done["method"] == wanted].iloc[0]["tuned"])


def conclude(task: str, results: pd.DataFrame, selected: pd.DataFrame, settings: Mapping[str, Any]) -> Conclusion:
    """The conclusion from the `statistics.results` of a task, from the runs of its chosen strengths, and study.json."""
    metrics = list(dict.fromkeys(["nll", settings["tasks"][task]["metric"]]))
    rows = _rows(task, results, selected, settings)
    done = selected[selected["method"].isin([name for name, row in rows.items() if row["status"] == "done"])]
    scores = {metric: tables(done, metric) for metric in (*metrics, CONSTANT)}
    against = {metric: differences(scores[metric], NONE, rope(metric)) for metric in metrics}
    found = _Found(rows, scores, against["nll"], settings["select"], _least(done))
    table = pd.DataFrame([_row(row, metrics, against, scores) for row in rows.values()])
    method, sentence = found.recommended()
    table.insert(2, "recommended", table["method"] == method)
    return Conclusion(table, _shown(table, metrics), sentence, method)


def rope(metric: str) -> float:
    """The differences that do not matter."""
    return METRICS[metric].rope if metric in METRICS else 0.0


def _rows(
    task: str, results: pd.DataFrame, selected: pd.DataFrame, settings: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """A row of results for every method of the study; only one whose test runs are all there and finite is done."""
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
        row["reason"] = row["reason"] or WHY.get(row["status"])
    return {name: rows[name] for name in statistics.ordered(rows)}


def tables(selected: pd.DataFrame, metric: str) -> Tables:
    """The scores by test example of each method, more is better, of the seeds and rows that all of them have."""
    found: dict[str, dict[int, dict[int, float]]] = {}
    for row in selected.to_dict("records"):
        try:
            columns = runs.scores(Path(row["path"]))
        except (FileNotFoundError, Unusable):
            continue
        if metric in columns:
            sign = 1 if metric in METRICS and METRICS[metric].higher_is_better else -1
            own = found.setdefault(row["method"], {}).setdefault(int(row["seed"]), {})
            own |= dict(zip(columns["row"].tolist(), (sign * columns[metric]).astype(float).tolist(), strict=True))
    return _aligned(found)


def _aligned(found: dict[str, dict[int, dict[int, float]]]) -> Tables:
    """[seeds, rows] of each method: the seeds that every method has, the rows that every seed has."""
    if not found:
        return {}
    seeds = sorted(set.intersection(*(set(own) for own in found.values())))
    every = [own[seed] for own in found.values() for seed in seeds]
    if not every:
        return {}
    rows = sorted(set.intersection(*map(set, every)))
    return {method: np.array([[own[seed][r] for r in rows] for seed in seeds]) for method, own in found.items()}


def _least(runs: pd.DataFrame) -> float:
    """N, on how many rows the runs were trained at least; ∞ where none says so."""
    known = runs["size"].dropna() if "size" in runs else runs.index[:0]
    return float(known.min()) if len(known) else math.inf


def differences(scores: Tables, other: str, rope: float) -> dict[str, Difference]:
    """Of each method to another one, at confidences that hold together."""
    if other not in scores or not scores[other].size:
        return {}
    own = {m: statistics.difference(t, scores[other], rope) for m, t in scores.items() if m != other}
    return statistics.together(own) if own else {}


class _Found:
    """What is known of a task: rows of results, scores by metric, differences to none in NLL, N to train on."""

    def __init__(
        self,
        rows: dict[str, dict[str, Any]],
        scores: dict[str, Tables],
        against: dict[str, Difference],
        select: str,
        size: float,
    ) -> None:
        self.rows, self.scores, self.against, self.select, self.size = rows, scores, against, select, size

    def recommended(self) -> tuple[str | None, str]:
        """The method to use, None where there is none, and the sentence that says so."""
        best = self._leader()
        if best is None:
            return None, "Nothing to recommend: no method finished all the runs that it needs."
        if not self._learns(best):
            return None, (
                f"Nothing to recommend: {best} is the best on validation, and {self._beside_constant(best)}. Either "
                "the inputs say little about the target, or the network does not learn it, or it takes more seeds or "
                "rows to see."
            )
        if len(self.rows) == 1:
            return best, f"{best} alone was compared: there is nothing to choose from."
        if best == NONE:
            return NONE, f"Use none: no method is ahead of it on validation{self._ties(NONE)}."
        if best not in self.against:
            why = "has no result to compare with" if NONE in self.rows else "was not compared"
            return best, f"Use {self._at(best)}, the best on validation{self._ties(best)}; none {why}."
        return self._beside_none(best, self.against[best])

    def _beside_none(self, best: str, found: Difference) -> tuple[str | None, str]:
        """The best on validation is not none: whether it is better on test."""
        gap = f"its test NLL differs from that of none by {_interval(-found.mean, -found.high, -found.low)} nats"
        if found.verdict == "better":
            return best, f"Use {self._at(best)}: {gap}{self._ties(best)}."
        rows = f"{found.examples:,} test row{'s' * (found.examples != 1)}"
        seeds = f"{found.seeds} seed{'s' * (found.seeds != 1)}"
        small = f"from less than {found.rope:g}, which would not matter"
        what = "from 0" if found.reason or found.low <= 0 <= found.high else small
        how = {
            "undecided": f"which {seeds} and {rows} cannot tell {what}" + f" ({found.reason})" * bool(found.reason),
            "equal": "too little to matter",
            "worse": "which is worse",
        }[found.verdict]
        lead = f"{self._at(best)} is the best on validation, but {gap}, {how}"
        if not self._learns(NONE):
            return None, f"Nothing to recommend: {lead}; and of none, {self._beside_constant(NONE)}."
        return NONE, f"Keep none: {lead}."

    def _leader(self) -> str | None:
        """The method with the best mean on validation over the runs that are reported; of equals none, then by name."""
        done = [name for name, row in self.rows.items() if row["status"] == "done"]
        means = {name: float(self.rows[name].get(f"validation_{self.select}_mean", math.nan)) for name in done}
        ranks = {
            name: (-round(mean, 12) * statistics.sense(self.select), name != NONE, name)
            for name, mean in means.items()
            if math.isfinite(mean)
        }
        return min(ranks, key=ranks.__getitem__) if ranks else None

    def _learns(self, method: str) -> bool:
        """Whether it predicts better than any constant, where that is known, and seeds can tell.

        The constant that is known, of a mean and a scale, is estimated from N rows: the best of all is ahead of it by
        χ²/2N nats of 2 degrees of freedom, at 95 % less than −log(0.05)/N.
        """
        known, nll = self.scores.get(CONSTANT, {}), self.scores["nll"]
        if method not in known or method not in nll or known[method].shape != nll[method].shape:
            return True
        margin = max(rope("nll"), -math.log(0.05) / self.size)
        found = statistics.difference(nll[method], known[method], margin)
        return found.verdict == "better" or (found.reason is not None and found.mean > margin)

    def _beside_constant(self, method: str) -> str:
        nll, constant = (number(-self.scores[name][method].mean()) for name in ("nll", CONSTANT))
        return f"its test NLL of {nll} is not clearly better than that of a constant prediction, {constant}"

    def _at(self, method: str) -> str:
        row = self.rows[method]
        if not row["tuned"]:
            return method
        several_ = " and ".join(f"{strength:.3g}" for strength in row["tuned"])
        low, high = row["strength_low"], row["strength_high"]
        spread = f" ({low:.3g} to {high:.3g} by fold)" if low < high else ""
        return f"{method} at strength{'s' * (len(row['tuned']) > 1)} {several_}{spread}"

    def _ties(self, best: str) -> str:
        others = differences(self.scores["nll"], best, rope("nll"))
        beaten = best in self.against and self.against[best].verdict == "better"  # none, by the sentence before
        tied = [
            m for m, found in others.items() if found.verdict in ("equal", "undecided") and not (beaten and m == NONE)
        ]
        return f"; {several(statistics.ordered(tied))} cannot be told apart from it" if tied else ""


def _row(
    row: dict[str, Any], metrics: list[str], against: dict[str, dict[str, Difference]], scores: dict[str, Tables]
) -> dict[str, Any]:
    """A row of the table."""
    kept = ("candidate", "tuned", "strength", "strength_low", "strength_high", "strengths", "edge", "seeds")
    made = {"task": row["task"], "method": row["method"], "status": row["status"], **{k: row[k] for k in kept}}
    made["rows"] = scores["nll"][row["method"]].shape[1] if row["method"] in scores["nll"] else 0
    done = row if row["status"] == "done" else {}
    for metric in metrics:
        made |= {metric: done.get(f"{metric}_mean", math.nan), f"{metric}_sd": done.get(f"{metric}_sd", math.nan)}
        made |= _of(metric, against[metric].get(row["method"]))
    for metric in METRICS:
        if f"validation_{metric}_mean" in row:
            made[f"validation_{metric}"] = row[f"validation_{metric}_mean"]
    return made | {"seconds_epoch": row.get("seconds_epoch_mean", math.nan), "reason": row["reason"]}


def _of(metric: str, found: Difference | None) -> dict[str, Any]:
    """The columns of a difference to none, in the unit of the metric: method − none."""
    if found is None:
        return {f"{metric}_{name}": math.nan for name in ("difference", "low", "high", "p")} | {f"{metric}_verdict": ""}
    sign = 1 if METRICS[metric].higher_is_better else -1
    low, high = sorted((sign * found.low, sign * found.high))
    values = {"difference": sign * found.mean, "low": low, "high": high, "p": found.p}
    return {f"{metric}_{name}": value for name, value in values.items()} | {f"{metric}_verdict": found.verdict}


def _interval(mean: float, low: float, high: float) -> str:
    form = shape(max(abs(mean), abs(high), abs(low), LEAST) if math.isfinite(low) else mean)
    mean_, low_, high_ = (number(value, form, "+") for value in (mean, low, high))
    return f"{mean_} [{low_}, {high_}]"


def _shown(table: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """The table as it is printed."""
    made = table[["task", "method"]].copy()
    made["strength"] = [", ".join(f"{strength:.3g}" for strength in tuned) for tuned in table["tuned"]]
    for metric in metrics:
        done = zip(table[metric], table["status"], strict=True)
        made[metric] = [number(value) if status == "done" else status for value, status in done]
    bounds = zip(*(table[f"nll_{name}"] for name in ("difference", "low", "high")), strict=True)
    made["nll − none"] = [_interval(*one) if math.isfinite(one[0]) else "" for one in bounds]
    made["verdict"] = table["nll_verdict"]
    made[""] = ["← use" if chosen else "" for chosen in table["recommended"]]
    return made
