"""The jobs of a grid that wait for a worker, and how often each was tried."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from bayesreg.engine.base import TRIES, Job, Killed, Outcome


class Queue:
    """The jobs that wait for a worker, by number."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs, self.waiting, self._tries = jobs, deque(range(len(jobs))), Counter[int]()

    def take(self, may: Callable[[Job], bool]) -> int | None:
        """The first that may start; None if none may."""
        for number in self.waiting:
            if may(self.jobs[number]):
                self.waiting.remove(number)
                return number
        return None

    def again(self, number: int, death: Killed) -> Outcome | None:
        """Put a job whose worker was killed first, unless it was tried often enough."""
        self._tries[number] += 1
        if self._tries[number] >= TRIES:
            return Outcome(number, error=death)
        self.waiting.appendleft(number)
        return None
