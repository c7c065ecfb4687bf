"""The pictures of a page, in its order; one file a picture: forest, heatmap, curves, strengths, cost, landscape, …"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from bayesreg import statistics
from bayesreg.report import style
from bayesreg.report.cost import cost
from bayesreg.report.curves import by_method, curves
from bayesreg.report.forest import forest
from bayesreg.report.histories import histories
from bayesreg.report.landscape import landscape
from bayesreg.report.panels import Drawn, Picture, drawn
from bayesreg.report.reliability import reliability
from bayesreg.report.strengths import strengths
from bayesreg.report.weights import weights

MOST = 3_500_000  # bytes of all pictures on the page; further ones are in their files alone


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
    table: pd.DataFrame | None,
    short: bool = False,
) -> tuple[dict[str, Shown], list[str]]:
    """{file name without its suffix: picture}, and the tasks whose runs did not record how sure they were.

    table: the differences to none of a study; None where the runs are none. short: without what explains a
    comparison, where there is none.
    """
    epochs = histories(selected)
    sure, unknown = reliability(selected)
    made = {
        "forest": None if table is None else forest(table, results),
        "curves": curves(epochs),
        "methods": by_method(epochs),
        "strengths": strengths(statistics.candidates(runs, select), results, select),
        "cost": None if table is None else cost(table, results),
        "seconds": curves(epochs, over="seconds"),
        "reliability": sure,
        "weights": weights(selected),
        "landscape": None if short else landscape(results["method"]),
    }
    return _shown({name: picture for name, picture in made.items() if picture is not None}, results), unknown


def _shown(made: dict[str, Picture], results: pd.DataFrame) -> dict[str, Shown]:
    variables, shown, room = style.variables(results["method"])[0], {}, MOST
    for name, picture in made.items():
        own = drawn(picture, name, variables)
        shown[name] = Shown(own, picture.alt, own.size <= room)
        room -= own.size * shown[name].inline
    return shown
