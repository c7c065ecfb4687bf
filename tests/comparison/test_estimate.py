"""How long runs take, against queues that are simulated second by second."""

import math

import numpy as np
import pytest

import bayesreg as br
from bayesreg.comparison.estimate import Estimate
from bayesreg.grid import Repeat, Run
from bayesreg.methods import Method

TASK = br.Task(None, (np.zeros((20, 2), "float32"), np.arange(20.0)), name="mine")


def run(label, method="none", seed=0):
    return Run(TASK, Method(method), Repeat(seed), label=label)


def measured(*known):
    estimate = Estimate()
    for label, method, seconds in known:
        estimate.learn(run(label, method), seconds)
    return estimate


def test_a_run_takes_what_its_task_and_method_took_else_its_task():
    estimate = measured(("a", "none", 2), ("a", "none", 4), ("a", "l2:0.1", 9), ("b", "none", 100))
    assert estimate.seconds("a", "none") == 3
    assert estimate.seconds("a", "l2:0.1") == 9
    assert estimate.seconds("a", "dropout:0.1") == 5
    assert estimate.seconds("c", "none") is None
    assert (estimate.runs, estimate.knows("a"), estimate.knows("c")) == (4, True, False)


def test_what_is_no_time_is_not_measured():
    assert measured(*(("a", "none", seconds) for seconds in (None, math.nan, math.inf, "3", [1]))).runs == 0


@pytest.mark.parametrize(("number", "at_once"), [(1, 1), (7, 1), (7, 2), (8, 4), (9, 4), (3, 100)])
def test_equal_runs_take_as_many_turns_as_there_are(number, at_once):
    runs = [run("a", seed=seed) for seed in range(number)]
    assert measured(("a", "none", 2)).of(runs, lambda task: at_once) == 2 * math.ceil(number / at_once)


def test_nothing_takes_no_time_and_one_unknown_run_makes_all_unknown():
    estimate = measured(("a", "none", 2))
    assert estimate.of([], lambda task: 1) == 0
    assert estimate.of([run("a"), run("b")], lambda task: 1) is None


@pytest.mark.parametrize("trial", range(20))
def test_runs_begin_in_order_as_soon_as_there_is_room(trial):
    rng = np.random.default_rng(trial)
    takes = {label: int(rng.integers(1, 9)) for label in "abc"}
    room = {label: int(rng.choice([1, 2, 3, 6])) for label in "abc"}
    runs = [run(str(label)) for label in rng.choice(list("abc"), 15)]
    found = measured(*((label, "none", seconds) for label, seconds in takes.items())).of(runs, room.__getitem__)

    waiting, at, second = list(runs), [], 0
    while waiting or at:
        at = [(task, left - 1) for task, left in at if left > 1] if second else at
        while waiting and sum(6 // room[task] for task, _ in at) + 6 // room[waiting[0].label] <= 6:
            task = waiting.pop(0).label
            at.append((task, takes[task]))
        second += bool(at)
    assert found == second
