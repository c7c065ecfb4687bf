"""What a comparison would do: its runs, which are done, how long the others take. Nothing is trained or written."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayesreg import statistics
from bayesreg.comparison.budget import Budget
from bayesreg.comparison.plan import EXTENSIONS, Plan, Row
from bayesreg.comparison.work import Work
from bayesreg.grid import Repeat, Run, data_of
from bayesreg.metrics import METRICS
from bayesreg.progress import Progress, duration

if TYPE_CHECKING:
    from bayesreg.comparison.comparison import Comparison

SPLITS = ("train", "validation", "test")


class DryRun:
    """What an examined comparison would do. It prints as a table with one row per task, and notes below it."""

    def __init__(self, asked: Comparison) -> None:
        self.asked, self.plan = asked, Plan(asked)
        self.work = Work(asked, Budget(), Progress(lambda: None, show=False))
        self.tuning = self.plan.tuning(self.plan.tried)
        self.beyond = 0  # further runs for choosing, at most
        self.testing = self.plan.testing(self._tuned(), guess=self.beyond > 0)
        self.work.take_done(chain(*self.testing))
        self.runs = [*chain(*self.tuning, *self.testing)]
        self.left = self.work.left(self.runs)
        asked.engine.expected = len(self.runs)

    def _tuned(self) -> list[Row]:
        """What is known about the strengths; if all of it is, the candidates beyond an edge are among the runs."""
        for _ in range(EXTENSIONS):
            rows = self._rows()
            if self.work.left(chain(*self.tuning)):
                tuned = {pair: found[:1] for pair, found in self.plan.tried.items()}
                self.beyond = EXTENSIONS * len([*chain(*self.plan.tuning(tuned))])
                break
            more = self.plan.more(rows)
            for pair, found in more.items():
                self.plan.tried[pair] += found
            self.tuning += self.plan.tuning(more)
        return self._rows()

    def _rows(self) -> list[Row]:
        self.work.take_done(chain(*self.tuning))
        return [row for run in chain(*self.tuning) if (row := self.work.ended.get(run)) is not None]

    def __str__(self) -> str:
        return "\n".join([self.table().to_string(index=False), "", *self.lines()])

    def table(self) -> pd.DataFrame:
        """One row per task: what is compared there, and how many runs that needs."""
        return pd.DataFrame([self._row(name) for name in self.asked.named])

    def _row(self, name: str) -> dict[str, Any]:
        choosing, reporting = (self._of(name, rounds) for rounds in (self.tuning, self.testing))
        runs = [*choosing, *reporting]
        return {
            "task": name,
            "rows": f"{_rows(self.asked, name, *SPLITS):,}",
            "folds": self.asked.divided[name],
            "methods": sum(of == name for of, _ in self.asked.pairs()),
            "strengths": sum(len(found) for (of, _), found in self.plan.tried.items() if of == name),
            "runs to choose": len(choosing),
            "runs to report": len(reporting),
            "done already": len(runs) - len(self.work.left(runs)),
        }

    def _of(self, name: str, rounds: list[list[Run]]) -> list[Run]:
        return [run for run in chain(*rounds) if run.label == name]

    def lines(self) -> list[str]:
        """What is left, how long it takes, what is refused, what cannot be detected."""
        said = [f"{len(self.left):,} of {len(self.runs):,} runs are left{self._further()}."]
        said += self._takes()
        said += [f"{method} refused on {task}: {reason}" for (task, method), reason in self.asked.refused.items()]
        for name in self.asked.named:
            tested = SPLITS if self.asked.divided[name] > 1 else SPLITS[-1:]
            others = len(self.asked.methods) - 1
            said.append(unseen(name, self.asked.seeds_of(name), _rows(self.asked, name, *tested), others))
        return said

    def _further(self) -> str:
        return f", and at most {self.beyond:,} more where a best strength is at an edge" if self.beyond else ""

    def _takes(self) -> list[str]:
        """The time and memory of what is left, and of a round, as far as runs were measured."""
        if not self.left:
            return []
        estimate, needs = self.work.estimate, self.asked.engine.needs
        new = [name for name in self.asked.named if not estimate.knows(name)]
        said = []
        if math.isfinite(takes := self.work.takes(self.left)):
            numbers = sorted({self.asked.engine.at_once(run.label) for run in self.left})
            at_once = " to ".join(str(number) for number in dict.fromkeys([numbers[0], numbers[-1]]))
            measured = f"{estimate.runs:,} measured run{'s' * (estimate.runs != 1)}"
            said.append(f"They take about {duration(takes)} with {at_once} at a time, from {measured}.")
        if math.isfinite(takes := self.work.takes([*self.tuning[0], *self.testing[0]])):
            said.append(f"One seed of every method takes about {duration(takes)}, to choose strengths and to report.")
        if known := [f"{needs[name]} on {name}" for name in self.asked.named if name in needs]:
            said.append(f"A run needs {', '.join(known)}.")
        if new:
            said.append(
                f"Nothing is measured yet on {', '.join(new)}: the first run of a task shows how much time and memory "
                "one needs. With --budget 1m some are done, and kept."
            )
        return said


def unseen(task: str, seeds: int, rows: int, methods: int) -> str:
    """What so many seeds and test rows cannot show, and how many seeds could, where spreads are as on small tables."""
    if seeds < 2 or rows < 2:
        few = f"{seeds} seed{'s' * (seeds != 1)} and {rows:,} test row{'s' * (rows != 1)}"
        return f"{task}: {few} show no difference, however large: at least two of both are needed."
    least, enough = statistics.foresee(seeds, rows, methods)
    more = "more test rows, whatever the seeds" if enough is None else f"{enough} seeds"
    return (
        f"{task}: {seeds} seeds and {rows:,} test rows find a difference from none of {least:.2g} nats or more with "
        f"80 % probability, where spreads are as on small tables; one of {2 * METRICS['nll'].rope:g} takes {more}."
    )


def _rows(asked: Comparison, name: str, *splits: str) -> int:
    data = data_of(asked.named[name], Repeat())
    return sum(len(getattr(data, split)) for split in splits)
