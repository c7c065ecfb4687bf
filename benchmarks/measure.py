"""Time, measured so that contestants can be compared on a machine that is never quite idle."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from benchmarks.contestants import synchronise

Name = TypeVar("Name", bound=Hashable)
TURN = 0.02  # seconds that a contestant runs before the next one does
LONG = 1.0  # seconds per step: with longer ones, few steps must do
FEWEST, FEW, MOST = 3, 5, 400  # rounds: of long steps at least, of others, and at most
SIZES = (256, 512, 1024, 2048)  # of square matrices
GPU_SIZES = (2048, 4096, 8192)


class Spread(NamedTuple):
    """The median and the quartiles."""

    median: float
    low: float
    high: float


def spread(values: list[float]) -> Spread:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return Spread(median, low, high)


def interleave(
    steps: Mapping[Name, Callable[[], object]],
    seconds: float,
    rounds: int | None = None,
    wait: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Seconds per step of each contestant, one number per round.

    In every round each has one turn, in a new random order, so that what slows the machine for a while slows all
    equally. A turn is as many steps as fit in `TURN`, at least one, after one that does not count: in training the
    caches are warm too. rounds: None means as many as give each about `seconds`. wait: until the device is done.
    """

    def timed(step: Callable[[], object], count: int) -> float:
        wait()
        start = clock()
        for _ in range(count):
            step()
        wait()
        return (clock() - start) / count

    def once(step: Callable[[], object]) -> float:
        first = timed(step, 1)
        return first if first > LONG else min(first, timed(step, 1))

    alone = {name: once(step) for name, step in steps.items()}
    counts = {name: max(1, math.ceil(TURN / max(taken, 1e-9))) for name, taken in alone.items()}
    if rounds is None:
        longest = max(alone[name] * counts[name] for name in steps)
        rounds = min(MOST, max(FEWEST if longest > LONG else FEW, round(seconds / longest)))
    times: dict[Name, list[float]] = {name: [] for name in steps}
    order, shuffle = list(steps), random.Random(0).shuffle
    with _quiet():
        for _ in range(rounds):
            shuffle(order)
            for name in order:
                if counts[name] > 1:
                    timed(steps[name], 1)
                times[name].append(timed(steps[name], counts[name]))
    return times


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Python's garbage collector away from existing objects: training has one model, not all of these."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def matrix_rate(device: torch.device, seconds: float = 1.0) -> float:
    """FLOP/s of a float32 matrix product with the threads that are set: the best over some sizes."""
    best = 0.0
    sizes = GPU_SIZES if device.type == "cuda" else SIZES
    for size in sizes:
        a, b = (torch.randn(size, size, device=device) for _ in range(2))
        out = torch.mm(a, b)
        end = time.perf_counter() + seconds / len(sizes)
        while time.perf_counter() < end:
            synchronise(device)
            start = time.perf_counter()
            torch.mm(a, b, out=out)
            synchronise(device)
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best
