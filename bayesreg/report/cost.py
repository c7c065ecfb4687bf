"""What a method gains against what it costs: the difference from none in test NLL by the ratio of seconds per epoch."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pandas as pd

from bayesreg.report import tables
from bayesreg.report.forest import frame, lines_of
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, of_methods

METRIC = "nll"


def cost(table: pd.DataFrame, results: pd.DataFrame) -> Picture | None:
    """A panel per task, a point per method with the interval of its difference. None where no task has both."""
    groups = [_group(str(task), rows, results[results["task"] == task]) for task, rows in table.groupby("task")]
    groups = [group for group in groups if group.panels]
    return Picture(groups, of_methods(table["method"])) if groups else None


def ratios(results: pd.DataFrame) -> dict[str, float]:
    """{method: seconds per epoch divided by those of none}, for one task; empty where none has no seconds."""
    seconds = results.set_index("method")["seconds_epoch_mean"] if "seconds_epoch_mean" in results else pd.Series()
    none = float(seconds.get("none", math.nan))
    return {str(m): float(s) / none for m, s in seconds.items() if math.isfinite(s) and none > 0}


def _group(task: str, rows: pd.DataFrame, results: pd.DataFrame) -> Group:
    known = ratios(results)
    points = [(known[line.method], line) for line in lines_of(rows, results, METRIC) if line.method in known]
    points = [(ratio, line) for ratio, line in points if math.isfinite(line.mean)]
    if not points:
        return Group(task, [])
    said = "; ".join(
        f"{line.method} {ratio:.2f} times, {tables.number(line.mean, '.3f', '+')}" for ratio, line in points
    )
    alt = f"Difference from none in test NLL by seconds per epoch relative to none: {said}."
    return Group(task, [Panel(partial(_draw, points=points), alt)])


def _draw(ax: Any, points: list[tuple[float, Any]]) -> None:
    looks = of_methods(line.method for _, line in points)
    ax.axhline(0, color=LIGHT["soft"], linewidth=0.9)
    ax.plot(1, 0, "o", color=LIGHT["ink"], markersize=5)
    for ratio, line in points:
        colour, marker, _ = looks[line.method]
        if math.isfinite(line.low):
            ax.plot([ratio, ratio], [line.low, line.high], color=colour, linewidth=1.0)
        ax.plot(ratio, line.mean, marker=marker or "o", color=colour, markersize=6, linestyle="none")
    ax.set(
        ylim=frame([line for _, line in points], 0.0),
        xlabel="seconds per epoch, relative to none",
        ylabel="test nll − that of none, nats",
    )
