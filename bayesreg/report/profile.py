"""On what share of the tasks a method is within a distance of the best: performance profiles (Dolan & Moré, 2002)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator, SymmetricalLogLocator

from bayesreg import statistics
from bayesreg.metrics import METRICS
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, look, of_methods

METRIC = "nll"  # by which `Study.across` compares
ROPE = METRICS[METRIC].rope


def profile(table: pd.DataFrame) -> Picture | None:
    """A line per method; table: the profile of `Across`. None where no method has a score on any task."""
    if not table["share"].any():
        return None
    said = "; ".join(_words(method, _of(table, method)) for method in statistics.ordered(table["method"]))
    alt = f"Share of the tasks on which a method is within a distance of the best in test {METRIC}: {said}."
    return Picture(
        [Group("Performance profile", [Panel(partial(_draw, table=table), alt, height=250)])],
        of_methods(table["method"]),
    )


def _of(table: pd.DataFrame, method: str) -> pd.Series:
    """Its shares by gap."""
    return table[table["method"] == method].set_index("gap")["share"]


def _words(method: str, shares: pd.Series) -> str:
    near = shares[shares.index <= ROPE].iloc[-1]
    return f"{method} best on {shares.iloc[0]:.0%}, within {ROPE:g} nats on {near:.0%}, in all {shares.iloc[-1]:.0%}"


def _draw(ax: Any, table: pd.DataFrame) -> None:
    """Steps over a scale that is linear up to the ROPE and logarithmic beyond it."""
    end = max(1.3 * table["gap"].max(), 2 * ROPE)
    ax.axvspan(0, ROPE, color=LIGHT["rope"], linewidth=0)
    for method in statistics.ordered(table["method"]):
        shares, (colour, marker, dashes) = _of(table, method), look(method)
        style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": dashes, "markersize": 4}
        x, y = [*shares.index, end], [*shares, shares.iloc[-1]]
        rises = [0, *(np.flatnonzero(np.diff(y)) + 1)]
        ax.plot(x, y, drawstyle="steps-post", linewidth=1.4, label=method, markevery=rises, **style)
    ax.set_xscale("symlog", linthresh=ROPE)
    ax.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=ROPE))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.set(xlim=(0, end), ylim=(-0.03, 1.03), xlabel="nats behind the best of the task", ylabel="share of the tasks")
