"""A sweep: every job's outcome, whatever becomes of the others and of the workers."""

import functools
import os
import pickle
import signal
import threading
import time

import pytest
import torch

from bayesreg import sweep as module
from bayesreg.sweep import Killed, Worker, crew, sweep


class Wide(Exception):
    """An error that pickle cannot bring back: it wants two arguments and keeps one."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def work(number):
    if number == 2:
        raise ValueError("two is not to be had")
    if number == 4:
        raise Wide("this", "that")
    return number**2, os.getpid(), torch.get_num_threads()


def die(marker, times):
    """Killed from outside, as for its memory, the first times that it is tried."""
    with marker.open("a") as file:
        file.write("x")
    if len(marker.read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def test_every_job_has_its_outcome_and_one_failure_leaves_the_others():
    outcomes = {o.number: o for o in sweep([functools.partial(work, n) for n in range(6)], workers=1)}
    assert sorted(outcomes) == [0, 1, 2, 3, 4, 5]
    assert [outcomes[n].result[0] for n in (0, 1, 3, 5)] == [0, 1, 9, 25]
    assert isinstance(outcomes[2].error, ValueError)
    assert "two is not" in str(outcomes[2].error)
    assert str(outcomes[4].error) == "Wide: this and that"
    assert outcomes[2].result is outcomes[4].result is None
    (worker,) = {outcomes[n].result[1] for n in (0, 1, 3, 5)}  # one process does them all
    assert worker != os.getpid()
    assert outcomes[0].result[2] == max(1, os.cpu_count() or 1)


@pytest.mark.parametrize(("workers", "jobs", "threads"), [(2, 5, 3), (4, 9, 1), (None, 9, 1), (8, 2, 3), (1, 9, 6)])
def test_workers_share_the_cores(monkeypatch, workers, jobs, threads):
    given = []

    class Here:
        """No process."""

        def __init__(self, threads):
            self.pipe = object()
            given.append(threads)

        def start(self): ...

        def begin(self, job):
            self.job = job

        def answer(self):
            return pickle.loads(self.job)(), None

        def end(self): ...

    monkeypatch.setattr(module.os, "cpu_count", lambda: 6)
    monkeypatch.setattr(module, "Worker", Here)
    monkeypatch.setattr(module, "wait", lambda pipes: pipes[:1])
    assert len(list(sweep([functools.partial(abs, -n) for n in range(jobs)], workers))) == jobs
    assert set(given) == {threads}
    assert len(given) <= min(workers or 6, jobs)


def test_a_killed_worker_costs_its_own_job_one_more_try(tmp_path):
    jobs = [functools.partial(die, tmp_path / str(times), times) for times in (1, 9, 0, 0)]
    outcomes = {outcome.number: outcome for outcome in sweep(jobs, workers=2)}
    assert [outcomes[n].result for n in (0, 2, 3)] == ["alive"] * 3
    assert isinstance(outcomes[1].error, Killed)
    assert "killed by SIGKILL" in str(outcomes[1].error)
    assert [len((tmp_path / name).read_text()) for name in "190"] == [2, 2, 2]


def process_of(marker):
    marker.write_text(str(os.getpid()))
    return os.getpid()


def test_a_sweep_that_is_left_leaves_no_worker(tmp_path):
    jobs = [functools.partial(process_of, tmp_path / "0"), functools.partial(signal.pause)]
    outcomes = sweep(jobs, workers=1)
    worker = next(outcomes).result
    outcomes.close()
    try:
        os.kill(worker, 0)
    except ProcessLookupError:
        return
    raise AssertionError(f"worker {worker} is alive")


def test_a_crew_does_one_sweep_after_the_other_and_then_ends():
    with crew() as pool:
        first, second = ([o.result for o in sweep([os.getpid], workers=1, pool=pool)] for _ in range(2))
        assert first == second != [os.getpid()]
        assert len(pool) == 1
        outcomes = sweep([os.getpid, signal.pause], workers=1, pool=pool)
        next(outcomes)
        outcomes.close()  # in the middle of a job
        outcomes = sweep([os.getpid], workers=1, pool=pool)
        (last,) = (outcome.result for outcome in outcomes)
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_a_worker_has_what_it_starts_from(monkeypatch, number):
    came, started, stop = [], [], threading.Event()

    def start():
        os.kill(os.getpid(), number)  # taken by the other thread: blocked or not, Python is told at once
        time.sleep(0.05)
        started.append(list(came))

    worker = Worker(1)
    monkeypatch.setattr(worker.process, "start", start)
    other = threading.Thread(target=stop.wait)
    other.start()
    before = signal.signal(number, lambda number, frame: came.append(number))
    try:
        worker.start()
    finally:
        signal.signal(number, before)
        stop.set()
        other.join()
        worker.pipe.close()
    assert started == [[]]
    assert came == [number]


def test_no_job_no_outcome():
    assert list(sweep([])) == []
