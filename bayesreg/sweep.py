"""A grid of runs on local worker processes, each of which does one job after another."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import types
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

import cloudpickle
import torch
from tqdm import tqdm

from bayesreg import interrupts

TRIES = 2  # of a job whose worker was killed


@dataclass(frozen=True)
class Outcome:
    """What became of one job: its result, or the error that stopped it."""

    number: int
    result: Any = None
    error: BaseException | None = None


class Killed(RuntimeError):
    """The worker process of a job was killed, as often as the job was tried."""


@contextmanager
def crew() -> Iterator[list[Worker]]:
    """Workers for several sweeps, one after the other, each of which takes those that are there; then they end."""
    pool: list[Worker] = []
    try:
        yield pool
    finally:
        for worker in pool:
            worker.end()


def sweep(
    jobs: Sequence[Callable[[], Any]], workers: int | None = None, pool: list[Worker] | None = None
) -> Generator[Outcome, None, None]:
    """Run the jobs, callables that cloudpickle takes, on `workers` processes; yields each outcome as it comes.

    Every worker has its own share of the cores as threads. A job that raises is an outcome with the error, and
    one whose worker is killed is tried again once; the others go on. The workers are killed when the iterator is
    closed or left by an exception, and end by themselves when this process does. workers: None takes one a core.
    pool: of a `crew`, whose workers go on when all jobs are done.
    """
    cores = os.cpu_count() or 1
    workers = max(1, min(workers or cores, len(jobs)))
    packed = [cloudpickle.dumps(job) for job in jobs]
    queue, tries = deque(range(len(jobs))), Counter[int]()
    kept, pool = pool is not None, [] if pool is None else pool
    busy: dict[Any, tuple[Worker, int]] = {}  # by pipe
    try:
        while queue or busy:
            while queue and len(busy) < workers:
                worker = next((worker for worker in pool if worker.pipe not in busy), None)
                if worker is None:
                    worker = Worker(max(1, cores // workers))
                    pool.append(worker)
                    worker.start()
                number = queue.popleft()
                busy[worker.pipe] = worker, number
                worker.begin(packed[number])
            worker, number = busy.pop(wait(list(busy))[0])
            tries[number] += 1
            try:
                outcome = Outcome(number, *worker.answer())
            except Killed as death:
                pool.remove(worker)
                if tries[number] < TRIES:
                    queue.appendleft(number)
                    continue
                outcome = Outcome(number, error=death)
            yield outcome
    finally:
        for worker in [worker for worker in pool if not kept or worker.pipe in busy]:
            pool.remove(worker)
            worker.end()


class Worker:
    """A process that does jobs, and this end of the pipe to it: jobs go in, (result, error) come out."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a forked PyTorch hangs in its thread pool
        self.pipe, self._theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(self._theirs, threads), name="bayesreg worker")

    def start(self) -> None:
        with interrupts.later(), _without_main():
            self.process.start()
        self._theirs.close()

    def begin(self, job: bytes) -> None:
        with suppress(OSError):  # it was killed while it had nothing to do: `answer` says so
            self.pipe.send_bytes(job)

    def answer(self) -> tuple[Any, BaseException | None]:
        """Result and error of the job. `Killed` if the worker was, which is then done with."""
        with suppress(EOFError, OSError):
            return pickle.loads(self.pipe.recv_bytes())
        self.end()
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        raise Killed(f"its worker process {how}, as did the one before; where memory is short, take fewer workers")

    def end(self) -> None:
        self.pipe.close()
        if self.process.pid:
            self.process.kill()
            self.process.join()


@contextmanager
def _without_main() -> Iterator[None]:
    """A process that is started here does not run the script that started it, with or without a guard against that.

    What a job needs of the script goes with the job, by value.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _work(pipe: Any, threads: int) -> None:
    interrupts.leave()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    tqdm.set_lock(threading.RLock())  # its own, between processes, would be left behind by a kill
    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            pipe.send_bytes(_do(pipe.recv_bytes()))


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)  # in the middle of a job, whose claim on its run ends with it


def _do(job: bytes) -> bytes:
    try:
        return pickle.dumps((pickle.loads(job)(), None))
    except BaseException as error:
        return pickle.dumps((None, _portable(error)))


def _portable(error: BaseException) -> BaseException:
    """The error, or its text where it cannot be told to another process."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
