"""A sweep: every job's outcome, whatever becomes of the others."""

import functools
import os

import torch

from bayesreg.sweep import sweep


def work(number):
    if number == 2:
        raise ValueError("two is not to be had")
    return number**2, os.getpid(), torch.get_num_threads()


def test_every_job_has_its_outcome_and_one_failure_leaves_the_others():
    outcomes = {o.number: o for o in sweep([functools.partial(work, n) for n in range(5)], workers=2)}
    assert sorted(outcomes) == [0, 1, 2, 3, 4]
    assert [outcomes[n].result[0] for n in (0, 1, 3, 4)] == [0, 1, 9, 16]
    assert "two is not" in str(outcomes[2].error)
    assert outcomes[2].result is None


def test_workers_are_other_processes_with_their_share_of_the_cores():
    (outcome,) = sweep([functools.partial(work, 3)], workers=1)
    assert outcome.result[1] != os.getpid()
    assert outcome.result[2] == max(1, os.cpu_count() or 1)


def test_no_job_no_outcome():
    assert list(sweep([])) == []
