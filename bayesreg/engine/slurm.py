"""A cluster, by SLURM: an array job, which submitit hands in (https://github.com/facebookincubator/submitit).

An element of it does one run after the other, by the local engine, until none is left: one that begins late finds less.
"""

from __future__ import annotations

import functools
import os
import pickle
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import cloudpickle

from bayesreg.engine.base import Engine, Job, Killed, Outcome
from bayesreg.engine.local import Local
from bayesreg.engine.place import Place
from bayesreg.engine.queue import Queue
from bayesreg.files import write_atomically

ELEMENTS = 16
LOOK = 1.0  # seconds between looks at the files <job>.taken and <job>.done
PROGRAM, TAKEN, DONE = "program.pkl", ".taken", ".done"


@dataclass
class Slurm(Engine):
    """workers: elements of the array, 16 where None, each with `cpus_per_task` threads.

    slurm: options of sbatch as submitit names them, a dict or texts as "partition=gpu"; time, in minutes, is needed.
    """

    name: ClassVar[str] = "slurm"
    slurm: Mapping[str, Any] | Sequence[str] = ()
    _folder: Path = field(default=Path(), init=False, repr=False)

    def check(self, folder: Path) -> None:
        super().check(folder)
        self._folder = folder.resolve()
        self._executor(self._folder)

    def _executor(self, folder: Path) -> Any:
        try:
            import submitit
        except ImportError:
            raise ValueError("engine slurm needs submitit: pip install 'bayesreg[slurm]'") from None
        if not (shutil.which("sbatch") and shutil.which("srun")):
            raise ValueError("no sbatch and srun on this machine: start from one that hands in jobs to SLURM")
        executor, given = submitit.SlurmExecutor(folder), self.slurm
        pairs = given.items() if isinstance(given, Mapping) else [text.partition("=")[::2] for text in given]
        options = {name: int(value) if str(value).isdigit() else value for name, value in pairs}
        if not isinstance(options.get("time"), int):
            raise ValueError(f"slurm time={options.get('time')}: give the minutes of the array job, as time=120")
        try:
            executor.update_parameters(**{"job_name": "bayesreg", "array_parallelism": self._most} | options)
        except ValueError as error:
            raise ValueError(f"slurm {', '.join(options)}: {' '.join(str(error).split())}") from None
        return executor

    @property
    def _most(self) -> int:
        return self.workers or ELEMENTS

    def outcomes(
        self, function: Callable[[Any, Any], Any], shared: Any, jobs: Sequence[Job]
    ) -> Generator[Outcome, None, None]:
        queue = Queue(jobs)
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".slurm-", dir=self._folder, ignore_cleanup_errors=True) as made:
            Path(made, PROGRAM).write_bytes(cloudpickle.dumps((function, shared, [job.content for job in jobs])))
            while queue.waiting:
                yield from self._array(Path(made), queue)

    def _array(self, folder: Path, queue: Queue) -> Generator[Outcome, None, None]:
        """Outcomes of one array job; what its elements did not live to do waits again."""
        left, ended = list(queue.waiting), False
        begun = functools.partial(_element, folder, Place.here(), tuple(left), self.timeout)
        elements = self._executor(folder).submit_array([begun] * min(self._most, len(left)))
        queue.waiting.clear()
        try:
            while left and not ended:
                ended = all(element.done() for element in elements)  # before the look, which then misses nothing
                there = {path.name for path in folder.iterdir()}
                found = [number for number in left if f"{number}{DONE}" in there]
                self.running = sum(f"{number}{TAKEN}" in there for number in left) - len(found)
                for number in found:
                    left.remove(number)
                    yield Outcome(number, *pickle.loads((folder / f"{number}{DONE}").read_bytes()))
                time.sleep(0 if found or ended else LOOK)
        finally:
            self.running = 0
            for element in elements:
                if not element.done():
                    element.cancel(check=False)
        states = ", ".join(sorted({str(element.state) for element in elements}))
        if len(left) == len(begun.args[2]) and not any(f"{number}{TAKEN}" in there for number in left):
            raise ValueError(f"SLURM began no run ({states}): do its nodes share {self._folder} and have bayesreg?")
        death = Killed(f"its element of SLURM's array job ended, as did the one before (elements: {states})")
        for number in left:
            if f"{number}{TAKEN}" not in there:
                queue.waiting.append(number)
            elif (outcome := queue.again(number, death)) is not None:
                yield outcome
            (folder / f"{number}{TAKEN}").unlink(missing_ok=True)


def _element(folder: Path, place: Place, numbers: Sequence[int], timeout: float | None) -> None:
    """In a job of SLURM: do what no other element has taken."""
    place.take()
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", os.environ.get("SLURM_CPUS_PER_TASK", "1"))  # what joblib counts
    with Local(workers=1, timeout=timeout) as engine:
        for number in numbers:
            try:
                (folder / f"{number}{TAKEN}").touch(exist_ok=False)
            except FileExistsError:
                continue
            (one,) = engine.outcomes(_apply, folder, [Job(number)])
            said = pickle.dumps((one.result, one.error, one.seconds))
            write_atomically(folder / f"{number}{DONE}", functools.partial(Path.write_bytes, data=said))


def _apply(folder: Path, number: int) -> Any:
    function, shared, contents = _loaded(folder)
    return function(shared, contents[number])


@functools.lru_cache(maxsize=1)
def _loaded(folder: Path) -> Any:
    return pickle.loads((folder / PROGRAM).read_bytes())
