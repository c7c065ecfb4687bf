"""The paper's claims, one by one: what our runs on its data sets say, and whether they hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

import pandas as pd

from bayesreg.report.cost import ratios
from bayesreg.report.paper import AVERAGES, DATASETS, SECONDS
from bayesreg.report.profile import METRIC
from bayesreg.report.tables import Cell, Table, number
from bayesreg.statistics import Across
from bayesreg.statistics.wilcoxon import wilcoxon

HEADER = ["claim", "the paper", "ours", "verdict"]
HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"
LEVEL, CLOSE = 0.05, 0.1  # of Wilcoxon's test; ratios of seconds that differ by less are equal
SMALL = "sparsity_small_mean"


def claims(results: pd.DataFrame, found: Across | None) -> Table | None:
    """A row a claim, of those that the methods here can judge; None where the tasks are not the paper's.

    A claim about scores is judged by the verdict over tasks, see `statistics.across`; one about seconds or weights by
    Wilcoxon's exact test over tasks, at 5 %.
    """
    if found is None or not set(results.get("task.dataset", ["its own"])) <= DATASETS:
        return None
    rows = [*_scores(found), *_seconds(results), *_weights(results)]
    return Table(HEADER, [list(map(Cell, row)) for row in rows]) if rows else None


def _scores(found: Across) -> Iterator[tuple[str, ...]]:
    """Of the averages of the paper's figure 1, each beside that of none."""
    for row in found.table.to_dict("records"):
        method = row["method"]
        if method not in AVERAGES or not row["tasks"]:
            continue
        claimed = "better" if AVERAGES[method] > AVERAGES["none"] else "worse"
        theirs = f"average {AVERAGES[method]:.3f}, none {AVERAGES['none']:.3f}"
        counts = f"better on {row['better']}, tied on {row['tied']}, worse on {row['worse']} of {row['tasks']} tasks"
        ours = f"{counts}; {METRIC} {number(row['difference'], '.3f', '+')} on average, p = {row['p']:.2g}"
        verdict = OPEN if row["verdict"] == "undecided" else HOLDS if row["verdict"] == claimed else FAILS
        yield f"{method} is {claimed} than none", theirs, ours, verdict


def _seconds(results: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Of table 1: seconds an epoch over those of none."""
    by_task = [ratios(rows) for _, rows in results.groupby("task")]
    for method, theirs in SECONDS.items():
        ours = [own[method] for own in by_task if method in own]
        if ours:
            middle = median(ours)
            said = f"{middle:.2f} times: the median of {_tasks(ours)}, from {min(ours):.2f} to {max(ours):.2f}"
            differs = wilcoxon([math.log(ratio / theirs) for ratio in ours]) < LEVEL
            equal = abs(middle / theirs - 1) <= CLOSE
            yield (
                f"an epoch of {method} takes {theirs:.2f} times that of none",
                f"{theirs:.2f} times",
                said,
                HOLDS if equal else FAILS if differs else OPEN,
            )


def _weights(results: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Of ARD, that it prunes."""
    shares = results.pivot_table(SMALL, "task", "method") if SMALL in results else pd.DataFrame()
    if not {"ard", "none"} <= set(shares):
        return
    both = shares[["ard", "none"]].dropna()
    more = list(both["ard"] - both["none"])
    told = bool(more) and wilcoxon(more) < LEVEL
    small, usual = both["ard"].median(), both["none"].median()
    yield (
        "ard prunes weights",
        "said in words",
        f"{small:.1%} of the weights are within ±0.001 of 0, under none {usual:.1%}: medians of {_tasks(more)}",
        (HOLDS if median(more) > 0 else FAILS) if told else OPEN,
    )


def _tasks(values: Sequence[float]) -> str:
    return f"{len(values)} task{'' if len(values) == 1 else 's'}"
