"""How strengths were chosen: the validation metric by strength, with the chosen one and where the grid ends."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator, NullFormatter

from bayesreg import statistics
from bayesreg.report import tables
from bayesreg.report.curves import line
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import look, of_methods


def strengths(candidates: pd.DataFrame, results: pd.DataFrame, select: str = statistics.SELECT) -> Picture | None:
    """A panel per task, a line per method; a ring marks the chosen strength, a cross one that diverged."""
    known = (candidates["strength"] > 0) & (candidates["status"] == "done")
    tasks = sorted(set(candidates.loc[known, "task"]))
    groups = [_group(task, candidates[candidates["task"] == task], results, select) for task in tasks]
    return Picture(groups, of_methods(candidates["method"])) if groups else None


def _group(task: str, rows: pd.DataFrame, results: pd.DataFrame, select: str) -> Group:
    chosen = results[(results["task"] == task) & (results["strength"] > 0)].to_dict("records")
    said = "; ".join(
        f"{row['method']} {tables.strength(row, ' ')}" + ", at the edge of its grid" * bool(row["edge"])
        for row in chosen
    )
    alt = f"Validation {select} by strength, a line per method. Chosen: {said or 'none'}."
    return Group(task, [Panel(partial(_draw, rows=rows, chosen=chosen, select=select), alt)])


def _draw(ax: Any, rows: pd.DataFrame, chosen: list[dict], select: str) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel="strength", ylabel=f"validation {select}")
    tried = rows["strength"].dropna()
    if tried.nunique() == 1:  # for which Matplotlib would make a frame without width
        ax.set_xlim(tried.iloc[0] / 10, tried.iloc[0] * 10)
    for method in statistics.ordered(rows["method"]):
        _method(ax, method, rows[rows["method"] == method].sort_values("strength"))
    _frame(ax, rows, chosen, statistics.sense(select))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    for row in chosen:
        ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": look(row["method"]).colour}
        ax.plot(row["strength"], row["validation_mean"], "o", markersize=12, markeredgewidth=1.5, **ring)


def _method(ax: Any, method: str, rows: pd.DataFrame) -> None:
    done = rows[rows["status"] == "done"]
    colour, _, dashes = look(method)
    for value in done.loc[done["strength"].isna(), "validation_mean"]:
        ax.axhline(value, color=colour, linestyle=dashes, linewidth=1.4, label=method)
    done = done[done["strength"].notna()].set_index("strength")
    if len(done):
        line(ax, method, done["validation_mean"], done["validation_sd"])
    failed = rows.loc[(rows["status"] == "diverged") & rows["strength"].notna(), "strength"]
    # Data coordinates across, the frame's own coordinates upwards: the crosses stand on the axis.
    if len(failed):
        ax.plot(failed, [0.03] * len(failed), "x", color=colour, transform=ax.get_xaxis_transform())


def _frame(ax: Any, rows: pd.DataFrame, chosen: list[dict], sense: int) -> None:
    """Limit the frame to where the choice is made: strengths that ruin a method would hide it."""
    known = [row["validation_mean"] for row in chosen] + list(rows.loc[rows["strength"].isna(), "validation_mean"])
    known = [value for value in known if math.isfinite(value)]
    spread = max(known, default=0.0) - min(known, default=0.0)
    low, high = ax.get_ylim()
    if spread:
        bad, good = 2 * spread, 0.5 * spread
        below, above = (bad, good) if sense > 0 else (good, bad)
        ax.set_ylim(max(low, min(known) - below), min(high, max(known) + above))
