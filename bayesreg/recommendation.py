"""The sentence about one task: what to use, at what strength, what is tied with it, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bayesreg import statistics
from bayesreg.metrics import METRICS
from bayesreg.report.phrases import several
from bayesreg.report.tables import number, shape
from bayesreg.statistics import Difference, Tables

NONE, CONSTANT = "none", "constant"
LEAST = 1e-2  # nats: a difference is printed with at least the digits of this one
DECIDED = ("better", "worse")


def differences(scores: Tables, other: str, metric: str) -> dict[str, Difference]:
    """The difference of each method from another one, at simultaneous confidence, judged against the metric's ROPE."""
    if other not in scores or not scores[other].size:
        return {}
    rope = METRICS[metric].equivalent(float(scores[other].mean()))
    own = {m: statistics.difference(t, scores[other], rope) for m, t in scores.items() if m != other}
    return statistics.together(own) if own else {}


def interval(mean: float, low: float, high: float) -> str:
    """+0.123 [+0.045, +0.201]."""
    form = shape(max(abs(mean), abs(high), abs(low), LEAST) if math.isfinite(low) else mean)
    mean_, low_, high_ = (number(value, form, "+") for value in (mean, low, high))
    return f"{mean_} [{low_}, {high_}]"


@dataclass(frozen=True)
class Recommendation:
    """What is known about a task, and what follows from it.

    rows: of the results, by method. scores: by metric, and of a constant. against: by metric, the differences from
    none. headline: the task's metric; select: the metric of choices on validation; size: N, the number of training
    rows.
    """

    rows: Mapping[str, dict[str, Any]]
    scores: Mapping[str, Tables]
    against: Mapping[str, dict[str, Difference]]
    headline: str
    select: str
    size: float

    def made(self) -> tuple[str | None, str]:
        """The method to use, None where there is none, and the sentence that says so."""
        method, sentence = self._lead()
        return method, "; ".join([sentence, *self._warnings(method)]) + "."

    def _lead(self) -> tuple[str | None, str]:
        best = self._leader()
        if best is None:
            return None, "Nothing to recommend: no method finished all the runs that it needs"
        if not self._learns(best):
            return None, (
                f"Nothing to recommend: {best} is the best on validation, and {self._beside_constant(best)}. Either "
                "the inputs say little about the target, or the network does not learn it, or it takes more seeds or "
                "rows to see"
            )
        if len(self.rows) == 1:
            return best, f"{best} alone was compared: there is nothing to choose from"
        if best == NONE:
            return NONE, f"Use none: no method is ahead of it on validation{self._ties(NONE)}"
        if best not in self.against["nll"]:
            why = "has no result to compare with" if NONE in self.rows else "was not compared"
            return best, f"Use {self._at(best)}, the best on validation{self._ties(best)}; none {why}"
        return self._beside_none(best, self.against["nll"][best])

    def _beside_none(self, best: str, found: Difference) -> tuple[str | None, str]:
        """The best method on validation is not none: whether it is better on test."""
        gap = f"its test NLL differs from that of none by {interval(-found.mean, -found.high, -found.low)} nats"
        if found.verdict == "better":
            return best, f"Use {self._at(best)}: {gap}{self._ties(best)}"
        how = {"undecided": _undecided(found), "equal": "too little to matter", "worse": "which is worse"}
        lead = f"{self._at(best)} is the best on validation, but {gap}, {how[found.verdict]}"
        if not self._learns(NONE):
            return None, f"Nothing to recommend: {lead}; and of none, {self._beside_constant(NONE)}"
        return NONE, f"Keep none: {lead}"

    def _leader(self) -> str | None:
        """The method with the best mean on validation over the reported runs; among equals none, then by name."""
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

        The known constant, a mean and a scale, is estimated from N rows: the best possible one is ahead of it by χ²/2N
        nats with 2 degrees of freedom, at 95 % less than −log(0.05)/N.
        """
        known, nll = self.scores.get(CONSTANT, {}), self.scores["nll"]
        if method not in known or method not in nll or known[method].shape != nll[method].shape:
            return True
        margin = max(METRICS["nll"].rope, -math.log(0.05) / self.size)
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
        others, beaten = differences(self.scores["nll"], best, "nll"), self.against["nll"].get(best)
        tied = [name for name, found in others.items() if found.verdict not in DECIDED]
        if beaten is not None and beaten.verdict == "better":  # none is not tied, as the sentence before says
            tied = [name for name in tied if name != NONE]
        return f"; {several(statistics.ordered(tied))} cannot be told apart from it" if tied else ""

    def _warnings(self, method: str | None) -> Iterator[str]:
        """Where probabilities are worse than those of none: for what wins in the task's metric, and the method."""
        means = {name: table.mean() for name, table in self.scores[self.headline].items() if table.size}
        best = max(means, key=means.__getitem__, default=None)
        for name, ahead in self.against[self.headline].items():
            if self.headline != "nll" and (ahead.verdict == "better" or name == best):
                if worse := self._worse(name, "nll"):
                    lead = f"is ahead of none in {self.headline}, by {self._gap(self.headline, name)}"
                    if ahead.verdict != "better":
                        lead = f"has the best {self.headline}, {self._own(self.headline, name)}"
                    yield f"{name} {lead}, but its probabilities are worse: {worse}"
            elif name == method and (worse := self._worse(name)):
                yield f"but its probabilities are less calibrated than those of none: {worse}"

    def _worse(self, name: str, *metrics: str) -> str:
        """Its values against those of none in these metrics, and in those that judge calibration, where it is worse."""
        judged = [*metrics, *(metric for metric in self.against if METRICS[metric].calibrates)]
        worse = [m for m in judged if name in self.against[m] and self.against[m][name].verdict == "worse"]
        told = [f"{metric} {self._own(metric, name)} against {self._own(metric, NONE)}" for metric in worse]
        return several(told) if told else ""

    def _gap(self, metric: str, name: str) -> str:
        found = self.against[metric][name]
        ends = (found.mean, found.low, found.high)
        return interval(*ends) if METRICS[metric].higher_is_better else interval(*(-ends[k] for k in (0, 2, 1)))

    def _own(self, metric: str, name: str) -> str:
        return number(float(statistics.sense(metric) * self.scores[metric][name].mean()))


def _undecided(found: Difference) -> str:
    """What these seeds and rows cannot tell, what they could detect, and how many seeds would be needed."""
    rows = f"{found.examples:,} test row{'s' * (found.examples != 1)}"
    seeds = f"{found.seeds} seed{'s' * (found.seeds != 1)}"
    small = f"from a difference below {found.rope:g}, too small to matter"
    what = "from 0" if found.reason or found.low <= 0 <= found.high else small
    lead = f"which {seeds} and {rows} cannot tell {what}"
    if found.reason:
        return f"{lead} ({found.reason})"
    least, needed = statistics.shows(found)
    lead = f"{lead}: with 80 % probability they find a difference of {number(least)} or more"
    if abs(found.mean) <= found.rope or (needed and needed <= found.seeds):
        return lead
    return f"{lead}, and one of this size takes {f'{needed} seeds' if needed else 'more rows, whatever the seeds'}"
