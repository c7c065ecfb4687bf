"""What may be concluded: which candidate is chosen, and whether two methods differ."""

from bayesreg.statistics.bootstrap import two_way_bootstrap
from bayesreg.statistics.choice import CELL, RUN, SELECT, best, candidates, choose, results, select
from bayesreg.statistics.difference import Components, Difference, Squares, difference
from bayesreg.statistics.examples import Tables, examples
from bayesreg.statistics.holm import holm, together
from bayesreg.statistics.power import detectable, expected, foresee, seeds_needed, shows
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

__all__ = [
    "CELL",
    "RUN",
    "SELECT",
    "Components",
    "Difference",
    "Squares",
    "Tables",
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
    "normalise",
    "ordered",
    "oriented",
    "paired",
    "results",
    "score",
    "seeds_needed",
    "select",
    "sense",
    "shows",
    "summarise",
    "together",
    "two_way_bootstrap",
]
