"""What may be concluded: which candidate is chosen, and whether two methods differ."""

from bayesreg.statistics.bootstrap import two_way_bootstrap
from bayesreg.statistics.choice import (
    RUN,
    SELECT,
    average,
    best,
    by_seed,
    candidates,
    choose,
    normalise,
    ordered,
    oriented,
    paired,
    results,
    score,
    select,
    sense,
    summarise,
)
from bayesreg.statistics.difference import Components, Difference, Squares, difference
from bayesreg.statistics.holm import holm, together
from bayesreg.statistics.power import detectable, seeds_needed

__all__ = [
    "RUN",
    "SELECT",
    "Components",
    "Difference",
    "Squares",
    "average",
    "best",
    "by_seed",
    "candidates",
    "choose",
    "detectable",
    "difference",
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
    "summarise",
    "together",
    "two_way_bootstrap",
]
