"""The runs being done: each once, whatever stops others, here or by other processes on the same folder."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesreg.claims import Claimed, is_held
from bayesreg.comparison.budget import Budget, OutOfTime
from bayesreg.comparison.estimate import Estimate
from bayesreg.comparison.folder import SHARED, in_words
from bayesreg.comparison.plan import Row, row
from bayesreg.engine import Job
from bayesreg.files import FULL, are_numbers
from bayesreg.grid import Repeat, Run, Where
from bayesreg.methods import Method
from bayesreg.progress import Progress
from bayesreg.tasks import Task

if TYPE_CHECKING:
    from bayesreg.comparison.comparison import Comparison

log = logging.getLogger(__name__)

PATIENCE = 0.5  # seconds between looks at the runs of another process


class Work:
    """The runs of a comparison as they are done.

    ended: the outcome of each, a row for `statistics`, None where it failed. ahead: those still to be done, in order.
    estimate: how long they take.
    """

    def __init__(self, asked: Comparison, budget: Budget, shown: Progress) -> None:
        self.asked, self.budget, self.shown = asked, budget, shown
        self.estimate = Estimate()
        self.ended: dict[Run, Row | None] = {}
        self.ahead: dict[Run, None] = {}
        asked.engine.meanwhile = self._look

    def expect(self, stage: str, runs: Iterable[Run]) -> None:
        """Note the runs that are ahead, in this stage and after it."""
        self.ahead = {run: None for run in runs if run not in self.ended}
        self.shown.stage, self.shown.total = stage, len(self.ended) + len(self.ahead)

    def left(self, runs: Iterable[Run]) -> list[Run]:
        """Those that have not ended."""
        return [run for run in runs if run not in self.ended]

    def takes(self, runs: Sequence[Run]) -> float:
        """Estimated seconds, ∞ where nothing is known."""
        seconds = self.estimate.of(runs, self.asked.engine.at_once)
        return math.inf if seconds is None else seconds

    def do(self, wanted: list[Run]) -> None:
        """Do the runs that are not done yet, here or by another comparison, as far as time goes."""
        self.asked.note(wanted)
        wanted, elsewhere = self._measuring(wanted), list[Run]()
        with suppress(OutOfTime):
            while wanted or elsewhere:
                elsewhere += self._try(wanted)
                wanted, elsewhere = self._freed(elsewhere)
                self.take_done(wanted)
                wanted = self.left(wanted)

    def _measuring(self, wanted: Sequence[Run]) -> list[Run]:
        """Those that are left, first one of each task not measured yet, so that something is known about all."""
        left = self.left(wanted)
        first = {run.label: run for run in reversed(left) if not self.estimate.knows(run.label)}
        return sorted(left, key=lambda run: run is not first.get(run.label))

    def take_done(self, wanted: Iterable[Run]) -> None:
        """Take those that have already ended, from the folder."""
        looked = [(run, run.done(run.directory(self.asked.output))) for run in self.left(wanted)]
        found = [(run, result) for run, result in looked if result is not None]
        for run, result in found:
            self._ends(run, result)
            if len(found) < len(looked) and are_numbers(memory := result.get("memory")):  # for those still to be done
                self.asked.engine.learn(run.label, memory)

    def _ends(self, run: Run, result: dict[str, Any] | None, seconds: float = math.nan) -> None:
        """Note the outcome of a run, and how long it took."""
        self.ended[run] = None if result is None else row(run, result)
        self.ahead.pop(run, None)
        known = (result or {}).get("seconds")
        if math.isnan(seconds) and isinstance(known, dict):
            seconds = known.get("total", seconds)
        self.estimate.learn(run, seconds)

    def _look(self) -> None:
        """While waiting: show the progress, and check that there is time left."""
        self.shown.ended, self.shown.counts["running"] = len(self.ended), self.asked.engine.running
        self.shown.look()
        self.budget.check()

    def _try(self, wanted: Sequence[Run]) -> list[Run]:
        """Do the runs except those that another process is working on: they are returned."""
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
                    self.shown.counts["elsewhere"] += 1
                elif outcome.error is None:
                    log.info("%s: %s", outcome.result["status"], run)
                    self._ends(run, outcome.result, outcome.seconds)
                else:
                    self._failed(run, outcome.error)
                    self._ends(run, None, outcome.seconds)
                self._look()
        return elsewhere

    def _failed(self, run: Run, error: BaseException) -> None:
        if isinstance(error, OSError) and error.errno in FULL:
            raise error
        self.shown.counts["failed"] += 1
        self.asked.failed.append(f"{run}: {in_words(error)}")
        log.warning("failed: %s", self.asked.failed[-1])
        run.fail(in_words(error), self.asked.output)

    def _freed(self, elsewhere: list[Run]) -> tuple[list[Run], list[Run]]:
        """The runs that another process has left or finished, and those still under way there; waits for the first."""
        if elsewhere:
            log.info("another process is working on %d runs", len(elsewhere))
        while elsewhere:
            held = [run for run in elsewhere if is_held(run.directory(self.asked.output))]
            self.shown.counts["elsewhere"] = len(held)
            if len(held) < len(elsewhere):
                return [run for run in elsewhere if run not in held], held
            self._look()
            time.sleep(PATIENCE)
        return [], []


def _execute(shared: tuple[Path, dict[str, Task], Where], content: tuple[str, Method, Repeat]) -> dict[str, Any]:
    """One run, in a worker. `Claimed` where another process is working on it."""
    (folder, named, where), (label, method, repeat) = shared, content
    run = Run(named[label], method, repeat, where, label)
    return run.execute(run.directory(folder), shared=folder / SHARED, wait=False)
