"""Figure 1 of the paper: scores by data set and method, with colours in units of the spread.

The colour is the difference to none divided by the half-width h of its interval: none where the interval has 0 in it,
so that noise looks like noise, and the full one from 4 h on. Scaling a row from its worst to its best instead would
give a gap of 0.001 the whole range of colours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.special import stdtrit

from bayesreg import statistics
from bayesreg.metrics import METRICS
from bayesreg.report.style import LIGHT, SMALL, USUAL, lines, mix, verbatim
from bayesreg.report.tables import DAGGER, Cell, Table

FULL = 4.0  # half-widths
FAINT = 0.25  # the share of colour where the interval only just leaves 0 out


def tint(difference: float, half: float, higher_is_better: bool = True) -> float:
    """From −1, much worse than none, over 0, where the interval has 0 in it or is not known, to 1."""
    if not (math.isfinite(difference) and math.isfinite(half)) or abs(difference) <= half:
        return 0.0
    units = min(abs(difference) / half, FULL) if half else FULL
    share = FAINT + (1 - FAINT) * (units - 1) / (FULL - 1)
    return math.copysign(share, difference if higher_is_better else -difference)


def tints(results: pd.DataFrame, selected: pd.DataFrame, table: pd.DataFrame | None) -> dict[tuple[str, str], float]:
    """{(task, method): tint} of the headline metric.

    table: of a study, whose intervals count seeds and test examples; None: Student's intervals at 95 % over the seeds.
    """
    metrics = results.drop_duplicates("task").set_index("task")["metric"]
    found = _over_seeds(selected) if table is None else _of_study(table, metrics)
    return {key: tint(*own, METRICS[metrics[key[0]]].higher_is_better) for key, own in found.items()}


def _of_study(table: pd.DataFrame, metrics: pd.Series) -> dict[tuple[str, str], tuple[float, float]]:
    found = {}
    for row in table[table["task"].isin(metrics.index)].to_dict("records"):
        parts = [row.get(f"{metrics[row['task']]}_{part}", math.nan) for part in ("difference", "low", "high")]
        found[row["task"], row["method"]] = (parts[0], (parts[2] - parts[1]) / 2)
    return found


def _over_seeds(selected: pd.DataFrame) -> dict[tuple[str, str], tuple[float, float]]:
    found = {}
    for row in statistics.paired(selected).to_dict("records"):
        half = stdtrit(row["n"] - 1, 0.975) * row["sd"] / math.sqrt(row["n"]) if row["n"] > 1 else math.nan
        found[row["task"], row["method"]] = (row["mean"], half)
    return found


def tinted(scores: Table, tints: Mapping[tuple[str, str], float]) -> Table:
    """The table of scores with its colours."""
    rows = [
        [
            cell._replace(tint=tints.get((row[0].text, method), 0.0))
            for method, cell in zip(scores.header, row, strict=True)
        ]
        for row in scores.rows
    ]
    return Table(scores.header, rows)


@verbatim
def heatmap(table: Table) -> Figure:
    """The tinted table as a picture: rows of tasks, columns of methods; a dashed frame where no baseline is beaten."""
    columns, rows = table.header[2:], table.rows
    width, height = len(columns), len(rows)
    size = (1.75 + 0.98 * width, 0.5 + 0.62 * height)
    figure = Figure(size, facecolor=LIGHT["paper"])
    axes = figure.add_axes((1.7 / size[0], 0.05 / size[1], 0.98 * width / size[0], 0.62 * height / size[1]))
    for y, row in enumerate(rows):
        for x, cell in enumerate(row[2:]):
            _cell(axes, x, y, cell)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_yticks(range(height), [f"{lines(row[0].text, 24)}\n{row[1].text}".strip() for row in rows])
    axes.set_xticks(range(width), [lines(name, 13) for name in columns], fontweight="bold")
    axes.tick_params(length=0, labelcolor=LIGHT["ink"], labeltop=True, labelbottom=False, labelsize=USUAL)
    axes.spines[:].set_visible(False)
    return figure


def paint(tint: float, theme: Mapping[str, str]) -> str:
    """The colour of a cell, as the style sheet mixes it."""
    return mix(theme["better" if tint > 0 else "worse"], theme["paper"], abs(tint))


def _cell(axes: Any, x: float, y: float, cell: Cell) -> None:
    face: dict[str, Any] = {"facecolor": paint(cell.tint, LIGHT), "edgecolor": LIGHT["line"], "linewidth": 0.6}
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **face))
    if cell.below_baseline:
        dashed: dict[str, Any] = {"fill": False, "edgecolor": LIGHT["ink"], "linestyle": (0, (3, 2)), "linewidth": 0.8}
        axes.add_patch(Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, **dashed))
    text = cell.text.replace(" (", "\n(") + DAGGER * cell.below_baseline
    text = "\n".join(lines(part, 15) for part in text.split("\n"))
    weight = "bold" if cell.marked else "normal"
    axes.text(x, y, text, ha="center", va="center", fontsize=SMALL + 0.5, color=LIGHT["ink"], fontweight=weight)
