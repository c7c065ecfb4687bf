"""How exactly the smoothness prior is estimated: the measured settings, and their names on a page."""

from __future__ import annotations

import sys

import bayesreg as br

Setting = tuple[float | None, int, int | None]  # fraction, every, coordinates
DEFAULT: Setting = (br.Smoothness.fraction, br.Smoothness.every, br.Smoothness.coordinates)
WHOLE: Setting = (1.0, 1, None)
EXACT: Setting = (1.0, 1, sys.maxsize)
SETTINGS: list[Setting] = [DEFAULT, WHOLE]
SETTINGS += [(f, k, None) for f in (0.0625, 0.25) for k in (1, 2, 4, 8)] + [(None, 4, 2), (None, 4, 8)]
NO_PRIOR, DOUBLE_BACKWARD = "no prior", "double backward"  # measured beside them


def text(setting: Setting) -> str:
    """A name such as "1/16 of the batch, every 4 steps"."""
    fraction, every, coordinates = setting
    share = "1/16 of the batch, at least 8"
    if fraction is not None:
        share = "whole batch" if fraction == 1 else f"1/{round(1 / fraction)} of the batch"
    steps = "every step" if every == 1 else f"every {every} steps"
    return f"{share}, {steps}" + ("" if coordinates is None else f", {coordinates} of the coordinates")
