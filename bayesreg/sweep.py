"""A grid of runs on local worker processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Outcome:
    """What became of one job: its result, or the error that stopped it."""

    number: int
    result: Any = None
    error: Exception | None = None


def sweep(jobs: Sequence[Callable[[], Any]], workers: int | None = None) -> Iterator[Outcome]:
    """Run the jobs, picklable callables, on `workers` processes; yields each outcome as it comes.

    Every worker has its own share of the cores as threads. A job that raises is an outcome with the error;
    the others go on. workers: None takes one a core.
    """
    cores = os.cpu_count() or 1
    workers = max(1, min(workers or cores, len(jobs)))
    context = multiprocessing.get_context("spawn")  # a forked PyTorch hangs in its thread pool
    with ProcessPoolExecutor(workers, context, _share, (max(1, cores // workers),)) as pool:
        numbers = {pool.submit(job): number for number, job in enumerate(jobs)}
        try:
            for future in as_completed(numbers):
                error = future.exception()
                if isinstance(error, Exception):
                    yield Outcome(numbers[future], error=error)
                else:
                    yield Outcome(numbers[future], result=future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _share(threads: int) -> None:
    torch.set_num_threads(threads)
