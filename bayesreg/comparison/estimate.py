"""How long runs take, estimated from measured ones."""

from __future__ import annotations

import functools
import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

from bayesreg.files import are_numbers
from bayesreg.grid import Run


class Estimate:
    """Seconds of a run: the mean over the runs of its task and method, else over those of its task, else unknown."""

    def __init__(self) -> None:
        self._of_method: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._of_task: dict[str, list[float]] = defaultdict(list)

    def learn(self, run: Run, seconds: Any) -> None:
        """Note how long a run took; anything but a number of seconds is ignored."""
        if are_numbers({"seconds": seconds}) and math.isfinite(seconds):
            self._of_method[run.label, run.method.name].append(seconds)
            self._of_task[run.label].append(seconds)

    @property
    def runs(self) -> int:
        """How many were measured."""
        return sum(map(len, self._of_task.values()))

    def knows(self, task: str) -> bool:
        """Whether a run of the task was measured."""
        return task in self._of_task

    def seconds(self, task: str, method: str) -> float | None:
        known = self._of_method.get((task, method)) or self._of_task.get(task)
        return fmean(known) if known else None

    def of(self, runs: Iterable[Run], at_once: Callable[[str], int]) -> float | None:
        """Seconds until all have ended, started in order, each as soon as there is room; None where unknown.

        at_once: how many runs of a task there is room for; each takes that fraction of the room.
        """
        queue = [(run.label, run.method.name) for run in runs]
        mean, at = functools.cache(self.seconds), {task: at_once(task) for task, _ in queue}
        now, room, ends = 0.0, math.lcm(*at.values()), list[tuple[float, int]]()
        part = {task: room // number for task, number in at.items()}
        for task, method in queue:
            seconds = mean(task, method)
            if seconds is None:
                return None
            while room < part[task]:
                now, freed = heapq.heappop(ends)
                room += freed
            heapq.heappush(ends, (now + seconds, part[task]))
            room -= part[task]
        return max((end for end, _ in ends), default=0.0)
