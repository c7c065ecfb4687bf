"""The first picture: for each task the differences from none with their intervals, in the unit of the metric.

A forest plot (Lewis & Clarke, 2001): a line per method, with an interval that counts both seeds and test examples as
chance; shaded, what is too small to matter (the region of practical equivalence).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from bayesreg import statistics
from bayesreg.metrics import METRICS
from bayesreg.report import tables
from bayesreg.report.panels import LETTER, WIDTH, Group, Panel, Picture
from bayesreg.report.style import LIGHT, SMALL, USUAL, letters, seen, shortened

ROW, ROOM = 19, 62  # pixels of a line, and of the space above and below all lines
LONGEST = 20  # letters of a method's name
FILLED = {"better": seen("#0072B2", LIGHT), "worse": seen("#D55E00", LIGHT)}  # Okabe & Ito (2008)
FAR = 4.0  # times the median reach: what lies further is drawn at the edge, with its number
UNITS = {"nll": "nats"}


class Line(NamedTuple):
    """One method in the picture: its difference from none, NaN for what is unknown, and the text beside it."""

    method: str
    mean: float
    low: float
    high: float
    said: str
    recommended: bool


def forest(table: pd.DataFrame, results: pd.DataFrame) -> Picture | None:
    """table: a study's, with its differences from none; results: `statistics.results`. None where nothing is paired."""
    groups = [_group(str(task), rows, results[results["task"] == task]) for task, rows in table.groupby("task")]
    groups = [group for group in groups if group.panels]
    return Picture(groups) if groups else None


def _group(task: str, rows: pd.DataFrame, results: pd.DataFrame) -> Group:
    metrics = dict.fromkeys(["nll", *results["metric"].astype(str)])
    drawn = {metric: lines_of(rows, results, metric) for metric in metrics}
    return Group(task, [_panel(metric, lines) for metric, lines in drawn.items() if any_known(lines)])


def any_known(lines: Sequence[Line]) -> bool:
    return any(math.isfinite(line.mean) for line in lines)


def lines_of(rows: pd.DataFrame, results: pd.DataFrame, metric: str) -> list[Line]:
    """A line per method but none, in the order of all tables."""
    means = results.set_index("method").get(f"{metric}_mean", pd.Series(dtype=float))
    found = {row["method"]: row for row in rows.to_dict("records")}
    return [_line(found[name], metric, means) for name in statistics.ordered(found) if name != "none"]


def _line(row: dict, metric: str, means: pd.Series) -> Line:
    mean, low, high = (float(row.get(f"{metric}_{part}", math.nan)) for part in ("difference", "low", "high"))
    if math.isfinite(mean):
        verdict = row[f"{metric}_verdict"]
        return Line(row["method"], mean, low, high, f"{_number(mean)} {verdict}", bool(row["recommended"]))
    if row["status"] != "done":
        return Line(row["method"], math.nan, math.nan, math.nan, row["status"], False)
    mean = float(means.get(row["method"], math.nan) - means.get("none", math.nan))
    said = f"{_number(mean)} no interval" if math.isfinite(mean) else tables.NOTHING
    return Line(row["method"], mean, math.nan, math.nan, said, bool(row["recommended"]))


def _number(value: float) -> str:
    return tables.number(value, None if abs(value) >= 10 else ".3f", "+")


def _panel(metric: str, lines: list[Line]) -> Panel:
    alt = f"Test {metric} of each method minus that of none: " + "; ".join(map(_words, lines)) + "."
    return panel(partial(_draw, metric=metric, lines=lines), alt, lines)


def panel(draw: Callable[[Any], None], alt: str, lines: Sequence[Line]) -> Panel:
    """A panel with room for the lines, their names and the text beside them."""
    return Panel(
        draw,
        alt,
        height=ROW * len(lines) + ROOM,
        left=names([line.method for line in lines]),
        right=int(14 + 1.08 * LETTER * max(len(line.said) for line in lines)),
        bottom=44,
        top=18,
    )


def names(methods: Sequence[str]) -> int:
    """Pixels that the names of methods take to the left of a panel."""
    return int(min(14 + LETTER * max(map(letters, methods)), WIDTH * 0.4))


def _words(line: Line) -> str:
    between = f" [{_number(line.low)}, {_number(line.high)}]" if math.isfinite(line.low) else ""
    number, _, verdict = line.said.rpartition(" ") if between else (line.said, "", "")
    return f"{line.method} {number}{between} {verdict}".strip() + " (recommended)" * line.recommended


def frame(lines: Sequence[Line], rope: float) -> tuple[float, float]:
    """The limits of the axis: they include 0 and every interval but those that reach far beyond the others."""
    ends = np.array([[line.mean, line.low, line.high] for line in lines if math.isfinite(line.mean)])
    each = np.nanmax(np.abs(ends), axis=1)
    near = ends[each <= FAR * float(np.median(each))]
    low, high = min(np.nanmin(near), -1.5 * rope), max(np.nanmax(near), 1.5 * rope)
    room = 0.06 * (high - low) or 1.0
    return float(low - room), float(high + room)


def _draw(ax: Any, metric: str, lines: list[Line]) -> None:
    rope, sense = METRICS[metric].rope, statistics.sense(metric)
    edges = frame(lines, rope)
    ax.axvspan(-rope, rope, color=LIGHT["rope"], linewidth=0)
    ax.axvline(0, color=LIGHT["soft"], linewidth=0.9)
    rows(ax, lines, edges)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.xaxis.set_major_formatter(lambda value, _: tables.number(round(value, 9), "g", "+"))
    ax.set_xlabel(f"test {metric} − that of none" + (f", {UNITS[metric]}" if metric in UNITS else ""))
    better(ax, rightwards=sense > 0)


def better(ax: Any, rightwards: bool) -> None:
    """Say above the axes in which direction is better."""
    text, place = ("better →", {"ha": "right", "x": 1.0}) if rightwards else ("← better", {"ha": "left", "x": 0.0})
    ax.text(**place, y=1.0, s=text, transform=ax.transAxes, va="bottom", fontsize=SMALL, color=LIGHT["soft"])


def rows(ax: Any, lines: Sequence[Line], edges: tuple[float, float]) -> None:
    """Draw a row per line, in a frame from edge to edge."""
    for y, line in enumerate(lines):
        _mark(ax, y, line, edges)
    ax.set(xlim=edges)
    named(ax, [shortened(line.method, LONGEST) for line in lines])
    for label, line in zip(ax.get_yticklabels(), lines, strict=True):
        label.set(fontweight="bold" if line.recommended else "normal")


def named(ax: Any, names: Sequence[str]) -> None:
    """Label a row for each name, the first at y = 0 on top."""
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), names, fontsize=USUAL)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)


def beside(ax: Any, y: float, text: str, bold: bool = False) -> None:
    """Write the text of the line at y, to the right of the axes."""
    ax.annotate(text, (1, y), (6, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=USUAL,
                color=LIGHT["ink"], fontweight="bold" if bold else "normal")  # fmt: skip


def _mark(ax: Any, y: float, line: Line, edges: tuple[float, float]) -> None:
    verdict = line.said.rpartition(" ")[2]
    colour = FILLED.get(verdict, LIGHT["ink"])
    beside(ax, y, line.said, line.recommended)
    if not math.isfinite(line.mean):
        return
    if not edges[0] <= line.mean <= edges[1]:
        ax.plot(line.mean > 0, y, ">" if line.mean > 0 else "<", color=colour, transform=ax.get_yaxis_transform())
        return
    if math.isfinite(line.low):
        ax.plot([line.low, line.high], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
    face = colour if verdict in FILLED else LIGHT["paper"]
    ax.plot(line.mean, y, "o", markersize=5.5, markerfacecolor=face, markeredgecolor=colour, markeredgewidth=1.3)
