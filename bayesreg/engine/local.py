"""Worker processes on this machine: the engine that needs nothing else."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any, ClassVar

import cloudpickle
import joblib
import torch

from bayesreg import memory
from bayesreg.engine.base import TICK, Engine, Job, Killed, Outcome, TimedOut
from bayesreg.engine.queue import Queue
from bayesreg.engine.worker import Worker
from bayesreg.memory import Memory

log = logging.getLogger(__name__)

FAILED_STARTS = 5  # in a row: after so many, something is wrong with all workers


@dataclass
class Local(Engine):
    """Processes here, each with its share of the cores as threads; one that dies is replaced.

    The first job of each kind shows how much memory one needs: until it has ended no other of its kind runs, and
    afterwards as many at a time as there is room for. The workers are killed when the iterator is closed or left by an
    exception, and end by themselves when this process does.
    """

    name: ClassVar[str] = "local"
    _pool: list[Worker] = field(default_factory=list, init=False, repr=False)
    _failed_starts: int = field(default=0, init=False, repr=False)  # workers in a row that died before they were ready

    def outcomes(
        self, function: Callable[[Any, Any], Any], shared: Any, jobs: Sequence[Job]
    ) -> Generator[Outcome, None, None]:
        program, queue = cloudpickle.dumps((function, shared)), Queue(jobs)
        try:
            while queue.waiting or self._busy:
                self._hire(len(queue.waiting) + len(self._busy))
                for worker in [worker for worker in self._pool if worker.idle]:
                    if (number := queue.take(functools.partial(self._has_room, worker))) is not None:
                        worker.begin(number, jobs[number].kind, program, cloudpickle.dumps(jobs[number].content))
                self.running = len(self._busy)
                for worker in self._heard():
                    if (outcome := self._outcome(worker, queue)) is not None:
                        self.running = len(self._busy)
                        yield outcome
                self.meanwhile()
        finally:
            for worker in self._busy:
                self._dismiss(worker)
            self.running = 0

    @property
    def _busy(self) -> list[Worker]:
        return [worker for worker in self._pool if worker.job is not None]

    @property
    def _most(self) -> int:
        """Jobs at a time, by the cores: another number would change the threads, and with them the last digits."""
        most = self.workers or joblib.cpu_count()
        return most if self.expected is None else max(1, min(most, self.expected))

    @functools.cached_property
    def _machine(self) -> Memory:
        return memory.total()

    def _hire(self, needed: int) -> None:
        gpus = torch.cuda.device_count()
        while len(self._pool) < min(self._most, needed):
            worker = Worker(max(1, joblib.cpu_count() // self._most), len(self._pool) % gpus if gpus else None)
            self._pool.append(worker)
            worker.start()

    def _has_room(self, own: Worker, job: Job) -> bool:
        """Whether this worker may do the job now, besides what the others are doing."""
        others = self._busy
        need = self.needs.get(job.kind)
        if need is None:  # the first of its kind, which is measured
            return all(worker.kind != job.kind for worker in others)
        known = [(worker, self.needs.get(worker.kind, Memory())) for worker in others]
        main = sum(other.main for _, other in known)
        gpu = sum(other.gpu for worker, other in known if worker.gpu == own.gpu)
        fits = main + need.main <= self._machine.main and gpu + need.gpu <= self._machine.gpu
        return fits or not others

    def learn(self, kind: str, memory: Any) -> None:
        new = kind not in self.needs
        super().learn(kind, memory)
        if new and kind in self.needs:
            need, at_once = self.needs[kind], self.at_once(kind)
            log.info("%s: a run takes %s; %d at a time", kind or "here", need, at_once)
            if at_once < self._most:
                log.warning(
                    "%s: memory is enough for %d runs at a time, not for %d (a run takes %s); --workers %d gives each "
                    "more cores", kind, at_once, self._most, need, at_once
                )  # fmt: skip

    def at_once(self, kind: str) -> int:
        room = zip(self._machine, self.needs.get(kind, Memory()), strict=True)
        return max(1, min([self._most, *(all_ // one for all_, one in room if one)]))

    def _heard(self) -> list[Worker]:
        """The workers that have answered, died or taken too long."""
        late = TICK
        if self.timeout is not None and self._busy:
            late = min(late, max(0.0, min(w.since for w in self._busy) + self.timeout - time.monotonic()))
        said = wait([worker.pipe for worker in self._pool], late)
        return [worker for worker in self._pool if worker.pipe in said or self._is_late(worker)]

    def _is_late(self, worker: Worker) -> bool:
        if self.timeout is None or worker.job is None:
            return False
        return time.monotonic() - worker.since >= self.timeout

    def _outcome(self, worker: Worker, queue: Queue) -> Outcome | None:
        """The outcome of the job that a worker is doing; None if there is none yet."""
        number, kind = worker.job, worker.kind
        try:
            if not worker.pipe.poll():
                assert self.timeout is not None
                self._dismiss(worker)
                return Outcome(number or 0, error=TimedOut(self.timeout), seconds=self.timeout)
            said = worker.answer()
        except Killed as death:
            self._dismiss(worker)
            self._failed_starts = 0 if worker.ready else self._failed_starts + 1
            if self._failed_starts == FAILED_STARTS:
                raise
            return None if number is None else queue.again(number, death)
        self._failed_starts = 0
        if number is None or said is None:
            return None
        if isinstance(said[0], dict):
            self.learn(kind, said[0].get("memory"))
        return Outcome(number, *said)

    def _dismiss(self, worker: Worker) -> None:
        self._pool.remove(worker)
        worker.end()

    def close(self) -> None:
        for worker in list(self._pool):
            self._dismiss(worker)
