"""Mean ranks over many tasks, and which methods cannot be told apart: a critical-difference diagram (Demšar, 2006)."""

from __future__ import annotations

from functools import partial
from typing import Any

from bayesreg.report.forest import LONGEST, ROW, names
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, USUAL, look, shortened
from bayesreg.statistics import Ranks

LEVEL = 0.5  # the distance between bars, in rows
TOP, BOTTOM = 46, 8  # pixels; those on top are for the axis


def ranks(found: Ranks | None) -> Picture | None:
    """The axis of ranks above one row per method, the best first; None where there are no ranks."""
    if found is None:
        return None
    bars = [group for group in found.groups if len(group) > 1]
    said = "; ".join(f"{method} {rank:.2f}" for method, rank in found.mean.items())
    joined = "; ".join(", ".join(group) for group in bars) or "none"
    alt = f"Mean rank over tasks, 1 the best: {said}. Not told apart from each other: {joined}."
    panel = Panel(
        partial(_draw, found=found, bars=bars),
        alt,
        height=round(ROW * (len(found.mean) + LEVEL * len(bars) + 1)) + TOP + BOTTOM,
        left=names(list(found.mean.index)),
        right=44,
        bottom=BOTTOM,
        top=TOP,
    )
    return Picture([Group("Critical difference", [panel])])


def _draw(ax: Any, found: Ranks, bars: list[tuple[str, ...]]) -> None:
    first = LEVEL * len(bars) + 1  # where the rows of methods begin, in rows below the line of ranks
    over = 0.01 * len(found.mean)  # how far a bar juts out, so that it is visible where ranks are equal
    places = [first + i for i in range(len(found.mean))]
    for y, (method, rank) in zip(places, found.mean.items(), strict=True):
        colour, marker, _ = look(str(method))
        ax.plot([0, rank, rank], [y, y, 0], color=colour, linewidth=1.2, solid_joinstyle="miter")
        ax.plot(rank, 0, marker or "o", color=colour, markersize=5.5, clip_on=False, zorder=3)
        ax.annotate(f"{rank:.2f}", (1, y), (6, 0), ("axes fraction", "data"), "offset points", va="center",
                    fontsize=USUAL, color=LIGHT["ink"])  # fmt: skip
    for level, group in enumerate(bars, start=1):
        ends = [found.mean[group[0]] - over, found.mean[group[-1]] + over]
        ax.plot(ends, [LEVEL * level] * 2, color=LIGHT["ink"], linewidth=4, solid_capstyle="butt")
    ax.set(xlim=(1 - 4 * over, len(places) + 4 * over), ylim=(places[-1] + 0.5, 0))
    ax.set_xticks(range(1, len(places) + 1))
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xlabel("mean rank, 1 is the best")
    ax.set_yticks(places, [shortened(str(method), LONGEST) for method in found.mean.index], fontsize=USUAL)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.spines["top"].set_visible(True)
