"""What may be concluded: which candidate is chosen, and whether two methods differ."""

from bayesreg.statistics.bootstrap import two_way_bootstrap
from bayesreg.statistics.choice import (
    RUN,
    average,
    candidates,
    choose,
    headline,
    normalise,
    ordered,
    oriented,
    paired,
    results,
    seeds,
    select,
    sense,
    summarise,
)
from bayesreg.statistics.difference import Components, Difference, Squares, difference
from bayesreg.statistics.holm import holm, together
from bayesreg.statistics.power import detectable, seeds_needed

__all__ = [
    "RUN",
    "Components",
    "Difference",
    "Squares",
    "average",
    "candidates",
    "choose",
    "detectable",
    "difference",
    "headline",
    "holm",
    "normalise",
    "ordered",
    "oriented",
    "paired",
    "results",
    "seeds",
    "seeds_needed",
    "select",
    "sense",
    "summarise",
    "together",
    "two_way_bootstrap",
]
