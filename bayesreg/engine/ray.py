"""A cluster, by Ray: the same runs in the same directories, on storage that its nodes share.

Tasks of Ray core alone (Moritz et al., 2018, https://docs.ray.io): there is no state but the runs' directories.
"""

from __future__ import annotations

import functools
import math
import pickle
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import cloudpickle

from bayesreg import memory
from bayesreg.engine import nodes
from bayesreg.engine.base import Engine, Job, Killed, Outcome, TimedOut
from bayesreg.engine.place import Place
from bayesreg.engine.queue import Queue
from bayesreg.engine.worker import attempt, settle

LOOK = 0.2  # seconds between looks at what takes too long
FRACTIONS = 10_000  # of a GPU, that Ray can tell apart


@dataclass
class _Task:
    """A job that Ray has. said: first that it has begun, then what came of it. since: when it had begun."""

    number: int
    kind: str
    said: Any
    since: float | None = None


@dataclass
class Ray(Engine):
    """Each job is a task of Ray, with its threads as CPUs; Ray finds the node that has room for it.

    address: of the cluster's head, as 10.0.0.1:6379; None: $RAY_ADDRESS, else the cluster that `ray start` made on
    this machine, else one is started here that ends with the engine. workers: tasks at a time, which share the CPUs of
    the cluster; those that it has no room for wait in Ray, as where it grows. The first job of each kind has a GPU to
    itself, where there are some, and shows how much memory and what fraction of a GPU the others are to ask for.
    """

    name: ClassVar[str] = "ray"
    address: str | None = None
    _own: bool = field(default=False, init=False, repr=False)  # whether the connection was made here
    _gpu: float = field(default=math.inf, init=False, repr=False)  # bytes of the smallest GPU that was seen
    _tasks: list[_Task] = field(default_factory=list, init=False, repr=False)

    def check(self, folder: Path) -> None:
        super().check(folder)
        nodes.check(self._connected(), folder)

    def outcomes(
        self, function: Callable[[Any, Any], Any], shared: Any, jobs: Sequence[Job]
    ) -> Generator[Outcome, None, None]:
        ray, queue = self._connected(), Queue(jobs)
        do, place = ray.remote(max_retries=0, num_returns="streaming")(_by_value()), Place.here()
        program = ray.put((place, cloudpickle.dumps((function, shared))))
        try:
            while queue.waiting or self._tasks:
                while len(self._tasks) < self._most and (number := queue.take(self._may)) is not None:
                    one = do.options(num_cpus=self._threads, **self._share(jobs[number].kind))
                    said = one.remote(place.path, [program], cloudpickle.dumps(jobs[number].content), self._threads)
                    self._tasks.append(_Task(number, jobs[number].kind, said))
                heard, _ = ray.wait([task.said for task in self._tasks], timeout=LOOK)
                for task in list(self._tasks):
                    outcome = self._outcome(task, queue) if task.said in heard else self._late(task)
                    self.running = sum(one.since is not None for one in self._tasks)
                    if outcome is not None:
                        yield outcome
                self.meanwhile()
        finally:
            while self._tasks:
                ray.cancel(self._tasks.pop().said, force=True)
            self.running = 0

    def at_once(self, kind: str) -> int:
        if not nodes.imported().is_initialized():
            return super().at_once(kind)
        share = self._share(kind)
        need = {"CPU": self._threads, "GPU": share["num_gpus"], "memory": share.get("memory", 0)}
        room = [[node["Resources"].get(name, 0) // one for name, one in need.items() if one] for node in nodes.alive()]
        return max(1, min(self._most, int(sum(map(min, room)))))

    def close(self) -> None:
        if self._own:
            self._own = False
            nodes.leave()

    def _connected(self) -> Any:
        """Ray, connected: as the program that uses this has done it already, else here."""
        ray = nodes.imported()
        if not ray.is_initialized():
            nodes.join(self.address)
            self._own = True
        return ray

    @functools.cached_property
    def _threads(self) -> int:
        """Of a job: found once, since with the threads the digits change."""
        cpus = [int(node["Resources"].get("CPU", 0)) for node in nodes.alive()]
        most = min(self.workers or sum(cpus), math.inf if self.expected is None else self.expected)
        return max(1, min(sum(cpus) // max(1, int(most)), max(cpus)))

    @property
    def _most(self) -> int:
        """Tasks that Ray has at a time."""
        return self.workers or max(1, int(nodes.resource("CPU")) // self._threads)

    def _may(self, job: Job) -> bool:
        """Whether a job may begin: not while the first of its kind is measured."""
        return job.kind in self.needs or all(task.kind != job.kind for task in self._tasks)

    def _share(self, kind: str) -> dict[str, float]:
        """What a job of that kind asks for, of one node."""
        if kind not in self.needs:
            return {"num_gpus": min(1, int(nodes.resource("GPU")))}
        need = self.needs[kind]
        most = max(node["Resources"].get("memory", 0) for node in nodes.alive())
        return {"num_gpus": fraction(need.gpu, self._gpu), "memory": min(need.main, most)}

    def _late(self, task: _Task) -> Outcome | None:
        """That a task is stopped, where it takes too long."""
        if self.timeout is None or task.since is None or time.monotonic() - task.since < self.timeout:
            return None
        self._tasks.remove(task)
        nodes.imported().cancel(task.said, force=True)
        return Outcome(task.number, error=TimedOut(self.timeout), seconds=self.timeout)

    def _outcome(self, task: _Task, queue: Queue) -> Outcome | None:
        """What has become of the job of a task that has said something; None where nothing has yet."""
        ray = nodes.imported()
        try:
            said = ray.get(next(task.said))
        except ray.exceptions.RayError as error:
            self._tasks.remove(task)
            first = str(error).strip().splitlines() or [type(error).__name__]
            if isinstance(error, ray.exceptions.RayTaskError):  # it was not let begin
                return Outcome(task.number, error=RuntimeError(first[-1]))
            why = first[0].partition(". ")[0].rstrip(".")
            return queue.again(task.number, Killed(f"its worker was lost, as was the one before: {why}"))
        if task.since is None:
            task.since, self._gpu = time.monotonic(), min(self._gpu, said or math.inf)
            return None
        self._tasks.remove(task)
        outcome = Outcome(task.number, *pickle.loads(said))
        if isinstance(outcome.result, dict):
            self.learn(task.kind, outcome.result.get("memory"))
        return outcome


def fraction(need: int, all_: float) -> float:
    """Of a GPU, rounded down to what Ray can tell apart, so that many fit on one; all of it where its size is ∞."""
    at_once = 1 if math.isinf(all_) or not need else min(FRACTIONS, max(1, all_ // need))
    return math.floor(FRACTIONS / at_once) / FRACTIONS if need else 0


def _by_value() -> Callable[..., Iterator[Any]]:
    """`_do`, in a function that looks for this package where this process has found it, and elsewhere after that."""

    def task(path: tuple[str, ...], *given: Any) -> Iterator[Any]:
        import sys

        sys.path[:0] = [entry for entry in path if entry not in sys.path]
        from bayesreg.engine.ray import _do

        yield from _do(*given)

    return task


def _do(program: list[Any], content: bytes, threads: int) -> Iterator[Any]:
    """One job, in a process of Ray's, which does many: the bytes of its GPU once it has begun, then what it gives."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a node that is stopped ends it, and does not make it raise
    settle(threads)
    yield memory.total().gpu
    yield attempt(_apply, program[0], content)


def _apply(program: Any, content: bytes) -> Any:
    function, shared = _loaded(program)
    return function(shared, pickle.loads(content))


@functools.lru_cache(maxsize=1)
def _loaded(program: Any) -> Any:
    """The function and what its jobs share; kept from one job to the next."""
    place, content = nodes.imported().get(program)
    place.take()
    return pickle.loads(content)
