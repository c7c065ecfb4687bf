"""A cluster, by Ray: the same runs in the same directories, on storage that its nodes share.

Only tasks of Ray core (Moritz et al., 2018, https://docs.ray.io): there is no state but the runs' directories.
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

LOOK = 0.2  # seconds between checks for jobs that take too long
FRACTIONS = 10_000  # of a GPU: the finest that Ray distinguishes


@dataclass
class _Task:
    """A job that Ray has. said: first that it has started, then its outcome. since: when it had started."""

    number: int
    kind: str
    said: Any
    since: float | None = None


@dataclass
class Ray(Engine):
    """Each job is a task of Ray, with its threads as CPUs; Ray finds the node that has room for it.

    address: of the cluster's head, such as 10.0.0.1:6379; None: $RAY_ADDRESS, else the cluster that `ray start` made on
    this machine, else one is started here that ends with the engine. workers: tasks at a time, which share the CPUs of
    the cluster; those without room wait in Ray, for example until the cluster grows. The first job of each kind has a
    GPU to itself, if there are any, and shows how much memory and what fraction of a GPU the others need.
    """

    name: ClassVar[str] = "ray"
    address: str | None = None
    _own: bool = field(default=False, init=False, repr=False)  # whether the connection was made here
    _gpu: float = field(default=math.inf, init=False, repr=False)  # bytes of the smallest GPU seen
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
        """Ray, connected: by the program that uses this, or else here."""
        ray = nodes.imported()
        if not ray.is_initialized():
            nodes.join(self.address)
            self._own = True
        return ray

    @functools.cached_property
    def _threads(self) -> int:
        """The threads of a job: determined once, since the last digits depend on them."""
        cpus = [int(node["Resources"].get("CPU", 0)) for node in nodes.alive()]
        most = min(self.workers or sum(cpus), math.inf if self.expected is None else self.expected)
        return max(1, min(sum(cpus) // max(1, int(most)), max(cpus)))

    @property
    def _most(self) -> int:
        """The number of tasks that Ray has at a time."""
        return self.workers or max(1, int(nodes.resource("CPU")) // self._threads)

    def _may(self, job: Job) -> bool:
        """Whether a job may start: not while the first of its kind is measured."""
        return job.kind in self.needs or all(task.kind != job.kind for task in self._tasks)

    def _share(self, kind: str) -> dict[str, float]:
        """What a job of that kind requests from a node."""
        if kind not in self.needs:
            return {"num_gpus": min(1, int(nodes.resource("GPU")))}
        need = self.needs[kind]
        most = max(node["Resources"].get("memory", 0) for node in nodes.alive())
        return {"num_gpus": fraction(need.gpu, self._gpu), "memory": min(need.main, most)}

    def _late(self, task: _Task) -> Outcome | None:
        """Stop a task that takes too long; its outcome, else None."""
        if self.timeout is None or task.since is None or time.monotonic() - task.since < self.timeout:
            return None
        self._tasks.remove(task)
        nodes.imported().cancel(task.said, force=True)
        return Outcome(task.number, error=TimedOut(self.timeout), seconds=self.timeout)

    def _outcome(self, task: _Task, queue: Queue) -> Outcome | None:
        """The outcome of the job of a task that has answered; None if there is none yet."""
        ray = nodes.imported()
        try:
            said = ray.get(next(task.said))
        except ray.exceptions.RayError as error:
            self._tasks.remove(task)
            first = str(error).strip().splitlines() or [type(error).__name__]
            if isinstance(error, ray.exceptions.RayTaskError):  # it could not start
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
    """The fraction of a GPU, rounded down to what Ray distinguishes, so that many fit on one; 1 where its size is ∞."""
    at_once = 1 if math.isinf(all_) or not need else min(FRACTIONS, max(1, all_ // need))
    return math.floor(FRACTIONS / at_once) / FRACTIONS if need else 0


def _by_value() -> Callable[..., Iterator[Any]]:
    """`_do`, in a function that looks for this package first where this process has found it, then elsewhere."""

    def task(path: tuple[str, ...], *given: Any) -> Iterator[Any]:
        import sys

        sys.path[:0] = [entry for entry in path if entry not in sys.path]
        from bayesreg.engine.ray import _do

        yield from _do(*given)

    return task


def _do(program: list[Any], content: bytes, threads: int) -> Iterator[Any]:
    """One job, in a process of Ray's, which does many: yields the bytes of its GPU when it starts, then its result."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # stopping a node ends it, rather than raising in it
    settle(threads)
    yield memory.total().gpu
    yield attempt(_apply, program[0], content)


def _apply(program: Any, content: bytes) -> Any:
    function, shared = _loaded(program)
    return function(shared, pickle.loads(content))


@functools.lru_cache(maxsize=1)
def _loaded(program: Any) -> Any:
    """The function and what its jobs share; kept between jobs."""
    place, content = nodes.imported().get(program)
    place.take()
    return pickle.loads(content)
