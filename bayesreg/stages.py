"""The runs of a comparison, in two stages.

1. tune    every strength of every method, with seeds of its own, judged on validation alone. Where the best strength of
           a method is the weakest or strongest of its grid, every method that has strengths gets one more candidate.
2. test    the strength that was chosen, with fresh seeds, judged on test.

Where rows are divided into folds, anew by each seed, both stages are done in each fold, and a strength is chosen there
by runs that have not seen the fold's test rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayesreg import statistics
from bayesreg.claims import Claimed, is_held
from bayesreg.engine import Job
from bayesreg.files import FULL
from bayesreg.folder import SHARED, in_words
from bayesreg.grid import Repeat, Run, Where
from bayesreg.methods import Method
from bayesreg.progress import bar
from bayesreg.tasks import Task

if TYPE_CHECKING:
    from bayesreg.comparison import Comparison

log = logging.getLogger(__name__)

EXTENSIONS = 1  # more candidates, where the best strength is at an edge
PATIENCE = 0.5  # seconds between looks at the runs that another process is at
Pair = tuple[str, str]  # the names of a task and a method


class Stages:
    """Both stages of a comparison, on the same workers."""

    def __init__(self, asked: Comparison, shown: Any) -> None:
        self.asked, self.shown = asked, shown
        self.tried: dict[Pair, list[Method]] = {}
        for name, method in asked.pairs():
            if len(method.candidates) > 1:
                self.tried[name, method.name] = list(method.candidates)

    def run(self) -> None:
        """Do every run that is not done yet. OSError when the disk is full."""
        known: list[dict[str, Any]] = []
        self.shown.total = sum(self._number(name, method) for name, method in self.asked.pairs())
        self.asked.engine.expected = self.shown.total
        new = {pair: list(found) for pair, found in self.tried.items()}
        for extension in range(EXTENSIONS + 1):
            known += self._do(self._tuning(new))
            new = self._more(pd.DataFrame(known)) if extension < EXTENSIONS and known else {}
            if not new:
                break
            for pair, more in new.items():
                self.tried[pair] += more
            self.shown.total += sum(1 for _ in self._tuning(new))
        self.shown.set_description("test")
        self._do(self._testing(known))

    def _number(self, name: str, method: Method) -> int:
        """How many runs a method has on a task, without an extension."""
        tried = len(self.tried.get((name, method.name), []))
        return len(self.asked.repeats(name, "test")) + tried * len(self.asked.repeats(name, "tune"))

    def _run(self, name: str, method: Method, repeat: Repeat) -> Run:
        return Run(self.asked.named[name], method, repeat, self.asked.where, name)

    def _tuning(self, new: dict[Pair, list[Method]]) -> Iterator[Run]:
        for name in self.asked.named:
            for repeat in self.asked.repeats(name, "tune"):  # a worker keeps the data of a fold while it is at them
                for method in self.asked.methods:
                    for candidate in new.get((name, method.name), []):
                        yield self._run(name, candidate, repeat)

    def _more(self, known: pd.DataFrame) -> dict[Pair, list[Method]]:
        """One more candidate for every method of a task where the best of some method is at an edge."""
        best = statistics.best(statistics.candidates(known, self.asked.select), self.asked.select)
        found: dict[Pair, list[Method]] = {}
        for name in self.asked.named:
            own = {pair: m for pair, m in self.tried.items() if pair[0] == name and pair in best}
            chosen = {pair: next(m for m in all_ if m.text == best[pair]) for pair, all_ in own.items()}
            if any(chosen[pair].at_edge(all_, chosen[pair]) for pair, all_ in own.items()):
                more = {pair: chosen[pair].another(all_, chosen[pair]) for pair, all_ in own.items()}
                found |= {pair: [method] for pair, method in more.items() if method is not None}
        return found

    def _testing(self, known: list[dict[str, Any]]) -> Iterator[Run]:
        """By repeat every method, at the strength that was chosen in its cell where there was a choice."""
        chosen: dict[tuple[Any, ...], str] = {}
        if known:
            table = statistics.choose(pd.DataFrame(known), self.asked.select).query("status == 'done'")
            cells = zip(table["task"], table["method"], table["partition"], table["fold"], strict=True)
            chosen = dict(zip(cells, table["candidate"], strict=True))
        for name in self.asked.named:
            own = [method for of, method in self.asked.pairs() if of == name]
            for repeat in self.asked.repeats(name, "test"):
                for method in own:
                    text = chosen.get((name, method.name, _or_minus_one(repeat.partition), _or_minus_one(repeat.fold)))
                    for candidate in self.tried.get((name, method.name), [method]):
                        if candidate is method or candidate.text == text:
                            yield self._run(name, candidate, repeat)

    def _do(self, found: Iterable[Run]) -> list[dict[str, Any]]:
        """Do runs, but those that are done, here or by another comparison; a row of what each gave."""
        wanted, elsewhere = list(found), list[Run]()
        self.asked.note(wanted)
        rows: list[dict[str, Any]] = []
        while wanted or elsewhere:
            elsewhere += self._try(self._undone(wanted, rows), rows)
            wanted, elsewhere = self._freed(elsewhere)
        return rows

    def _undone(self, wanted: Sequence[Run], rows: list[dict[str, Any]]) -> list[Run]:
        """Those that are not done yet; the others give a row."""
        known = [run.done(run.directory(self.asked.output)) for run in wanted]
        rows += [row(run, result) for run, result in zip(wanted, known, strict=True) if result is not None]
        self.shown.update(sum(result is not None for result in known))
        return [run for run, result in zip(wanted, known, strict=True) if result is None]

    def _try(self, wanted: Sequence[Run], rows: list[dict[str, Any]]) -> list[Run]:
        """Do the runs, but those that another process is at: they are returned."""
        elsewhere: list[Run] = []
        if not wanted:  # nothing is started
            return elsewhere
        jobs = [Job((run.label, run.method, run.repeat), run.label) for run in wanted]
        shared = (self.asked.output, self.asked.named, self.asked.where)
        with closing(self.asked.engine.outcomes(_execute, shared, jobs)) as outcomes:
            for outcome in outcomes:
                run = wanted[outcome.number]
                if isinstance(outcome.error, Claimed):
                    elsewhere.append(run)
                    continue
                self.shown.set_postfix_str(str(run), refresh=False)
                self.shown.update()
                if outcome.error is None:
                    log.info("%s: %s", outcome.result["status"], run)
                    rows.append(row(run, outcome.result))
                else:
                    self._failed(run, outcome.error)
        return elsewhere

    def _failed(self, run: Run, error: BaseException) -> None:
        if isinstance(error, OSError) and error.errno in FULL:
            raise error
        self.asked.failed.append(f"{run}: {in_words(error)}")
        log.warning("failed: %s", self.asked.failed[-1])
        run.fail(in_words(error), self.asked.output)

    def _freed(self, elsewhere: list[Run]) -> tuple[list[Run], list[Run]]:
        """Those that another process has left, or ended with, and those that it is at still; waits for the first."""
        if elsewhere:
            log.info("another process is at %d runs", len(elsewhere))
        while elsewhere:
            held = [run for run in elsewhere if is_held(run.directory(self.asked.output))]
            if len(held) < len(elsewhere):
                return [run for run in elsewhere if run not in held], held
            time.sleep(PATIENCE)
        return [], []


def run(asked: Comparison, progress: bool = True) -> None:
    """Both stages of a comparison that is prepared."""
    with asked.engine, bar(total=0, unit="run", desc="tune", show=progress) as shown:
        Stages(asked, shown).run()


def row(run: Run, result: dict[str, Any]) -> dict[str, Any]:
    """What `statistics` needs of a run."""
    return {
        "task": run.label,
        "method": run.method.name,
        "candidate": run.method.text,
        "strength": float("nan") if run.method.strength is None else run.method.strength,
        "seed": run.repeat.seed,
        "tuned": tuple(run.method.record()["strengths"]),
        "stage": run.repeat.stage,
        "folds": run.repeat.folds or 1,
        "partition": _or_minus_one(run.repeat.partition),
        "fold": _or_minus_one(run.repeat.fold),
        "metric": run.task.metric,
        "status": result["status"],
        "message": result["message"],
        **{f"validation_{name}": value for name, value in result["metrics"]["validation"].items()},
    }


def _or_minus_one(value: int | None) -> int:
    """−1 where there are no folds: a table cannot be grouped by what is missing."""
    return -1 if value is None else value


def _execute(shared: tuple[Path, dict[str, Task], Where], content: tuple[str, Method, Repeat]) -> dict[str, Any]:
    """One run, in a worker. `Claimed` where another process is at it."""
    (folder, named, where), (label, method, repeat) = shared, content
    run = Run(named[label], method, repeat, where, label)
    return run.execute(run.directory(folder), shared=folder / SHARED, wait=False)
