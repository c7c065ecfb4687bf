"""What the page of a study says first: one sentence for all tasks, one a task, and what would be needed for more."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from bayesreg import statistics
from bayesreg.report.again import SEEDS
from bayesreg.report.cost import ratios
from bayesreg.report.phrases import several

NONE = "none"
ALIKE = 0.05  # of a ratio of seconds


def overall(table: pd.DataFrame) -> str:
    """One sentence for all tasks; nothing for a single one, whose own sentence says it."""
    chosen = table[table["recommended"].astype(bool)].set_index("task")["method"].to_dict()
    tasks = list(dict.fromkeys(table["task"]))
    if len(tasks) < 2:
        return ""
    helped = {m: [t for t in tasks if chosen.get(t) == m] for m in statistics.ordered(set(chosen.values()) - {NONE})}
    left = [task for task in tasks if chosen.get(task, NONE) == NONE]
    if not helped:
        said = f"Nothing here is shown to help on any of the {len(tasks)} tasks"
    elif len(helped) == 1 and not left:
        said = f"Use {next(iter(helped))} on all {len(tasks)} tasks"
    else:
        parts = [f"{method} on {several(own)}" for method, own in helped.items()]
        said = f"Use {several(parts)}" + (f"; on {several(left)} nothing is shown to help" if left else "")
    return f"{said}. {verdicts(table)}".strip()


def verdicts(table: pd.DataFrame) -> str:
    """How many of the differences in NLL are better, worse, equal and undecided."""
    found = (
        table.loc[table["nll_difference"].notna(), "nll_verdict"] if "nll_verdict" in table else pd.Series(dtype=str)
    )
    count = {name: int(found.eq(name).sum()) for name in ("better", "worse", "equal", "undecided")}
    parts = [f"{number} {'are' if number != 1 else 'is'} {name}" for name, number in count.items() if number]
    return f"Of {len(found)} differences to none in test NLL, {several(parts)}." if parts else ""


def sentences(said: Mapping[str, str], table: pd.DataFrame, results: pd.DataFrame) -> list[tuple[str, str]]:
    """(tasks, sentence): what the study says, and in the same sentence what it costs."""
    found: dict[str, list[str]] = {}
    for task, sentence in sorted(said.items()):
        rows, own = table[table["task"] == task], results[results["task"] == task]
        cost = _cost(rows, own)
        found.setdefault(f"{sentence.removesuffix('.')}; {cost}." if cost else sentence, []).append(task)
    return [(several(tasks), sentence) for sentence, tasks in found.items()]


def _recommended(rows: pd.DataFrame) -> str | None:
    chosen = rows.loc[rows["recommended"].astype(bool), "method"]
    return str(chosen.iloc[0]) if len(chosen) and chosen.iloc[0] != NONE else None


def _cost(rows: pd.DataFrame, results: pd.DataFrame) -> str:
    method = _recommended(rows)
    ratio = ratios(results).get(method or "", math.nan)
    if not math.isfinite(ratio):
        return ""
    return "it takes as long as none" if abs(ratio - 1) < ALIKE else f"it takes {ratio:.2g} times the seconds of none"


def needed(results: pd.DataFrame) -> tuple[str, str] | None:
    """Where runs can say nothing of methods: the title of their page, and what it would take; None where they can."""
    done = results[results["seeds"] > 0]
    methods, seeds = statistics.ordered(done["method"]), int(done["seeds"].max()) if len(done) else 0
    if len(methods) == 1:
        title = f"What {methods[0]} gives: one method is no comparison"
        return title, f"To learn whether a prior helps, give at least one other method and {SEEDS} seeds"
    if seeds == 1 and done.groupby("task")["method"].nunique().max() > 1:
        title = "One seed does not say which method to use"
        return title, (
            "One seed does not say how much a difference varies by seed. Two are the least from which an interval "
            f"follows, and {SEEDS} are usual"
        )
    return None
