"""The strengths that are tried: those of the grid, then one by one beyond its edge, or between the best and the next.

Strengths are positive, and some are bounded: dropout's probability is below 1. The odds u = s / (1 − s/most) of a
strength s are unbounded, and s itself where it has no bound; grids are extended by ratios of odds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def odds(strength: float, most: float) -> float:
    """s / (1 − s/most), from 0 to infinity."""
    return strength / (1 - strength / most)


def strength(odds: float, most: float) -> float:
    """The strength of those odds, to the six digits with which it is printed."""
    return float(f"{odds / (1 + odds / most):.6g}")


def another(grid: Sequence[float], tried: Sequence[float], best: float, most: float = math.inf) -> float | None:
    """The strength to try next; None where none is left.

    Beyond the edge by the grid's own ratio, if `best` is the first or last of those tried; else the geometric mean of
    the odds between it and its neighbour on the wider side.
    """
    u, ladder = odds(best, most), sorted({odds(s, most) for s in tried})
    place = ladder.index(u)
    below, above = ladder[:place], ladder[place + 1 :]
    if len(grid) < 2:
        return None
    first, second, *_ = (odds(s, most) for s in grid)
    *_, before, last = (odds(s, most) for s in grid)
    if not above:
        found = u * last / before
    elif not below:
        found = u * first / second
    else:
        # of two equally wide sides the stronger
        wider = max(above[0], below[-1], key=lambda other: round(abs(math.log(other / u)), 6))
        found = math.sqrt(u * wider)
    made = strength(found, most) if math.isfinite(found) else math.inf
    return made if 0 < made < most and made not in tried else None


def at_edge(tried: Sequence[float], best: float) -> bool:
    """Whether the best is the weakest or the strongest of those tried."""
    return best in (min(tried), max(tried))
