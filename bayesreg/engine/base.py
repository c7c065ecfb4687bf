"""What an engine is: where the runs of a comparison take place.

All that is known about a run is in its own directory, so an engine keeps no state: whichever process does a run claims
the directory, resumes from its checkpoint and leaves its result there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self

import joblib

from bayesreg.memory import Memory
from bayesreg.priors.base import whole

TRIES = 2  # of a job whose worker was killed
TICK = 1.0  # seconds, at most, between two calls of `meanwhile`


def _nothing() -> None: ...


class Job(NamedTuple):
    """One run to do. kind: jobs of one kind, for example of one task, need about the same memory."""

    content: Any
    kind: str = ""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one job: its result, or the error that stopped it. seconds: how long it took, if it was done."""

    number: int
    result: Any = None
    error: BaseException | None = None
    seconds: float = math.nan


class Killed(RuntimeError):
    """The worker process of a job was killed every time the job was tried."""


class TimedOut(RuntimeError):
    """A job took longer than was allowed, and was stopped."""

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout)  # from which pickle makes it again

    def __str__(self) -> str:
        return (
            f"it took longer than the timeout of {self.args[0]:g} s; with a longer one it resumes from its checkpoint"
        )


@dataclass
class Engine(ABC):
    """Where runs take place: several at a time, in processes that do many, each of which may be killed.

    A subclass defines `outcomes`, and `check` and `close` if it has something to check or to close. One engine does one
    grid after another, then `close` ends its workers; as a context manager it does so by itself.

    workers: runs at a time; None: as many as there is room for. timeout: seconds after which a run is stopped.
    """

    name: ClassVar[str]
    workers: int | None = None
    timeout: float | None = None
    needs: dict[str, Memory] = field(default_factory=dict, init=False, repr=False)  # measured needs of a job, by kind
    expected: int | None = field(default=None, init=False, repr=False)  # jobs in all; None: unknown
    running: int = field(default=0, init=False, repr=False)  # jobs, now
    meanwhile: Callable[[], None] = field(default_factory=lambda: _nothing, init=False, repr=False)

    @classmethod
    def options(cls) -> list[str]:
        """The names of its options."""
        return [option.name for option in fields(cls) if option.init]

    def check(self, folder: Path) -> None:
        """Raise ValueError or TypeError, before the first run, for what would stop them all."""
        if self.workers is not None:
            whole("compare", workers=self.workers)
        if self.timeout is not None and not (math.isfinite(self.timeout) and self.timeout > 0):
            raise ValueError(f"timeout={self.timeout}: give seconds, above 0")

    @abstractmethod
    def outcomes(
        self, function: Callable[[Any, Any], Any], shared: Any, jobs: Sequence[Job]
    ) -> Generator[Outcome, None, None]:
        """Yield the outcome of function(shared, job.content) for each job, as they end, whatever happens to the others.

        The function and its arguments are sent by cloudpickle; `shared` goes to each worker once. A job that raises
        gives an outcome with the error. One whose worker is killed is tried again once, then it is `Killed`; one that
        takes longer than `timeout` is stopped, `TimedOut`. A result that is a dict may have the job's "memory". The
        generator may be closed early, and then stops its jobs; `meanwhile` is called every second while it waits, and
        an exception from it closes it too.
        """

    def at_once(self, kind: str) -> int:
        """How many jobs of a kind there is room for, as far as is known."""
        return self.workers or joblib.cpu_count()

    def learn(self, kind: str, memory: Any) -> None:
        """Note how much a job of a kind needed, as {"main": bytes, "gpu": bytes}."""
        if isinstance(memory, dict):
            known = self.needs.get(kind, Memory())
            self.needs[kind] = Memory(*(max(memory.get(part) or 0, known[i]) for i, part in enumerate(Memory._fields)))

    def close(self) -> None:  # noqa: B027  (some have nothing to end)
        """End what was started. An engine that is used again afterwards starts afresh."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
