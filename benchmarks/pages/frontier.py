"""What the smoothness prior's estimate costs against its accuracy: what pays lies low and left."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from bayesreg.priors import Look
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, SMALL, TASKS, seen
from benchmarks.cases import CASES

LOOKS = {
    f"every {every} steps".replace("1 steps", "step"): Look(seen(colour, LIGHT), marker, "")
    for every, marker, colour in zip((1, 2, 4, 8), "os^D", TASKS, strict=False)
}
TICKS = (1, 1.5, 2, 3, 5, 10, 20, 50)


def frontier(costs: pd.DataFrame, default: str) -> Picture | None:
    """A panel per network at its own width, a point per setting; the default is named. None where nothing was drawn."""
    known = costs[(costs["width"] == 1) & costs["deviation"].notna()] if "deviation" in costs else costs[:0]
    groups = [Group(CASES[str(case)].title, [_panel(own, default)]) for case, own in known.groupby("case", sort=False)]
    return Picture(groups, LOOKS) if groups else None


def _panel(own: pd.DataFrame, default: str) -> Panel:
    said = "; ".join(f"{setting}: {ratio:.2f} times, {100 * deviation:.1f} %" for setting, ratio, deviation in
                     own[["setting", "ratio", "deviation"]].itertuples(index=False))  # fmt: skip
    alt = f"Deviation of the estimate by the time of a step over that of one without a prior, by setting: {said}."
    return Panel(partial(_draw, own=own, default=default), f"{alt} The default is {default}.", height=240)


def _draw(ax: Any, own: pd.DataFrame, default: str) -> None:
    for (colour, marker, _), every in zip(LOOKS.values(), (1, 2, 4, 8), strict=True):
        some = own[own["every"] == every]
        ax.plot(some["ratio"], 100 * some["deviation"], marker, color=colour, markersize=5.5)
    for row in own[own["setting"] == default].to_dict("records"):
        place = (row["ratio"], 100 * row["deviation"])
        ax.plot(*place, "o", markersize=13, markerfacecolor="none", markeredgecolor=LIGHT["ink"])
        ax.annotate("default", place, (9, 6), textcoords="offset points", fontsize=SMALL, fontweight="bold")
    top, most = 115 * own["deviation"].max(), 1.2 * own["ratio"].max()
    ax.set(xscale="log", xlim=(0.95, most), ylim=(-0.04 * top, top))
    ax.set(xlabel="× a step without a prior", ylabel="deviation over 8 steps, %")
    shown = [tick for tick in TICKS if tick <= most]
    ax.set_xticks(shown, [f"{tick:g}" for tick in shown])
    ax.minorticks_off()
