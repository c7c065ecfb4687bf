"""The pictures of the smoothness prior: cost against exactness, and a curve that straightens."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.figures import FAINT, INK, panels


def frontier(costs: pd.DataFrame, default: str) -> Figure:
    """A panel a network: the deviation of the estimate over the cost of a step; what pays lies low and left."""
    rows = costs[(costs["width"] == 1) & costs["deviation"].notna()]
    figure, axes = panels(rows["case"].nunique())
    for ax, (case, own) in zip(axes, rows.groupby("case", sort=False), strict=False):
        for every, marker, colour in (
            (1, "o", "#0072B2"),
            (2, "s", "#E69F00"),
            (4, "^", "#009E73"),
            (8, "D", "#CC79A7"),
        ):
            some = own[own["every"] == every].sort_values("ratio")
            label = "every step" if every == 1 else f"every {every} steps"
            ax.plot(some["ratio"], some["deviation"], marker=marker, color=colour, linestyle="none", label=label)
        chosen = own[own["setting"] == default]
        ring = {"marker": "o", "markersize": 14, "markerfacecolor": "none", "linestyle": "none"}
        ax.plot(chosen["ratio"], chosen["deviation"], color=INK, label="the default", **ring)
        ax.set(title=str(case), xlabel="× a step without a prior", ylabel="deviation over 8 steps", xscale="log")
        ax.set_xticks([1, 1.5, 2, 3, 5, 10, 20, 30], ["1", "1.5", "2", "3", "5", "10", "20", "30"])
        ax.minorticks_off()
        ax.set_xlim(0.9, own["ratio"].max() * 1.2)
        ax.set_ylim(bottom=0)
        ax.grid(color=FAINT, linewidth=0.6)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def line(curves: pd.DataFrame) -> Figure:
    """The data, and a fitted curve a strength with its mean d."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained", facecolor="white")
    ax = figure.add_subplot()
    data, fitted = curves[curves["strength"].isna()], curves.dropna()
    ax.plot(data["x"], data["y"], "o", color="#999999", markersize=4, label="data")
    groups = list(fitted.groupby("strength"))
    for number, (strength, own) in enumerate(groups):
        colour = matplotlib.colormaps["viridis"](0.75 * number / max(1, len(groups) - 1))
        stroke = ("-", (0, (6, 1)), (0, (4, 2)), (0, (2, 1)), (0, (1, 1)))[number % 5]
        label = f"strength {strength:g}: d = {own['d'].iloc[0]:.3g}"
        ax.plot(own["x"], own["y"], color=colour, linestyle=stroke, linewidth=2, label=label)
    ax.set(xlabel="x", ylabel="y")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    return figure
