"""The first picture: what a step costs by network and prior, relative to a step written by hand in PyTorch."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from bayesreg.priors import Look
from bayesreg.report.forest import beside, named
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, TASKS, seen
from benchmarks.cases import CASES
from benchmarks.contestants import BAYESREG, HAND

LOOKS = {BAYESREG: Look(seen(TASKS[0], LIGHT), "o", ""), HAND: Look(LIGHT["ink"], "s", "")}
LEGEND = {"bayesreg": LOOKS[BAYESREG], "the same prior by hand": LOOKS[HAND]}
ROW, ROOM = 26, 60  # pixels of a line, and of the space above and below all lines


def relative(steps: pd.DataFrame) -> pd.DataFrame:
    """MAP steps with `ratio`, `low` and `high`: over the hand-written step without a prior of the same network."""
    where = ["case", "batch", "width"]
    delta = steps[steps["guide"] == "delta"]
    unit = delta[(delta["contestant"] == HAND) & (delta["prior"] == "none")].set_index(where)["median_ms"]
    found = delta.join(unit.rename("unit"), on=where, how="inner")
    parts = {"ratio": "median_ms", "low": "q25_ms", "high": "q75_ms"}
    return found.assign(**{name: found[column] / found["unit"] for name, column in parts.items()})


def cost(steps: pd.DataFrame) -> Picture | None:
    """A panel per network, a line per prior. None where nothing was measured beside the hand-written step."""
    known = relative(steps[steps["contestant"].isin(LOOKS)])
    every = known.groupby(["case", "width", "batch"], sort=False)
    shown = [(name, own) for name, own in every if name[1] == 1 or own["prior"].nunique() > 2]
    if not shown:
        return None
    ends = pd.concat([own[["low", "high"]] for _, own in shown])
    edges = (min(ends["low"].min(), 1) - 0.04, max(ends["high"].max(), 1) + 0.04)  # one scale for all
    return Picture([Group(_title(*name), [_panel(own, edges)]) for name, own in shown], LEGEND)


def _title(case: str, width: int, batch: int) -> str:
    wide = f", {width} times as wide" if width > 1 else ""
    several = f", batch {batch}" if len(CASES[case].gpu_batches) > 1 and batch in CASES[case].gpu_batches else ""
    return f"{CASES[case].title}{wide}{several}"


def _panel(own: pd.DataFrame, edges: tuple[float, float]) -> Panel:
    ratios = own.pivot(index="prior", columns="contestant", values="ratio")
    said = (f"{prior} {row.get(BAYESREG):.2f}, by hand {row.get(HAND):.2f}" for prior, row in ratios.iterrows())
    alt = f"Time per step over that of the hand-written step without a prior: {'; '.join(said)}."
    return Panel(partial(_draw, own=own, edges=edges), alt, ROW * len(ratios) + ROOM, left=64, right=44, bottom=44)


def _draw(ax: Any, own: pd.DataFrame, edges: tuple[float, float]) -> None:
    priors = list(dict.fromkeys(own["prior"]))
    ax.axvline(1, color=LIGHT["soft"], linewidth=0.9)
    for row in own.to_dict("records"):
        colour, marker, _ = LOOKS[row["contestant"]]
        ours = row["contestant"] == BAYESREG
        y = priors.index(row["prior"]) + (-0.16 if ours else 0.16)
        ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.8)
        ax.plot(row["ratio"], y, marker, color=colour, markersize=6 if ours else 4.5)
        if ours:
            beside(ax, priors.index(row["prior"]), f"{row['ratio']:.2f}")
    named(ax, priors)
    ax.set(xlim=edges, xlabel="× the hand-written step without a prior")
