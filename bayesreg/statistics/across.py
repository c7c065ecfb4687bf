"""What holds over all tasks: each method against none, with the tasks themselves as a sample.

What is compared is a method's mean score over seeds on a task, minus that of none with the same seeds. The rules:
a method that diverged on a task has lost there to any that did not (its score is −∞: the last rank, no improvement, and
not within any distance of the best); if both diverged they are tied. One that was refused, or lacks runs, is not
compared on that task, and `missing` counts it; in the profile it is never near the best, and the ranks leave such a
method out. Means and their intervals are over the tasks where both have numbers; `diverged` says how many do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesreg.metrics import METRICS
from bayesreg.statistics.holm import holm
from bayesreg.statistics.improvement import improvements
from bayesreg.statistics.profile import profile
from bayesreg.statistics.ranks import Ranks, difference, ranks
from bayesreg.statistics.scores import ordered
from bayesreg.statistics.two_level import Interval, two_level_bootstrap
from bayesreg.statistics.wilcoxon import tasks_needed, wilcoxon

NONE, LEVEL = "none", 0.05
Scores = Mapping[str, Mapping[str, np.ndarray]]
NOWHERE = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Across:
    """table: a row per method against none. profile: see `profile`; ranks: see `ranks`; sentence: what follows.

    The columns of the table: tasks, on how many it was compared with none; missing, on how many it was not; diverged;
    better, tied, worse: on how many of them, with respect to the ROPE; difference, low, high: method − none in the
    metric's unit, the mean over tasks and its two-level interval; improvement, improvement_low, improvement_high: the
    probability of improvement; p, of Wilcoxon's exact test, adjusted by Holm's correction; verdict.
    """

    tasks: int
    table: pd.DataFrame
    profile: pd.DataFrame
    ranks: Ranks | None
    sentence: str


def across(scores: Scores, status: Mapping[str, Mapping[str, str]], metric: str = "nll", draws: int = 5000) -> Across:
    """What holds over tasks.

    scores: {task: {method: [seeds]}} of what is done, higher is better, paired by seed. status: {task: {method: done,
    diverged, refused or incomplete}} of everything that was asked for. draws: of the bootstrap.
    """
    methods = ordered(name for own in status.values() for name in own)
    values = pd.DataFrame({m: {task: _value(scores, status, task, m) for task in status} for m in methods})
    whole = values[[name for name in methods if values[name].notna().all()]]
    rows = [_row(name, values, scores, metric, draws) for name in methods if name != NONE and NONE in methods]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table["p"] = holm([1.0 if math.isnan(p) else p for p in table["p"]])
    decided = table["p"] < LEVEL
    table["verdict"] = np.select([decided & (table["lead"] > 0), decided], ["better", "worse"], "undecided")
    found = table.drop(columns="lead")
    return Across(
        len(status), found, profile(values), ranks(whole), _sentence(found, len(status), NONE in methods, metric)
    )


_COLUMNS = ["method", "tasks", "missing", "diverged", "better", "tied", "worse", "difference", "low", "high"]
_COLUMNS += ["improvement", "improvement_low", "improvement_high", "p", "lead"]


def _value(scores: Scores, status: Mapping[str, Mapping[str, str]], task: str, method: str) -> float:
    """The mean over seeds; −∞ where it diverged, NaN where it was not compared."""
    own = scores.get(task, {}).get(method)
    if own is not None and len(own):
        return float(np.mean(own))
    return -math.inf if status[task].get(method) == "diverged" else math.nan


def _row(name: str, values: pd.DataFrame, scores: Scores, metric: str, draws: int) -> tuple[object, ...]:
    """A method against none."""
    both = values[[name, NONE]].dropna()
    d = difference(both[name], both[NONE])
    finite = [task for task in both.index if np.isfinite(both.loc[task]).all()]
    ropes = np.array([METRICS[metric].equivalent(v) if math.isfinite(v) else 0.0 for v in both[NONE]])
    pairs = {task: (np.asarray(scores[task][name]), np.asarray(scores[task][NONE])) for task in finite}
    gaps = two_level_bootstrap([a - b for a, b in pairs.values()], draws=draws) if pairs else NOWHERE
    lost = [np.array([np.sign(x) / 2 + 0.5]) for task, x in zip(both.index, d, strict=True) if task not in pairs]
    better = [*(improvements(*pair) for pair in pairs.values()), *lost]
    chance = two_level_bootstrap(better, draws=draws) if better else NOWHERE
    mean, low, high = gaps if METRICS[metric].higher_is_better else (-gaps.mean, -gaps.high, -gaps.low)
    counts = ((d > ropes).sum(), (np.abs(d) <= ropes).sum(), (d < -ropes).sum())
    diverged = int(np.isneginf(values[name]).sum())
    signs = float(np.sign(d) @ pd.Series(np.abs(d)).rank()) if len(d) else 0.0
    p = wilcoxon(list(d)) if len(d) else math.nan
    ends = (chance.mean, max(chance.low, 0.0), min(chance.high, 1.0))  # probabilities
    return name, len(both), len(values) - len(both), diverged, *counts, mean, low, high, *ends, p, signs


def _sentence(table: pd.DataFrame, tasks: int, none: bool, metric: str) -> str:
    """What holds over all tasks, and what was left out of it."""
    if tasks < 2:
        return "One task says nothing about others."
    if not none or table.empty:
        return f"Over {tasks} tasks nothing can be said: {'only none was' if none else 'none was not'} compared."
    rows = table.to_dict("records")
    found = [_told(row, metric) for row in rows if row["verdict"] != "undecided"]
    least = tasks_needed(len(table))
    if found:
        lead = f"Over {tasks} tasks {'; '.join(found)}"
    elif table["tasks"].max() < least:
        several = f"{len(table)} methods besides none" if len(table) > 1 else "one method besides none"
        lead = f"Over {tasks} tasks nothing can be shown: with {several} it takes {least}, for Wilcoxon's exact test"
    else:
        lead = f"Over {tasks} tasks no method can be told apart from none: the smallest p is {table['p'].min():.2g}"
    gone = [
        f"{row['method']} is not compared on {row['missing']}" for row in table.to_dict("records") if row["missing"]
    ]
    lost = [f"{row['method']} diverged on {row['diverged']}" for row in table.to_dict("records") if row["diverged"]]
    return "; ".join([lead, *gone, *(f"{text}, which counts as lost" for text in lost)]) + "."


def _told(row: Mapping[str, object], metric: str) -> str:
    ends = [float(str(row[name])) for name in ("difference", "low", "high")]
    mean, low, high = (f"{value:+.3f}".replace("-", "−") for value in ends)
    between = f", {metric} {mean} [{low}, {high}] on average" * all(map(math.isfinite, ends))
    how = f"on {row[str(row['verdict'])]} of {row['tasks']}{between}"
    return f"{row['method']} is {row['verdict']} than none {how} (p = {row['p']:.2g})"
