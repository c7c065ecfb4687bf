"""The two pictures: every contestant beside the hand-written step, and the step as the work grows."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from bayesreg.priors import Look
from bayesreg.report.style import LIGHT, svg
from benchmarks.contestants import BAYESREG, BAYESREG_COMPILED, HAND, HAND_COMPILED, NAIVE

INK, FAINT = LIGHT["ink"], LIGHT["line"]
LOOKS = {  # Okabe & Ito (2008)
    BAYESREG: Look("#0072B2", "o", "-"),
    BAYESREG_COMPILED: Look("#56B4E9", "D", "-"),
    HAND: Look("#000000", "s", "-"),
    HAND_COMPILED: Look("#999999", "P", "-"),
    NAIVE: Look("#D55E00", "^", "-"),
}
TICKS = (  # from narrow to wide axes
    [0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4],
    [0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5],
    [0.25, 0.5, 0.7, 1, 1.5, 2, 3, 4],
    [0.5, 1, 2, 5, 10, 20],
)
CASES = {
    "mlp": Look("#0072B2", "o", "-"),
    "housing": Look("#E69F00", "s", "-"),
    "resnet18": Look("#D55E00", "^", "-"),
    "lstm": Look("#009E73", "D", "-"),
    "transformer": Look("#CC79A7", "v", "-"),
}


def draw(steps: pd.DataFrame, widths: pd.DataFrame, rates: dict[int, float]) -> dict[str, bytes]:
    """File name → picture."""
    return {"step_time.svg": svg(step_time(steps)), "widths.svg": svg(by_work(widths, rates))}


def panels(count: int) -> tuple[Figure, list[Any]]:
    """A figure of `count` panels, three in a row, or two by two."""
    columns = 2 if count == 4 else min(3, count)
    rows = math.ceil(count / columns)
    size = (max(5.5, 3.6 * columns), 3.0 * rows + 0.6)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def step_time(steps: pd.DataFrame) -> Figure:
    """One panel a network: time a step by prior, over the hand-written step without a prior; MAP."""
    delta = steps[steps["guide"] == "delta"]
    groups: list[tuple[Any, pd.DataFrame]] = list(delta.groupby(["case", "width", "batch"], sort=False))
    groups = [(name, rows) for name, rows in groups if _none(rows) and (name[1] == 1 or rows["prior"].nunique() > 2)]
    figure, axes = panels(max(1, len(groups)))
    for ax, ((case, width, batch), rows) in zip(axes, groups, strict=False):
        priors = list(dict.fromkeys(rows["prior"]))
        for number, (contestant, look) in enumerate(LOOKS.items()):
            own = rows[rows["contestant"] == contestant]
            if not own.empty:
                _dots(ax, own, [priors.index(p) + 0.13 * (number - 2) for p in own["prior"]], _none(rows), look)
        ax.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
        ax.set_xticks(range(len(priors)), priors)
        ax.set_xlim(-0.5, len(priors) - 0.5)
        multiple = f", {width}× as wide" if width > 1 else ""
        ax.set(title=f"{case}{multiple}, batch {batch}", ylabel="× hand-written, none", yscale="log")
        _plain(ax.yaxis, ax.get_ylim())
    handles = {label: h for ax in axes for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def _none(rows: pd.DataFrame) -> float:
    """The unit: ms of the hand-written step without a prior; 0 where it was not measured."""
    found = rows[(rows["contestant"] == HAND) & (rows["prior"] == "none")]["median_ms"]
    return 0.0 if found.empty else float(found.iloc[0])


def _dots(ax: Any, rows: pd.DataFrame, places: list[float], unit: float, look: Look) -> None:
    middle, low, high = (rows[name] / unit for name in ("median_ms", "q25_ms", "q75_ms"))
    label = rows["contestant"].iloc[0]
    style: dict[str, Any] = {"color": look.colour, "fmt": look.marker, "markersize": 5.5, "elinewidth": 1.2}
    ax.errorbar(places, middle, [middle - low, high - middle], label=label, **style)


def _plain(axis: Any, limits: tuple[float, float]) -> None:
    """Few ticks on a logarithmic axis, in ordinary numbers."""
    for ticks in TICKS:
        inside = [tick for tick in ticks if limits[0] <= tick <= limits[1]]
        if len(inside) <= 6:
            break
    axis.set_ticks(inside)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def by_work(widths: pd.DataFrame, rates: dict[int, float]) -> Figure:
    """Time a step by its operations; below the lines lies what no program on this machine can reach."""
    figure = Figure(figsize=(8, 5.2), layout="constrained", facecolor="white")
    ax = figure.add_subplot()
    rows = widths[widths["prior"] == "none"]
    for case, own in rows.groupby("case", sort=False):
        look = CASES[str(case)]
        for contestant, filled in ((BAYESREG, True), (HAND, False)):
            line = own[own["contestant"] == contestant].sort_values("flop")
            label = f"{case}, {contestant}"
            style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "markersize": 7, "linewidth": 1.3}
            face = look.colour if filled else "white"
            stroke = "-" if filled else (0, (2, 2))
            ax.plot(line["flop"], line["median_ms"], label=label, markerfacecolor=face, linestyle=stroke, **style)
    ends = [rows["flop"].min() / 2, rows["flop"].max() * 2] if len(rows) else [1e6, 1e9]
    for threads, rate in sorted(rates.items()):
        name = f"matrix product, {threads} thread{'s' * (threads > 1)}: {rate / 1e9:.0f} GFLOP/s"
        stroke = (0, (1 + 4 * threads, 2))
        ax.plot(ends, [1e3 * end / rate for end in ends], color="#555555", linewidth=1.3, linestyle=stroke, label=name)
    ax.set(xscale="log", yscale="log", xlabel="floating-point operations a step", ylabel="ms a step")
    ax.grid(color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    return figure
