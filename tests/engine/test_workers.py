"""Worker processes: every job's outcome, whatever happens to the others and to the workers."""

import functools
import os
import signal
import threading
import time

import pytest
import torch

from bayesreg.engine import Job, Killed, Local, TimedOut
from bayesreg.engine import local as module
from bayesreg.engine.worker import Worker
from bayesreg.memory import Memory

pytestmark = pytest.mark.xdist_group("workers")  # one process starts those that its tests share


class Wide(Exception):
    """An error that pickle cannot bring back: it wants two arguments and keeps one."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def work(shared, number):
    if number == 2:
        raise ValueError("two is not to be had")
    if number == 4:
        raise Wide("this", "that")
    if number == 5:
        return lambda: None  # which nothing can pickle
    return number**shared, os.getpid(), torch.get_num_threads()


def jobs(*contents):
    return [Job(content) for content in contents]


def call(shared, function):
    return function()


def outcomes(engine, *functions):
    return {outcome.number: outcome for outcome in engine.outcomes(call, None, jobs(*functions))}


def die(marker, times):
    """Killed from outside, as for its memory, the first times that it is tried."""
    with marker.open("a") as file:
        file.write("x")
    if len(marker.read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


@pytest.fixture(scope="module")
def workers():
    """Engines of one and of two workers, which many tests share: a process takes seconds to start."""
    with Local(workers=1) as one, Local(workers=2) as two:
        yield {1: one, 2: two}


@pytest.fixture
def one(workers):
    return workers[1]


@pytest.fixture
def two(workers, monkeypatch):
    """Both of its workers are there, and nothing is known of what a job needs."""
    engine = workers[2]
    while sum(worker.ready for worker in engine._pool) < 2:
        outcomes(engine, *[functools.partial(time.sleep, 0.05)] * 2)
    monkeypatch.setattr(engine, "needs", {})
    return engine


def is_there(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_every_job_has_its_outcome_and_one_failure_leaves_the_others():
    with Local(workers=1) as engine:
        found = {outcome.number: outcome for outcome in engine.outcomes(work, 2, jobs(*range(7)))}
    assert sorted(found) == [0, 1, 2, 3, 4, 5, 6]
    assert [found[n].result[0] for n in (0, 1, 3, 6)] == [0, 1, 9, 36]
    assert isinstance(found[2].error, ValueError)
    assert "two is not" in str(found[2].error)
    assert str(found[4].error) == "Wide: this and that"
    assert "pickle" in str(found[5].error)
    assert found[2].result is found[4].result is found[5].result is None
    (worker,) = {found[n].result[1] for n in (0, 1, 3, 6)}  # one process does them all
    assert worker != os.getpid()
    assert not is_there(worker)
    assert found[0].result[2] == max(1, os.cpu_count() or 1)
    assert 0 <= found[0].seconds < 60


@pytest.mark.parametrize(
    ("workers", "expected", "threads", "most"),
    [(2, 5, 3, 2), (4, 9, 1, 4), (None, 9, 1, 6), (8, 2, 3, 2), (1, 9, 6, 1), (None, None, 1, 6)],
)
def test_workers_share_the_cores_whatever_is_left_to_do(monkeypatch, workers, expected, threads, most):
    given = []

    class Here(Worker):
        """No process."""

        def __init__(self, threads, gpu):
            given.append(threads)
            self.pipe, self.ready, self.job, self.gpu = self, True, None, gpu

        def start(self): ...

        def begin(self, number, kind, program, content):
            self.job, self.kind = number, kind

        def poll(self):
            return True

        def answer(self):
            self.job = None
            return None, None, 0.0

        def end(self): ...

    monkeypatch.setattr(module.joblib, "cpu_count", lambda: 6)
    monkeypatch.setattr(module, "Worker", Here)
    monkeypatch.setattr(module, "wait", lambda pipes, timeout: [p for p in pipes if p.job is not None][:1])
    engine = Local(workers=workers)
    engine.expected = expected
    for left in (expected or 9, 1):
        assert len(list(engine.outcomes(work, 2, jobs(*range(left))))) == left
    assert given == [threads] * min(most, expected or 9)


def test_a_killed_worker_costs_its_own_job_one_more_try(tmp_path, two):
    found = outcomes(two, *(functools.partial(die, tmp_path / str(times), times) for times in (1, 9, 0, 0)))
    assert [found[n].result for n in (0, 2, 3)] == ["alive"] * 3
    assert isinstance(found[1].error, Killed)
    assert "killed by SIGKILL" in str(found[1].error)
    assert [len((tmp_path / name).read_text()) for name in "190"] == [2, 2, 2]


def test_a_worker_that_is_killed_without_a_job_costs_none(one):
    (first,) = outcomes(one, os.getpid).values()
    os.kill(first.result, signal.SIGKILL)
    (second,) = outcomes(one, os.getpid).values()
    assert second.error is None
    assert first.result != second.result


def test_workers_that_cannot_start_are_not_started_for_ever(monkeypatch):
    started = []

    def start(self):
        started.append(self)
        self._theirs.close()
        self.process = type("Process", (), {"pid": None, "exitcode": 1})

    monkeypatch.setattr(Worker, "start", start)
    with pytest.raises(Killed, match="ended with exit status 1"):
        outcomes(Local(workers=1), os.getpid)
    assert len(started) == module.FAILED_STARTS


def test_a_job_that_takes_too_long_is_stopped_and_not_tried_again(tmp_path, one, monkeypatch):
    def hang():
        with (tmp_path / "tries").open("a") as file:
            file.write("x")
        signal.pause()

    monkeypatch.setattr(one, "timeout", 1.0)
    found = outcomes(one, os.getpid, hang, os.getpid)
    assert isinstance(found[1].error, TimedOut)
    assert "longer than the timeout of 1 s" in str(found[1].error)
    assert (tmp_path / "tries").read_text() == "x"
    assert found[0].result != found[2].result  # another worker
    assert found[1].seconds < 60


def measured(shared, content):
    start = time.monotonic()
    time.sleep(0.2)
    return {"memory": {"main": content, "gpu": None}, "span": (start, time.monotonic())}


def at_once(found):
    spans = [outcome.result["span"] for outcome in found]
    return max(sum(start <= at < end for start, end in spans) for at, _ in spans)


@pytest.mark.parametrize(("need", "most"), [(10, 2), (60, 1), (600, 1)])
def test_as_many_at_a_time_as_memory_is_enough_for(two, monkeypatch, caplog, need, most):
    monkeypatch.setattr(two, "_machine", Memory(100, 0))
    with caplog.at_level("WARNING"):
        found = list(two.outcomes(measured, None, [Job(need, "digits")] * 5))
    assert two.needs == {"digits": Memory(need, 0)}
    spans = sorted(outcome.result["span"] for outcome in found)
    assert all(start >= spans[0][1] for start, _ in spans[1:])  # the first is measured alone
    assert at_once(found) == most
    said = [message for message in caplog.messages if "memory is enough for 1 runs at a time, not for 2" in message]
    assert len(said) == (most < 2)


def met(folder, content):
    """How many jobs are here, once there are two of them; after half a minute at the latest."""
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 30
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    return {"memory": {"main": content, "gpu": None}, "here": len(list(folder.iterdir()))}


def test_what_is_known_of_the_memory_is_not_measured_again(two, monkeypatch, tmp_path):
    monkeypatch.setattr(two, "_machine", Memory(100, 0))
    two.learn("digits", {"main": 10, "gpu": 0})
    found = list(two.outcomes(met, tmp_path, [Job(10, "digits")] * 2))
    assert [outcome.result["here"] for outcome in found] == [2, 2]


def allocate():
    return len([bytearray(2**30) for _ in range(100)])  # filled with zeros


def test_a_job_that_asks_for_more_memory_than_there_is_fails_alone(one):
    def limited():
        import resource

        kept = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30, kept[1]))
        try:
            return allocate()
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, kept)

    found = outcomes(one, os.getpid, limited, os.getpid)
    assert isinstance(found[1].error, MemoryError)
    assert found[0].result == found[2].result


def test_a_worker_may_not_ask_for_all_memory_and_is_the_first_to_go(one):
    def limits():
        import resource

        with open("/proc/self/oom_score_adj") as file:
            return resource.getrlimit(resource.RLIMIT_DATA)[0], file.read().strip()

    (found,) = outcomes(one, limits).values()
    most, score = found.result
    if not torch.cuda.is_available():
        assert 0.9 * module.memory.total().main < most < module.memory.total().main
    assert score == "1000"


def process_of(marker):
    marker.write_text(str(os.getpid()))
    return os.getpid()


def test_a_grid_that_is_left_leaves_no_worker_at_it(tmp_path):
    engine = Local(workers=1)
    found = engine.outcomes(call, None, jobs(functools.partial(process_of, tmp_path / "0"), signal.pause))
    worker = next(found).result
    assert engine.running == 0
    time.sleep(0.1)
    found.close()
    engine.close()
    assert not is_there(worker)


def test_one_grid_after_the_other_on_the_same_workers_and_then_they_end():
    with Local(workers=1) as engine:
        first, second = (outcomes(engine, os.getpid)[0].result for _ in range(2))
        assert first == second != os.getpid()
        found = engine.outcomes(call, None, jobs(os.getpid, signal.pause))
        assert next(found).result == first
        found.close()
        last = outcomes(engine, os.getpid)[0].result
    assert not is_there(last)


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
    assert outcomes(Local()) == {}
