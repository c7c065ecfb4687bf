"""Who is measured: bayesreg and its peers, each as a function of no argument that does one training step."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch

from bayesreg import guides
from bayesreg.priors import parse
from bayesreg.step import Step
from benchmarks import naive
from benchmarks.by_hand import HandWritten, MeanField
from benchmarks.cases import Problem

BAYESREG, HAND, NAIVE = "bayesreg", "hand-written", "naive Pyro"
BAYESREG_COMPILED, HAND_COMPILED = "bayesreg compiled", "hand-written compiled"
DECAY = "hand-written decay"
COMPILED = (BAYESREG_COMPILED, HAND_COMPILED)
LR, STEPS = 1e-6, 1_000_000  # so small a rate that the numbers are still ordinary after thousands of steps


class Key(NamedTuple):
    """The name of one measurement. width: the multiple of the case's own."""

    case: str
    batch: int
    width: int
    prior: str
    guide: str
    contestant: str


class Ready(NamedTuple):
    """A contestant after its first step. seconds: from nothing to there; how: what was done to make it fast."""

    step: Callable[[], object]
    seconds: float
    how: str


def possible(problem: Problem, prior: str, guide: str, contestant: str) -> bool:
    """Whether there is such a contestant."""
    if contestant == NAIVE:
        return guide == "delta" and naive.possible(problem.network(), parse(prior, problem.case.size))
    return contestant != DECAY or (prior, guide) == ("l2", "delta")


def prepare(problem: Problem, prior: str, guide: str, contestant: str) -> Ready:
    """Build it, warm it up, do its first step."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        if contestant in COMPILED:
            warnings.simplefilter("ignore")  # the compiler's own
        build = {BAYESREG: _bayesreg, BAYESREG_COMPILED: _bayesreg, NAIVE: _naive}.get(contestant, _by_hand)
        step, how = build(problem, prior, guide, contestant)
        step()
    synchronise(problem.device)
    return Ready(step, time.perf_counter() - start, how)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _bayesreg(problem: Problem, prior: str, guide: str, contestant: str) -> tuple[Callable[[], object], str]:
    x, y, model = problem.x, problem.y, problem.model(prior)
    step = Step(model, guides.create(guide, model), LR, STEPS)
    how = step.prepare(x, y, STEPS, problem.work, "always" if contestant == BAYESREG_COMPILED else "never")
    return lambda: step(x, y), how


def _by_hand(problem: Problem, prior: str, guide: str, contestant: str) -> tuple[Callable[[], object], str]:
    case, x, y = problem.case, problem.x, problem.y
    kind = HandWritten if guide == "delta" else MeanField
    options = {"decay": contestant == DECAY, "compile": contestant == HAND_COMPILED}
    step = kind(problem.network(), parse(prior, case.size), case.likelihood, case.size, LR, STEPS, **options)
    return lambda: step(x, y), "compiled" if options["compile"] else "eager"


def _naive(problem: Problem, prior: str, guide: str, contestant: str) -> tuple[Callable[[], object], str]:
    case, x, y = problem.case, problem.x, problem.y
    svi = naive.naive(problem.network(), parse(prior, case.size), case.likelihood, case.size, LR)
    return lambda: svi.step(x, y), "SVI"
