"""The runs of a comparison, in two stages.

1. tune    every strength of every method, with seeds of its own, judged on validation alone. Where the best strength of
           a method is the weakest or strongest of its grid, every method that has strengths gets one more candidate.
2. test    the strength that was chosen, with fresh seeds, judged on test.

Where rows are divided into folds, differently by each seed, both stages are done in each fold, and a strength is chosen
there by runs that have not seen the fold's test rows.

Both are done in rounds of one seed of every method. Within a budget of time as many rounds are done as fit, at least
one: for tuning, those estimated to end within half of it, with the candidates beyond an edge, then for testing, those
estimated to end within the rest. At the end of the budget a running round is cut off. Only whole rounds are reported;
what else was done is kept, and the same comparison with another budget, or without, resumes from there. More seeds for
tuning may then choose another strength, which is tested again.
"""

from __future__ import annotations

import bisect
import math
import time
from collections.abc import Callable, Sequence
from itertools import chain, takewhile
from typing import TYPE_CHECKING

from bayesreg.comparison.budget import Budget, in_seconds
from bayesreg.comparison.plan import EXTENSIONS, Plan, Rounds, Row
from bayesreg.comparison.work import Work
from bayesreg.grid import Run
from bayesreg.progress import Progress, duration

if TYPE_CHECKING:
    from bayesreg.comparison.comparison import Comparison

TUNING_SHARE = 0.5  # of the budget


class Stages:
    """Both stages of a comparison, on the same workers. tuned, tested: the completed rounds of each."""

    def __init__(self, asked: Comparison, progress: bool, clock: Callable[[], float]) -> None:
        self.asked, self.budget, self.plan = asked, Budget(in_seconds(asked.budget), clock), Plan(asked)
        self.shown = Progress(self.left, len(asked.refused), progress, clock)
        self.work = Work(asked, self.budget, self.shown)
        self.tuning, self.testing = self.plan.tuning(self.plan.tried), self.plan.testing([], guess=True)
        self.tuned = self.tested = 0
        self.extended = True  # wherever the best strength is at an edge

    def run(self) -> None:
        """Do every run that is not done yet, as far as time goes. OSError when the disk is full."""
        self.work.expect("tune", chain(*self.tuning, *self.testing))
        self.asked.engine.expected = self.shown.total
        with self.asked.engine, self.shown:
            rows = self._tune()
            if self.tuned:
                self._test(rows)

    def _tune(self) -> list[Row]:
        """A row for every run by which strengths are chosen."""
        beyond = self.plan.tuning({pair: found[:1] for pair, found in self.plan.tried.items()})
        self.tuned = self._whole(self.tuning, TUNING_SHARE, beyond=beyond)
        rows = self._rows(self.tuning[: self.tuned])
        for _ in range(EXTENSIONS):
            if not (new := self.plan.more(rows)):
                break
            more = [*chain(*self.plan.tuning(new)[: self.tuned])]
            self.work.expect("tune", chain(more, *self.testing))
            self.extended = self._whole([more], TUNING_SHARE, least=0) == 1
            if not self.extended:
                break
            rows += self._rows([more])
            for pair, found in new.items():
                self.plan.tried[pair] += found
        if any(self.tuning):
            self.shown.end()
        return rows

    def _test(self, rows: Sequence[Row]) -> None:
        testing = self.plan.testing(rows)
        self.work.expect("test", chain(*testing))
        self.tested = self._whole(testing)
        self.shown.end()

    def _rows(self, rounds: Rounds) -> list[Row]:
        return [row for run in chain(*rounds) if (row := self.work.ended[run]) is not None]

    def _whole(self, rounds: Rounds, share: float = 1.0, least: int = 1, beyond: Sequence[list[Run]] = ()) -> int:
        """Do as many rounds as fit in a share of the budget, at least `least`; returns how many were completed.

        beyond: further runs that each round may require.
        """
        self.work.take_done(chain(*rounds))
        whole = 0
        while whole < len(rounds):
            fit = self._fitting(rounds, share, beyond)
            begun = max(fit, least) if self.budget.left() else fit
            if begun <= whole:
                break
            self.work.do([*chain(*rounds[whole:begun])])
            whole = sum(1 for _ in takewhile(lambda own: not self.work.left(own), rounds))
            if whole < begun:  # cut off
                break
        self.asked.leave_out(chain(*rounds[whole:]))
        return whole

    def _fitting(self, rounds: Rounds, share: float, beyond: Sequence[list[Run]]) -> int:
        """How many are estimated to end within what is left of a share of the budget."""

        def takes(number: int) -> float:
            left = self.work.left(chain(*rounds[:number]))
            return self.work.takes([*left, *chain(*beyond[:number])]) if left else 0.0

        return bisect.bisect_right(range(1, len(rounds) + 1), self.budget.left(share), key=takes)

    def left(self) -> float | None:
        """Seconds until the end; None where unknown."""
        seconds = min(self.work.takes([*self.work.ahead]), self.budget.left())
        return seconds if math.isfinite(seconds) else None

    @property
    def missing(self) -> str:
        """A sentence on what did not fit in the budget; "" if all did."""
        if self.tested == len(self.testing) and self.tuned == len(self.tuning) and self.extended:
            return ""
        budget = f"the budget of {duration(self.budget.seconds)}; the same command with a longer one resumes."
        if not self.tested:
            takes = self.work.takes([*self.tuning[0], *self.testing[0]])
            known = f", which takes about {duration(takes)}," if math.isfinite(takes) else ""
            return f"not one seed of every method{known} within {budget}"
        said = [f"{self.tested} of {len(self.testing)} seeds"]
        if self.tuned < len(self.tuning):
            said.append(f"strengths chosen by {self.tuned} of {len(self.tuning)}")
        if not self.extended:
            said.append("no candidates beyond the grids")
        return f"{', '.join(said)} within {budget}"


def run(asked: Comparison, progress: bool = True, clock: Callable[[], float] = time.monotonic) -> Stages:
    """Both stages of a prepared comparison, as far as its budget goes."""
    stages = Stages(asked, progress, clock)
    stages.run()
    return stages
