"""A cluster, by SLURM: an array job, submitted by submitit (https://github.com/facebookincubator/submitit).

Each element of it does one run after the other, until none is left: one that starts late finds less to do.
"""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from bayesreg.engine import share
from bayesreg.engine.base import Engine, Job, Killed, Outcome
from bayesreg.engine.place import Place
from bayesreg.engine.queue import Queue

ELEMENTS = 16
LOOK = 1.0  # seconds between checks of the folder


@dataclass
class Slurm(Engine):
    """workers: elements of the array, 16 where None, each with `cpus_per_task` threads.

    slurm: options of sbatch as submitit names them, a dict or texts such as "partition=gpu"; time, in minutes, is
    required.
    """

    name: ClassVar[str] = "slurm"
    slurm: Mapping[str, Any] | Sequence[str] = ()
    _folder: Path = field(default=Path(), init=False, repr=False)

    def check(self, folder: Path) -> None:
        super().check(folder)
        self._folder = folder.resolve()
        self._executor(self._folder)

    def outcomes(
        self, function: Callable[[Any, Any], Any], shared: Any, jobs: Sequence[Job]
    ) -> Generator[Outcome, None, None]:
        queue = Queue(jobs)
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".slurm-", dir=self._folder, ignore_cleanup_errors=True) as made:
            share.write(Path(made), function, shared, jobs)
            while queue.waiting:
                yield from self._array(Path(made), queue)

    def at_once(self, kind: str) -> int:
        return self.workers or ELEMENTS

    def _array(self, folder: Path, queue: Queue) -> Generator[Outcome, None, None]:
        """Outcomes of one array job; what its elements did not finish waits again."""
        left, ended, taken = list(queue.waiting), False, list[int]()
        element = functools.partial(_element, folder, Place.here(), tuple(left), self.timeout)
        elements = self._submitted(folder, [element] * min(self.at_once(""), len(left)))
        queue.waiting.clear()
        try:
            while left and not ended:
                ended = all(one.done() for one in elements)  # before looking, so that nothing is missed
                taken, done = share.looked(folder, left)
                self.running = len(taken) - len(done)
                for number in done:
                    left.remove(number)
                    yield share.outcome(folder, number)
                self.meanwhile()
                time.sleep(0 if done or ended else LOOK)
        finally:
            self.running = 0
            for one in elements:
                if not one.done():
                    one.cancel(check=False)
        states = ", ".join(sorted({str(one.state) for one in elements}))
        if len(left) == len(element.args[2]) and not taken:
            raise ValueError(f"SLURM started no run ({states}): do its nodes share {self._folder} and have bayesreg?")
        death = Killed(f"its element of SLURM's array job ended, as did the one before (elements: {states})")
        for number in left:
            share.release(folder, number)
            if number not in taken:
                queue.waiting.append(number)
            elif (outcome := queue.again(number, death)) is not None:
                yield outcome

    def _submitted(self, folder: Path, elements: Sequence[Callable[[], None]]) -> Any:
        try:
            return self._executor(folder).submit_array(elements)
        except RuntimeError as error:  # from sbatch
            raise ValueError(f"SLURM accepts no array job: {' '.join(str(error).split())}") from None

    def _executor(self, folder: Path) -> Any:
        try:
            import submitit
        except ImportError:
            raise ValueError("engine slurm needs submitit: pip install 'bayesreg[slurm]'") from None
        if not (shutil.which("sbatch") and shutil.which("srun")):
            raise ValueError("no sbatch and srun on this machine: start from one that can submit jobs to SLURM")
        executor, options = submitit.SlurmExecutor(folder), _options(self.slurm)
        try:
            executor.update_parameters(**{"job_name": "bayesreg"} | options)
        except ValueError as error:
            raise ValueError(f"slurm {', '.join(options)}: {' '.join(str(error).split())}") from None
        return executor


def _options(given: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    pairs = given.items() if isinstance(given, Mapping) else [text.partition("=")[::2] for text in given]
    options = {name: int(value) if str(value).isdigit() else value for name, value in pairs}
    if not isinstance(options.get("time"), int):
        raise ValueError(f"slurm time={options.get('time')}: give the minutes of the array job, as in time=120")
    return options


def _element(*work: Any) -> None:
    """In a SLURM job: joblib should count its CPUs, not all of the machine's."""
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", os.environ.get("SLURM_CPUS_PER_TASK", "1"))
    share.work(*work)
