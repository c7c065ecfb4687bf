"""How probable it is that a run of a method is better than one of none, over tasks (Agarwal et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from bayesreg.report.forest import Line, any_known, better, panel, rows
from bayesreg.report.panels import Group, Picture
from bayesreg.report.style import LIGHT

EDGES = (-0.03, 1.03)  # of probabilities, with room for half a marker
UNKNOWN = "not compared"


def improvement(table: pd.DataFrame) -> Picture | None:
    """A line per method, and a reference line at ½; table: of `Across`. None where nothing is compared."""
    found = [_line(row) for row in table.to_dict("records")]
    if not any_known(found):
        return None
    said = "; ".join(map(_words, found))
    alt = f"Probability that a run of each method is better than a run of none, over tasks: {said}."
    return Picture([Group("Probability of improvement", [panel(partial(_draw, found=found), alt, found)])])


def _line(row: dict) -> Line:
    mean, low, high = (float(row[name]) for name in ("improvement", "improvement_low", "improvement_high"))
    said = f"{mean:.2f} {row['verdict']}" if row["tasks"] else UNKNOWN
    return Line(row["method"], mean, low, high, said, recommended=False)


def _words(line: Line) -> str:
    number, _, verdict = line.said.partition(" ")
    return f"{line.method} " + (
        UNKNOWN if line.said == UNKNOWN else f"{number} [{line.low:.2f}, {line.high:.2f}] {verdict}"
    )


def _draw(ax: Any, found: Sequence[Line]) -> None:
    ax.axvline(0.5, color=LIGHT["soft"], linewidth=0.9)
    rows(ax, found, EDGES)
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set_xlabel("probability that it is better")
    better(ax, rightwards=True)
