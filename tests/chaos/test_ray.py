"""A cluster of two Ray nodes on this machine: every job's outcome, and what is refused before the first run."""

import ctypes
import functools
import math
import os
import signal
import socket
import sys
import time

import pytest

from bayesreg.engine import Job, Killed, Ray, TimedOut, as_engine, nodes
from bayesreg.engine.ray import fraction
from bayesreg.memory import Memory

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture(scope="module")
def address():
    """Where a cluster of two nodes answers."""
    from ray.cluster_utils import Cluster

    before = signal.getsignal(signal.SIGTERM)
    cluster = Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False})
    try:
        cluster.add_node(**SMALL)
        yield cluster.address
    finally:
        cluster.shutdown()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def engine(address):
    with Ray(address=address) as engine:
        yield engine


class Wide(Exception):
    """An error that pickle cannot bring back: it wants two arguments and keeps one."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fail(error):
    raise error


def unportable():
    raise Wide("this", "that")


def die(marker, times):
    """Killed from outside, as for its memory, the first times that it is tried."""
    with marker.open("a") as file:
        file.write("x")
    if len(marker.read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def hang(marker):
    with marker.open("a") as file:
        file.write(f"{os.getpid()}\n")
    ctypes.PyDLL(None).sleep(1000)  # in C, and holds Python's lock


def measured(need):
    start = time.time()
    time.sleep(0.3)
    return {"memory": need, "span": (start, time.time())}


def call(shared, function):
    return function()


def outcomes(engine, *functions, kind=""):
    jobs = [Job(function, kind or str(number)) for number, function in enumerate(functions)]
    return {outcome.number: outcome for outcome in engine.outcomes(call, None, jobs)}


def is_there(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def ends(process):
    """Whether it is gone within a minute."""
    deadline = time.monotonic() + 60
    while is_there(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_there(process)


def test_every_job_has_its_outcome_and_one_failure_leaves_the_others(engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAYESREG_DATA", "there")
    engine.check(tmp_path / "new")
    found = outcomes(
        engine,
        os.getcwd,
        functools.partial(fail, ValueError("not to be had")),
        unportable,
        lambda: lambda: None,  # which nothing can pickle
        functools.partial(os.environ.get, "BAYESREG_DATA"),
        os.getpid,
    )
    assert sorted(found) == list(range(6))
    assert found[0].result == str(tmp_path)
    assert isinstance(found[1].error, ValueError)
    assert str(found[1].error) == "not to be had"
    assert str(found[2].error) == "Wide: this and that"
    assert "pickle" in str(found[3].error)
    assert found[4].result == "there"
    assert is_there(found[5].result)
    assert 0 <= found[5].seconds < 60
    assert engine.running == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("need", "most"), [(2**20, 2), (2**60, 1)])
def test_the_first_of_a_kind_is_measured_and_the_others_are_done_as_memory_goes(engine, need, most):
    kind = str(need)
    found = outcomes(engine, *[functools.partial(measured, {"main": need, "gpu": None})] * 5, kind=kind)
    spans = sorted(outcome.result["span"] for outcome in found.values())
    assert all(start >= spans[0][1] for start, _ in spans[1:])
    assert max(sum(start <= at < end for start, end in spans) for at, _ in spans) == most
    assert engine.needs[kind] == Memory(need, 0)
    assert engine.at_once(kind) == most


def test_how_many_there_is_room_for(engine, tmp_path):
    engine.check(tmp_path)  # which connects it
    assert engine.at_once("unknown") == 2
    engine.learn("large", {"main": 0, "gpu": 2**30})
    assert engine.at_once("large") == 1  # where there is no GPU, it is tried all the same


def test_a_folder_that_a_node_does_not_see_is_refused(engine, tmp_path, monkeypatch):
    class Unseen:
        name = str(tmp_path / "elsewhere" / "file")

        def __enter__(self):
            return self

        def __exit__(self, *error): ...

    monkeypatch.setattr(nodes.tempfile, "NamedTemporaryFile", lambda **_: Unseen())
    with pytest.raises(ValueError, match=r"node .* does not see .*elsewhere: choose an output on storage that all"):
        engine.check(tmp_path)


def test_nodes_of_another_version_are_refused(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "__version__", "999.0")
    with pytest.raises(ValueError, match=r"node .* has bayesreg .*, not 999.0: pip install 'bayesreg\[ray\]==999.0'"):
        engine.check(tmp_path)


def test_what_is_killed_is_tried_again_once_and_what_takes_too_long_is_not(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "timeout", 5.0)
    found = outcomes(
        engine,
        functools.partial(die, tmp_path / "once", 1),
        functools.partial(die, tmp_path / "always", 9),
        functools.partial(hang, tmp_path / "hung"),
        os.getpid,
    )
    assert found[0].result == "alive"
    assert isinstance(found[1].error, Killed)
    assert "died unexpectedly" in str(found[1].error)
    assert [len((tmp_path / name).read_text()) for name in ("once", "always")] == [2, 2]
    assert isinstance(found[2].error, TimedOut)
    assert found[3].error is None
    (process,) = map(int, (tmp_path / "hung").read_text().split())
    assert ends(process)


def test_a_grid_that_is_left_stops_what_it_is_at(engine, tmp_path, monkeypatch):
    jobs = [Job(os.getpid, "a"), Job(functools.partial(hang, tmp_path / "tries"), "b")]

    def late():
        if (tmp_path / "tries").exists():
            raise TimeoutError

    monkeypatch.setattr(engine, "meanwhile", late)
    found = engine.outcomes(call, None, jobs)
    assert next(found).error is None
    with pytest.raises(TimeoutError):
        next(found)
    assert engine.running == 0
    assert ends(int((tmp_path / "tries").read_text()))


def test_without_ray_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'bayesreg\[ray\]'"):
        Ray().check(tmp_path)


def test_an_address_that_nobody_answers_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(nodes, "ANSWER", 0.5)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(
            ValueError, match=rf"127.0.0.1:{port}: nobody answers within 0.5 s; start .*ray start --head"
        ):
            Ray(address=f"127.0.0.1:{port}").check(tmp_path)


def test_what_a_cluster_says_against_being_joined_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ValueError, match="at nonsense: Invalid address format: nonsense; start one"):
        Ray(address="nonsense").check(tmp_path)
    with pytest.raises(ValueError, match="ray://head:10001: Ray Client does not"):
        Ray(address="ray://head:10001").check(tmp_path)


@pytest.mark.parametrize(
    ("named", "variable", "noted", "answers", "found"),
    [
        ("a:1", "b:2", "c:3", True, "a:1"),
        (None, "b:2", "c:3", True, "b:2"),
        (None, None, "c:3", True, "c:3"),
        (None, None, "c:3", False, "local"),  # the cluster was killed, and could not take back its note
        (None, None, None, True, "local"),
        ("local", None, "c:3", True, "local"),
    ],
)
def test_where_the_cluster_is(monkeypatch, tmp_path, named, variable, noted, answers, found):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    monkeypatch.setattr(nodes, "NOTED", tmp_path / "noted")
    if noted:
        nodes.NOTED.write_text(noted)
    monkeypatch.setattr(nodes, "_problem", lambda address: None if answers else "nobody answers")
    assert nodes._found(named) == found


@pytest.mark.parametrize(
    ("need", "all_", "at_once"),
    [(1, 1, 1), (1, 7, 7), (10, 31, 3), (3, 1, 1), (80, 16 * 80 + 1, 16), (5, math.inf, 1), (1, 10**6, 10_000)],
)
def test_as_many_runs_on_a_gpu_as_there_is_room_for(need, all_, at_once):
    units = round(fraction(need, all_) * 10_000)
    assert fraction(need, all_) == units / 10_000  # what Ray can tell apart
    assert 10_000 // units == at_once
    assert fraction(0, all_) == 0


def test_an_option_that_the_engine_does_not_have_is_refused():
    assert as_engine("ray", address="head:6379", workers=3) == Ray(address="head:6379", workers=3)
    with pytest.raises(ValueError, match="address head:6379 has no effect: the local engine"):
        as_engine("local", address="head:6379")
    with pytest.raises(ValueError, match="has no effect: the ray engine has no such option"):
        as_engine("ray", slurm=["partition=gpu"])
