"""Which runs a comparison has, round by round: a round is one seed of every method, strength and fold on every task.

In this order an interrupted comparison has whole rounds, in which all methods are treated alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayesreg import statistics
from bayesreg.grid import Repeat, Run, Stage
from bayesreg.methods import Method

if TYPE_CHECKING:
    from bayesreg.comparison.comparison import Comparison

EXTENSIONS = 1  # more candidates, where the best strength is at an edge
Pair = tuple[str, str]  # the names of a task and a method
Row = dict[str, Any]  # what `statistics` needs to know about a run
Rounds = list[list[Run]]


class Plan:
    """The runs of a comparison. tried: the candidates of each method that has strengths, which grow with extensions."""

    def __init__(self, asked: Comparison) -> None:
        self.asked = asked
        candidates = {(name, method.name): list(method.candidates) for name, method in asked.pairs()}
        self.tried = {pair: found for pair, found in candidates.items() if len(found) > 1}

    def tuning(self, methods: Mapping[Pair, Sequence[Method]]) -> Rounds:
        """The runs that choose among these candidates."""
        return [
            [
                self._run(name, candidate, repeat)
                for name, repeat in repeats
                for method in self.asked.methods
                for candidate in methods.get((name, method.name), ())
            ]
            for repeats in self._rounds("tune")
        ]

    def testing(self, rows: Sequence[Row], guess: bool = False) -> Rounds:
        """Every method at the strength chosen by the runs of these rows, separately in each fold.

        A method for which no strength qualified has no run. guess: it has one, at any strength, so as to be counted.
        """
        chosen = _chosen(rows, self.asked.select)
        return [
            [
                self._run(name, candidate, repeat)
                for name, repeat in repeats
                for of, method in self.asked.pairs()
                if of == name and (candidate := self._at(name, method, repeat, chosen, guess)) is not None
            ]
            for repeats in self._rounds("test")
        ]

    def more(self, rows: Sequence[Row]) -> dict[Pair, list[Method]]:
        """One more candidate for every method of a task where the best of some method is at an edge."""
        if not rows:
            return {}
        best = statistics.best(statistics.candidates(pd.DataFrame(rows), self.asked.select), self.asked.select)
        found: dict[Pair, list[Method]] = {}
        for name in self.asked.named:
            own = {pair: m for pair, m in self.tried.items() if pair[0] == name and pair in best}
            chosen = {pair: next(m for m in all_ if m.text == best[pair]) for pair, all_ in own.items()}
            if any(chosen[pair].at_edge(all_, chosen[pair]) for pair, all_ in own.items()):
                more = {pair: chosen[pair].another(all_, chosen[pair]) for pair, all_ in own.items()}
                found |= {pair: [method] for pair, method in more.items() if method is not None}
        return found

    def _rounds(self, stage: Stage) -> Iterator[list[tuple[str, Repeat]]]:
        """By seed, the repeats of each task: a worker keeps the data of a fold while it works on them."""
        found = [(name, repeat) for name in self.asked.named for repeat in self.asked.repeats(name, stage)]
        found.sort(key=lambda pair: pair[1].seed)
        return (list(own) for _, own in groupby(found, key=lambda pair: pair[1].seed))

    def _run(self, name: str, method: Method, repeat: Repeat) -> Run:
        return Run(self.asked.named[name], method, repeat, self.asked.where, name)

    def _at(
        self, name: str, method: Method, repeat: Repeat, chosen: Mapping[tuple[Any, ...], str], guess: bool
    ) -> Method | None:
        """The tested candidate of a method, or the method itself if there is no choice."""
        tried = self.tried.get((name, method.name))
        if tried is None:
            return method
        text = chosen.get((name, method.name, *_cell(repeat)))
        return next((candidate for candidate in tried if candidate.text == text), tried[0] if guess else None)


def _chosen(rows: Sequence[Row], select: str) -> dict[tuple[Any, ...], str]:
    """By task, method and cell, the best candidate on validation."""
    if not rows:
        return {}
    table = statistics.choose(pd.DataFrame(rows), select).query("status == 'done'")
    cells = zip(table["task"], table["method"], table["partition"], table["fold"], strict=True)
    return dict(zip(cells, table["candidate"], strict=True))


def _cell(repeat: Repeat) -> tuple[int, int]:
    """Partition and fold, −1 where there are none: a table cannot be grouped by what is missing."""
    return (-1 if repeat.partition is None else repeat.partition, -1 if repeat.fold is None else repeat.fold)


def row(run: Run, result: dict[str, Any]) -> Row:
    """What `statistics` needs to know about a run."""
    partition, fold = _cell(run.repeat)
    return {
        "task": run.label,
        "method": run.method.name,
        "candidate": run.method.text,
        "strength": float("nan") if run.method.strength is None else run.method.strength,
        "seed": run.repeat.seed,
        "tuned": tuple(run.method.record()["strengths"]),
        "stage": run.repeat.stage,
        "folds": run.repeat.folds or 1,
        "partition": partition,
        "fold": fold,
        "metric": run.task.metric,
        "status": result["status"],
        "message": result["message"],
        **{f"validation_{name}": value for name, value in result["metrics"]["validation"].items()},
    }
