"""What part of an epoch is batching: drawing the order, gathering each batch, and augmenting it if it has images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bayesreg import guides
from bayesreg.datasets import flip_and_crop
from bayesreg.fit import order
from bayesreg.step import Step
from bayesreg.threads import surroundings
from benchmarks.cases import Case, Problem
from benchmarks.contestants import LR, STEPS, synchronise
from benchmarks.measure import spread

FEWEST = 3  # repetitions of each


def batching(case: Case, batch: int, device: torch.device, seconds: float) -> dict[str, float]:
    """{"epoch": s, "batching": s, "share": of the epoch}, the medians of epochs over all N data of the case."""
    problem = Problem(case, 1, batch, device)
    x, y = (tensor.to(device) for tensor in case.data(case.size))
    with surroundings(device, 0, problem.threads):
        model = problem.model("none")
        step = Step(model, guides.create("delta", model), LR, STEPS)
        for rows in {batch, case.size % batch or batch}:  # the last batch may be a smaller one
            step.prepare(x[:rows], y[:rows], STEPS, problem.work, "never")

        def batches() -> list[torch.Tensor]:
            return [*order(case.size, 0, 0).to(device).split(batch)]

        def gather() -> Iterator[tuple[Tensor, Tensor]]:
            for rows in batches():
                yield flip_and_crop(x[rows]) if x.dim() == 4 else x[rows], y[rows]
            synchronise(device)

        def train() -> None:
            torch.stack([step(*batch) for batch in gather()]).cpu()

        whole, part = _median(train, seconds), _median(lambda: sum(1 for _ in gather()), seconds)
    return {"epoch": whole, "batching": part, "share": part / whole}


def _median(action: Callable[[], object], seconds: float) -> float:
    action()
    times: list[float] = []
    while len(times) < FEWEST or sum(times) < seconds:
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return spread(times).median
