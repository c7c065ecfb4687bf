"""Jobs that machines share through a folder: the process that makes <job>.taken does it, and leaves <job>.done."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cloudpickle

from bayesreg.engine.base import Job, Outcome
from bayesreg.engine.local import Local
from bayesreg.engine.place import Place
from bayesreg.files import write_atomically

PROGRAM, TAKEN, DONE = "program.pkl", ".taken", ".done"


def write(folder: Path, function: Callable[[Any, Any], Any], shared: Any, jobs: Sequence[Job]) -> None:
    """Write the jobs."""
    content = cloudpickle.dumps((function, shared, [job.content for job in jobs]))
    write_atomically(folder / PROGRAM, functools.partial(Path.write_bytes, data=content))


def work(folder: Path, place: Place, numbers: Sequence[int], timeout: float | None) -> None:
    """Do the jobs that nobody else has taken, one after the other, by the local engine."""
    place.take()
    with Local(workers=1, timeout=timeout) as engine:
        for number in numbers:
            try:
                (folder / f"{number}{TAKEN}").touch(exist_ok=False)
            except FileExistsError:
                continue
            (one,) = engine.outcomes(_apply, folder, [Job(number)])
            said = pickle.dumps((one.result, one.error, one.seconds))
            write_atomically(folder / f"{number}{DONE}", functools.partial(Path.write_bytes, data=said))


def looked(folder: Path, numbers: Sequence[int]) -> tuple[list[int], list[int]]:
    """Which of the jobs are taken, and which of those are done."""
    there = {path.name for path in folder.iterdir()}
    taken = [number for number in numbers if f"{number}{TAKEN}" in there]
    return taken, [number for number in taken if f"{number}{DONE}" in there]


def outcome(folder: Path, number: int) -> Outcome:
    """The outcome of a finished job."""
    return Outcome(number, *pickle.loads((folder / f"{number}{DONE}").read_bytes()))


def release(folder: Path, number: int) -> None:
    """Let a job be taken again."""
    (folder / f"{number}{TAKEN}").unlink(missing_ok=True)


def _apply(folder: Path, number: int) -> Any:
    function, shared, contents = _loaded(folder)
    return function(shared, contents[number])


@functools.lru_cache(maxsize=1)
def _loaded(folder: Path) -> Any:
    return pickle.loads((folder / PROGRAM).read_bytes())
