"""A Ray cluster of two nodes on this machine, disturbed: the end results are the local engine's, bit for bit."""

import os
import signal
import time

import pytest
from comparison import LONG, contents, ended, finish, is_there, start
from filelock import FileLock, Timeout

pytest.importorskip("ray")
SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000}
FEW = 3  # runs that are done before something happens


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    before = signal.getsignal(signal.SIGTERM)
    made = Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False})
    try:
        yield made
    finally:
        made.shutdown()
        signal.signal(signal.SIGTERM, before)


def results(place):
    return list(place.glob("runs/**/result.json"))


def claims(place):
    return list(place.glob("runs/**/.claim"))


def free(claim):
    try:
        with FileLock(claim, timeout=0):
            return True
    except Timeout:
        return False


def until(true, process=None):
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


def processes(place):
    """Those that work in a folder, as all do that a comparison starts there."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += [int(process)] if os.readlink(f"/proc/{process}/cwd") == str(place) else []
        except OSError:  # it has ended meanwhile
            continue
    return found


def on(cluster):
    return "--engine", "ray", "--address", cluster.address


def test_a_node_that_is_removed_in_the_middle(cluster, place, undisturbed):
    node = cluster.add_node(**SMALL)
    process = start(place, "runs", *on(cluster))
    until(lambda: len(results(place)) >= FEW, process)
    cluster.remove_node(node, allow_graceful=False)
    out, err = finish(process)
    assert "raylet" not in out + err
    assert contents(place / "runs") == undisturbed


def test_a_driver_that_is_killed_and_started_again(cluster, place, undisturbed):
    cluster.add_node(**SMALL)
    process = start(place, "runs", *on(cluster))
    until(lambda: len(results(place)) >= FEW, process)
    process.kill()
    process.communicate()
    before = {path: path.stat().st_mtime_ns for path in results(place)}
    finish(start(place, "runs", *on(cluster)))
    assert contents(place / "runs") == undisturbed
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_ends_a_comparison_and_the_cluster_that_it_has_started(place, number, status):
    process = start(place, "runs", "--engine", "ray", "--address", "local")
    until(lambda: not all(map(free, claims(place))), process)
    below = processes(place)
    sent = time.monotonic()
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    assert process.wait(LONG) == status
    assert time.monotonic() - sent < 2
    said = process.communicate()[1]
    assert ("the same command resumes" in said) == (number != signal.SIGKILL)
    assert "Traceback" not in said
    until(lambda: all(map(free, claims(place))))
    assert ended(below, within=120) == []  # after a SIGKILL two agents of Ray end themselves after 60 s
    assert not any(map(is_there, processes(place)))
