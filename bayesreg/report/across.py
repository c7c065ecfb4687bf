"""What the page says of all tasks together: a sentence, a table, and why a picture is not there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bayesreg.report.phrases import several
from bayesreg.report.profile import METRIC, ROPE
from bayesreg.report.tables import NOTHING, Cell, Table, number
from bayesreg.statistics import Across, tasks_needed
from bayesreg.statistics.ranks import FEWEST

HEADER = ["method", "tasks", "missing", "diverged", "better\non", "tied\non", "worse\non"]
HEADER += [f"{METRIC} − none", "improvement", "p (Holm)", "verdict"]


def told(found: Across | None) -> Across | None:
    """What there is to tell; None where there are not two tasks, or no method beside none."""
    return None if found is None or found.tasks < 2 or found.table.empty else found


def section(found: Across) -> dict[str, Any]:
    """What the template needs."""
    said = {"sentence": found.sentence, "tasks": found.tasks, "table": _table(found), "ranked": _ranked(found)}
    return said | {"metric": METRIC, "rope": f"{ROPE:g}"}


def _table(found: Across) -> Table:
    return Table(HEADER, [_row(row) for row in found.table.to_dict("records")])


def _row(row: dict) -> list[Cell]:
    counts = [row[name] for name in ("tasks", "missing", "diverged", "better", "tied", "worse")]
    difference = _interval([row[name] for name in ("difference", "low", "high")], ".3f", "+")
    chance = _interval([row[f"improvement{end}"] for end in ("", "_low", "_high")], ".2f")
    p, verdict = (f"{row['p']:.2g}", row["verdict"]) if row["tasks"] else (NOTHING, "not compared")
    texts = [row["method"], *(f"{count:.0f}" for count in counts), difference, chance, p]
    return [*map(Cell, texts), Cell(verdict, marked=verdict == "better")]


def _interval(ends: Sequence[float], form: str, sign: str = "") -> str:
    """+0.123 [+0.045, +0.201]; of one task the mean alone."""
    mean, low, high = (number(value, form, sign) for value in ends)
    if all(map(math.isfinite, ends)):
        return f"{mean} [{low}, {high}]"
    return f"{mean}\nno interval" if math.isfinite(ends[0]) else NOTHING


def _ranked(found: Across) -> str:
    """What the ranks leave out, or why there are none."""
    methods = list(dict.fromkeys(found.profile["method"]))
    if found.ranks is None:
        return (
            f"There is no critical-difference picture: it takes {FEWEST} tasks, and these are {found.tasks}."
            if found.tasks < FEWEST
            else "There is no critical-difference picture: no two methods were compared on every task."
        )
    kept, pairs = list(found.ranks.mean.index), math.comb(len(found.ranks.mean), 2)
    out = [name for name in methods if name not in kept]
    left = f"Not compared on every task, and so without a rank: {several(out)}." if out else ""
    few = f"With {pairs} pairs it takes {tasks_needed(pairs)} tasks to tell any two apart, and these are {found.tasks}."
    return f"{left} {few if tasks_needed(pairs) > found.tasks else ''}".strip()
