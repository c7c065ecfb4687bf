"""The figures of a page, in its order, each made in a file of its own: forest, heatmap, curves, strengths, cost, …"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from bayesreg import statistics
from bayesreg.report.cost import cost
from bayesreg.report.curves import by_method, curves
from bayesreg.report.forest import forest
from bayesreg.report.histories import histories
from bayesreg.report.improvement import improvement
from bayesreg.report.landscape import landscape
from bayesreg.report.panels import Drawn, Picture, drawn
from bayesreg.report.profile import profile
from bayesreg.report.ranks import ranks
from bayesreg.report.reliability import reliability
from bayesreg.report.strengths import strengths
from bayesreg.report.weights import weights

MOST = 3_500_000  # bytes of all figures on the page; further ones are in their files only


class Shown(NamedTuple):
    """A picture, and whether the page itself has room for it."""

    drawn: Drawn
    alt: str
    inline: bool


def pictures(
    runs: pd.DataFrame,
    results: pd.DataFrame,
    selected: pd.DataFrame,
    select: str,
    variables: Mapping[str, str],
    table: pd.DataFrame | None,
    across: statistics.Across | None = None,
    short: bool = False,
) -> tuple[dict[str, Shown], list[str]]:
    """{file name without its suffix: picture}, and the tasks whose runs did not record the confidence of predictions.
    variables: the colours on light paper, by name. table: a study's differences from none; None where the runs are not
    a study. across: what holds over its tasks, where it has several. short: leave out what explains a comparison, where
    there is none.
    """
    epochs = histories(selected)
    sure, unknown = reliability(selected)
    made = {
        "forest": None if table is None else forest(table, results),
        "improvement": None if across is None else improvement(across.table),
        "profile": None if across is None else profile(across.profile),
        "ranks": None if across is None else ranks(across.ranks),
        "curves": curves(epochs),
        "methods": by_method(epochs),
        "strengths": strengths(statistics.candidates(runs, select), results, select),
        "cost": None if table is None else cost(table, results),
        "seconds": curves(epochs, over="seconds"),
        "reliability": sure,
        "weights": weights(selected),
        "landscape": None if short else landscape(results["method"]),
    }
    return shown(made, variables), unknown


def shown(made: Mapping[str, Picture | None], variables: Mapping[str, str]) -> dict[str, Shown]:
    """The pictures that are not None, drawn; variables: the colours on light paper, by name."""
    found, room = {}, MOST
    for name, picture in made.items():
        if picture is not None:
            own = drawn(picture, name, variables)
            found[name] = Shown(own, picture.alt, own.size <= room)
            room -= own.size * found[name].inline
    return found


def files(pictures: Mapping[str, Shown]) -> dict[str, bytes]:
    """{file name: content} of the pictures."""
    return {f"{name}.{kind}": getattr(shown.drawn, kind) for name, shown in pictures.items() for kind in ("svg", "png")}
