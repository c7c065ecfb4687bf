"""A process on this machine that does one job after another."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from tqdm import tqdm

from bayesreg import interrupts, memory
from bayesreg.engine.base import Killed

MOST = 0.95  # of the machine's memory: the most that one worker may request


class Worker:
    """A process, and this end of the pipe to it: jobs go in, (result, error, seconds) come out.

    Its first message says that it is ready; until then it gets no job.
    """

    def __init__(self, threads: int, gpu: int | None = None) -> None:
        context = multiprocessing.get_context("spawn")  # a forked PyTorch would hang in its thread pool
        self.pipe, self._theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(self._theirs, threads, gpu), name="bayesreg worker")
        self.gpu, self.ready = gpu, False
        self.job: int | None = None  # its number
        self.kind, self.since = "", 0.0  # when it was given the job
        self._program: bytes | None = None  # the one it has

    def start(self) -> None:
        with interrupts.later(), _without_main():
            self.process.start()
        self._theirs.close()

    @property
    def idle(self) -> bool:
        """Whether it is ready and has no job."""
        return self.ready and self.job is None

    def begin(self, number: int, kind: str, program: bytes, content: bytes) -> None:
        """Give it a job, and the job's program unless it has that."""
        self.job, self.kind, self.since = number, kind, time.monotonic()
        with suppress(OSError):  # it was killed while idle: `answer` says so
            self.pipe.send_bytes(b"" if self._program is program else program)
            self.pipe.send_bytes(content)
        self._program = program

    def answer(self) -> tuple[Any, BaseException | None, float] | None:
        """Its message: None if it is ready, else result, error and seconds of its job.

        Raises `Killed` if it was; the process is then cleaned up.
        """
        with suppress(EOFError, OSError):
            said = pickle.loads(self.pipe.recv_bytes())
            self.ready, self.job = True, None
            return said
        self.end()
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        raise Killed(f"its worker process {how}, as did the one before; where memory is short, use fewer workers")

    def end(self) -> None:
        self.pipe.close()
        if self.process.pid:
            self.process.kill()
            self.process.join()


@contextmanager
def _without_main() -> Iterator[None]:
    """A process started here does not run the script that started it, with or without a guard against that.

    What a job needs from the script is sent with the job, by value.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _work(pipe: Any, threads: int, gpu: int | None) -> None:
    interrupts.leave()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    settle(threads)
    if gpu is not None:
        torch.cuda.set_device(gpu)
    apply = _Program()
    with suppress(EOFError, OSError):  # the parent is gone
        pipe.send_bytes(pickle.dumps(None))
        while True:
            pipe.send_bytes(attempt(apply, pipe.recv_bytes(), pipe.recv_bytes()))


def settle(threads: int) -> None:
    """Prepare this process to do jobs, on so many threads each."""
    torch.set_num_threads(threads)
    tqdm.set_lock(threading.RLock())  # its own, between processes, would be left behind by a kill
    _yield_memory()


class _Program:
    """The function and what its jobs share, kept between jobs."""

    def __call__(self, new: bytes, content: bytes) -> Any:
        if new:
            self.known = pickle.loads(new)
        function, shared = self.known
        return function(shared, pickle.loads(content))


def attempt(apply: Callable[..., Any], *given: Any) -> bytes:
    """The outcome of a job, pickled: (result, error, seconds); the error, or its text, is whatever stopped it."""
    start = time.monotonic()
    try:
        result, error = apply(*given), None
    except BaseException as raised:
        result, error = None, _portable(raised)
    return _packed(result, error, time.monotonic() - start)


def _packed(result: Any, error: BaseException | None, seconds: float) -> bytes:
    try:
        return pickle.dumps((result, error, seconds))
    except Exception as raised:
        return pickle.dumps((None, _portable(raised), seconds))


def _yield_memory() -> None:
    """Where memory runs out, let this process be killed, not the one that started it nor another on the machine."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # on Linux
        file.write("1000")
    if not torch.cuda.is_available():  # since its driver reserves more than there is
        with suppress(ImportError, ValueError, OSError):
            import resource

            most = int(MOST * memory.total().main)
            resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)  # in the middle of a job, whose claim on its run ends too


def _portable(error: BaseException) -> BaseException:
    """The error, or its text if it cannot be sent to another process."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
