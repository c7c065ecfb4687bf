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
from bayesreg.report.tables import number
from bayesreg.report.words import several
from bayesreg.statistics import Difference

NONE, CONSTANT = "none", "constant"
Tables = dict[str, np.ndarray]  # by method: scores [seeds, test rows], more is better


@dataclass(frozen=True)
class Conclusion:
    """Of one task. table: a row a method. method: the one recommended, at `text`; None where nothing is."""

    table: pd.DataFrame
    shown: pd.DataFrame
    sentence: str
    method: str | None

    def candidate(self, method: str | None) -> tuple[str, tuple[float, ...]]:
        """A method's name, None for the one recommended or else none, and the strengths that were chosen for it."""
        wanted = method or self.method or NONE
        rows = self.table[self.table["method"] == wanted]
        if rows.empty or rows.iloc[0]["status"] != "done":
            raise ValueError(f"{wanted!r} has no result here: {', '.join(self.table['method'])}")
        return wanted, tuple(rows.iloc[0]["tuned"])


def conclude(task: str, results: pd.DataFrame, selected: pd.DataFrame, settings: Mapping[str, Any]) -> Conclusion:
    """The conclusion from the `statistics.results` of a task, and from the runs of its chosen strengths."""
    headline = str(results["metric"].iloc[0])
    metrics = list(dict.fromkeys(["nll", headline]))
    scores = {metric: tables(selected, metric) for metric in (*metrics, CONSTANT)}
    against = {metric: differences(scores[metric], NONE, rope(metric)) for metric in metrics}
    leader = _leader(results, settings["select"])
    found = _Found(results, scores, against, leader)
    table = pd.DataFrame([found.row(row, metrics) for row in results.to_dict("records")])
    method, sentence = found.recommended()
    table.insert(2, "recommended", table["method"] == method)
    return Conclusion(table, _shown(table, metrics), sentence, method)


def rope(metric: str) -> float:
    """The differences that do not matter."""
    return METRICS[metric].rope if metric in METRICS else 0.0


def tables(selected: pd.DataFrame, metric: str) -> Tables:
    """The scores by test example of each method, more is better, of the seeds and rows that all runs of a seed have."""
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


def differences(scores: Tables, other: str, rope: float) -> dict[str, Difference]:
    """Of each method to another one, at confidences that hold together."""
    if other not in scores or not scores[other].size:
        return {}
    own = {m: statistics.difference(t, scores[other], rope) for m, t in scores.items() if m != other}
    return statistics.together(own) if own else {}


def _leader(results: pd.DataFrame, select: str) -> str | None:
    """The method with the best mean of `select` on validation over the runs that are reported; none before others."""
    column = f"validation_{select}_mean"
    done = results[results["status"].eq("done")]
    done = done[np.isfinite(done[column].astype(float))] if column in done else done[:0]
    if done.empty:
        return None
    ranked = done.assign(
        rank=-done[column].astype(float).round(12) * statistics.sense(select), first=done["method"] != NONE
    )
    return str(ranked.sort_values(["rank", "first", "method"]).iloc[0]["method"])


class _Found:
    """What is known of a task."""

    def __init__(
        self,
        results: pd.DataFrame,
        scores: dict[str, Tables],
        against: dict[str, dict[str, Difference]],
        leader: str | None,
    ) -> None:
        self.results, self.scores, self.against, self.leader = results, scores, against, leader
        self.rows = {row["method"]: row for row in results.to_dict("records")}

    def row(self, row: dict[str, Any], metrics: list[str]) -> dict[str, Any]:
        """A row of the table."""
        kept = ("candidate", "tuned", "strength", "strength_low", "strength_high", "strengths", "edge", "seeds")
        made = {"task": row["task"], "method": row["method"], "status": row["status"], **{k: row[k] for k in kept}}
        made["rows"] = self._size()[1]
        for metric in metrics:
            made[metric] = row.get(f"{metric}_mean", math.nan)
            made[f"{metric}_sd"] = row.get(f"{metric}_sd", math.nan)
            made |= _of(metric, self.against[metric].get(row["method"]))
        kept = tuple(name for name in row if name.startswith("validation_") and name.endswith("_mean"))
        made |= {name.removesuffix("_mean"): row[name] for name in kept if name != "validation_mean"}
        made["seconds_epoch"] = row.get("seconds_epoch_mean", math.nan)
        return made | {"reason": row["reason"]}

    def _size(self) -> tuple[int, int]:
        """Seeds and test rows."""
        return next((table.shape for table in self.scores["nll"].values()), (0, 0))  # type: ignore[return-value]

    def recommended(self) -> tuple[str | None, str]:
        """The method to use, None where there is none, and the sentence that says so."""
        if self.leader is None:
            return None, "Nothing to recommend yet: no method finished every run that it needs."
        best = self.leader
        if not self._learns(best):
            nll, constant = (f"{number(-self.scores[n][best].mean())}" for n in ("nll", CONSTANT))
            return None, (
                f"Nothing to recommend: {best} is the best on validation, and its test NLL of {nll} is not clearly "
                f"better than that of a constant prediction, {constant}. The inputs say little about the target, or "
                "the network does not learn it."
            )
        if NONE not in self.against["nll"] and NONE not in self.scores["nll"]:
            return best, f"Use {self._at(best)}, the best on validation{self._ties(best)}. none was not compared."
        if best == NONE:
            return NONE, f"Use none: no method has a lower validation NLL{self._ties(NONE)}."
        found = self.against["nll"][best]
        if found.verdict == "better":
            return best, f"Use {self._at(best)}: {self._against(found)}{self._ties(best)}."
        how = {
            "undecided": f"which {self._sample()} do not tell from 0",
            "equal": "too little to matter",
            "worse": "which is worse",
        }[found.verdict]
        why = f" ({found.reason})" if found.reason else ""
        return NONE, f"Keep none: {self._at(best)} is the best on validation, but {self._against(found)}, {how}{why}."

    def _learns(self, method: str) -> bool:
        """Whether it predicts better than a constant, where that is known."""
        known, nll = self.scores.get(CONSTANT, {}), self.scores["nll"]
        if method not in known or method not in nll or known[method].shape != nll[method].shape:
            return True
        return statistics.difference(nll[method], known[method]).verdict == "better" or len(nll[method]) == 1

    def _at(self, method: str) -> str:
        row = self.rows[method]
        if not math.isfinite(row["strength"]):
            return method
        low, high = row["strength_low"], row["strength_high"]
        spread = f" ({low:.3g} to {high:.3g} by fold)" if low < high else ""
        return f"{method} at strength {row['strength']:.3g}{spread}"

    def _sample(self) -> str:
        seeds, rows = self._size()
        return f"{seeds} seed{'s' * (seeds != 1)} and {rows:,} test rows"

    def _against(self, found: Difference) -> str:
        low, high = number(-found.high, ".3f", "+"), number(-found.low, ".3f", "+")
        return f"its test NLL differs from that of none by {number(-found.mean, '.3f', '+')} [{low}, {high}] nats"

    def _ties(self, best: str) -> str:
        others = differences(self.scores["nll"], best, rope("nll"))
        tied = [method for method, found in others.items() if found.verdict in ("equal", "undecided")]
        tied = statistics.ordered(tied)
        return f"; {several(tied)} {'is' if len(tied) == 1 else 'are'} not told apart from it" if tied else ""


def _of(metric: str, found: Difference | None) -> dict[str, Any]:
    """The columns of a difference to none, in the unit of the metric: method − none."""
    if found is None:
        return {f"{metric}_{name}": math.nan for name in ("difference", "low", "high", "p")} | {f"{metric}_verdict": ""}
    sign = 1 if METRICS[metric].higher_is_better else -1
    low, high = sorted((sign * found.low, sign * found.high))
    values = {"difference": sign * found.mean, "low": low, "high": high, "p": found.p}
    return {f"{metric}_{name}": value for name, value in values.items()} | {f"{metric}_verdict": found.verdict}


def _shown(table: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """The table as it is printed."""
    made = table[["task", "method"]].copy()
    made["strength"] = [f"{s:.3g}" if math.isfinite(s) else "" for s in table["strength"].astype(float)]
    for metric in metrics:
        done = zip(table[metric], table["status"], strict=True)
        made[metric] = [number(value) if status == "done" else status for value, status in done]
    bounds = zip(*(table[f"nll_{name}"] for name in ("difference", "low", "high")), strict=True)
    made["nll − none"] = [
        f"{number(mean, '.3f', '+')} [{number(low, '.3f', '+')}, {number(high, '.3f', '+')}]" if mean == mean else ""
        for mean, low, high in bounds
    ]
    made["verdict"] = table["nll_verdict"]
    made[""] = ["← use" if chosen else "" for chosen in table["recommended"]]
    return made
