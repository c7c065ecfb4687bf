"""What may be concluded: which candidate to choose, and whether two methods differ."""

from bayesreg.statistics.across import Across, across
from bayesreg.statistics.bootstrap import two_way_bootstrap
from bayesreg.statistics.choice import CELL, RUN, SELECT, best, candidates, choose, results, select
from bayesreg.statistics.difference import Components, Difference, Squares, difference
from bayesreg.statistics.examples import Tables, examples
from bayesreg.statistics.holm import holm, together
from bayesreg.statistics.improvement import improvements
from bayesreg.statistics.power import detectable, expected, foresee, seeds_needed, shows
from bayesreg.statistics.profile import profile
from bayesreg.statistics.ranks import Ranks, ranks
from bayesreg.statistics.scores import (
    average,
    by_seed,
    normalise,
    ordered,
    oriented,
    paired,
    score,
    sense,
    summarise,
)
from bayesreg.statistics.two_level import Interval, two_level_bootstrap
from bayesreg.statistics.wilcoxon import tasks_needed, wilcoxon

__all__ = [
    "CELL",
    "RUN",
    "SELECT",
    "Across",
    "Components",
    "Difference",
    "Interval",
    "Ranks",
    "Squares",
    "Tables",
    "across",
    "average",
    "best",
    "by_seed",
    "candidates",
    "choose",
    "detectable",
    "difference",
    "examples",
    "expected",
    "foresee",
    "holm",
    "improvements",
    "normalise",
    "ordered",
    "oriented",
    "paired",
    "profile",
    "ranks",
    "results",
    "score",
    "seeds_needed",
    "select",
    "sense",
    "shows",
    "summarise",
    "tasks_needed",
    "together",
    "two_level_bootstrap",
    "two_way_bootstrap",
    "wilcoxon",
]
