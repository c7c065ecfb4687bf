"""The step as the work grows: its time by its operations, and the time of the machine's matrix product."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.ticker import EngFormatter

from bayesreg.priors import Look
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, TASKS, seen
from bayesreg.report.tables import number
from benchmarks.cases import CASES
from benchmarks.contestants import BAYESREG, HAND

LOOKS = {BAYESREG: Look(seen(TASKS[0], LIGHT), "o", "-"), HAND: Look(LIGHT["ink"], "s", (0, (2, 2)))}
DASHES = ((0, (1, 1)), (0, (5, 2)), (0, (5, 2, 1, 2)))


def widths(rows: pd.DataFrame, rates: Mapping[int, float]) -> Picture | None:
    """A panel per network. rates: {threads: FLOP/s of a matrix product}. None without a run without a prior."""
    none = rows[rows["prior"] == "none"]
    roofs = {
        f"matrix product, {threads} thread{'s' * (threads > 1)}": (rate, Look(LIGHT["soft"], "", DASHES[i % 3]))
        for i, (threads, rate) in enumerate(sorted(rates.items()))
    }
    groups = [Group(CASES[str(case)].title, [_panel(own, roofs)]) for case, own in none.groupby("case", sort=False)]
    return Picture(groups, LOOKS | {name: look for name, (_, look) in roofs.items()}) if groups else None


def _panel(own: pd.DataFrame, roofs: Mapping[str, tuple[float, Look]]) -> Panel:
    ends = "; ".join(
        f"{row['contestant']} at {row['width']} times the width {number(row['median_ms'])} ms"
        for row in own.to_dict("records")
    )
    alt = f"Milliseconds per step without a prior by its floating-point operations: {ends}."
    return Panel(partial(_draw, own=own, roofs=roofs), alt)


def _draw(ax: Any, own: pd.DataFrame, roofs: Mapping[str, tuple[float, Look]]) -> None:
    ends = [own["flop"].min() / 2, own["flop"].max() * 2]
    for rate, (colour, _, dashes) in roofs.values():
        ax.plot(ends, [1e3 * end / rate for end in ends], color=colour, linestyle=dashes, linewidth=1.2)
    for contestant, (colour, marker, dashes) in LOOKS.items():
        line = own[own["contestant"] == contestant].sort_values("flop")
        ax.plot(line["flop"], line["median_ms"], marker, color=colour, linestyle=dashes, linewidth=1.4, markersize=5)
    ax.set(xscale="log", yscale="log", xlabel="floating-point operations per step", ylabel="ms per step")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.minorticks_off()
