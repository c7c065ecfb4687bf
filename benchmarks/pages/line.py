"""A curve that straightens as the strength of the smoothness prior grows."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator

from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, TASKS, seen


def line(curves: pd.DataFrame) -> Picture:
    """A panel per strength: the data, where the strength is NaN, and the fitted curve; its mean d in the title."""
    data = curves[curves["strength"].isna()]
    fitted = curves.dropna().groupby("strength")
    return Picture([_group(float(strength), own, data) for strength, own in fitted])


def _group(strength: float, own: pd.DataFrame, data: pd.DataFrame) -> Group:
    d = own["d"].iloc[0]
    alt = f"{len(data)} points and the curve that is fitted to them, from {own['y'].min():.2f} to {own['y'].max():.2f}."
    panel = Panel(partial(_draw, own=own, data=data), alt, height=190)
    return Group(f"strength {strength:g}: mean d = {d:.3g}", [panel])


def _draw(ax: Any, own: pd.DataFrame, data: pd.DataFrame) -> None:
    ax.plot(data["x"], data["y"], "o", color=LIGHT["soft"], markersize=2.5)
    ax.plot(own["x"], own["y"], color=seen(TASKS[0], LIGHT), linewidth=2)
    ax.set(xlabel="x", ylabel="y")
    ax.xaxis.set_major_locator(MaxNLocator(4))
