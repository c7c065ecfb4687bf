"""Comparisons on a Ray cluster of this machine, disturbed: what comes out equals the local engine's bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from filelock import FileLock, Timeout

pytest.importorskip("ray")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
LONG = 300  # seconds, on a machine that does other things too
SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000}
ASKED = ["diabetes", "--methods", "none", "l2", "--seeds", "2", "--folds", "1", "--epochs", "30", "--workers", "2"]
COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"  # ignored below `make … &`
    "from bayesreg.cli.__main__ import main; sys.argv[0] = 'bayesreg'; main()"
)


def start(folder, *options):
    """The command, in a process group of its own."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "compare", *ASKED, *options],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    """What it printed, once it has ended well."""
    said, errors = process.communicate(timeout=LONG)
    assert process.returncode == 0, errors
    return said


def until(true, process=None):
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


def results(folder):
    """{run: (its metrics, its scores by example)}."""
    found = {}
    for path in sorted(folder.glob("runs/*/**/result.json")):
        scores = path.with_name("scores.npz")
        arrays = {name: array.tobytes() for name, array in np.load(scores).items()} if scores.exists() else {}
        found[str(path.relative_to(folder))] = (json.loads(path.read_text())["metrics"], arrays)
    assert found
    return found


def claims(folder):
    return list(folder.glob("runs/**/.claim"))


def free(claim):
    try:
        with FileLock(claim, timeout=0):
            return True
    except Timeout:
        return False


def processes_of(folder):
    """Those that work in a folder, as all do that a comparison starts, without zombies."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            place = os.readlink(f"/proc/{name}/cwd")
        except OSError:
            continue
        found += [int(name)] if place == str(folder) else []
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """By the local engine."""
    folder = tmp_path_factory.mktemp("local")
    finish(start(folder))
    return results(folder)


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


def test_a_node_that_is_removed_in_the_middle(expected, cluster, tmp_path):
    node = cluster.add_node(**SMALL)
    process = start(tmp_path, "--engine", "ray", "--address", cluster.address)
    until(lambda: len(list(tmp_path.glob("runs/**/result.json"))) >= 2, process)
    cluster.remove_node(node, allow_graceful=False)
    said = finish(process)
    assert "raylet" not in said
    assert results(tmp_path) == expected


def test_a_driver_that_is_killed_and_started_again(expected, cluster, tmp_path):
    cluster.add_node(**SMALL)
    command = ["--engine", "ray", "--address", cluster.address]
    process = start(tmp_path, *command)
    until(lambda: len(list(tmp_path.glob("runs/**/result.json"))) >= 2, process)
    process.kill()
    process.communicate()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/result.json")}
    finish(start(tmp_path, *command))
    assert results(tmp_path) == expected
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_ends_a_comparison_and_the_cluster_that_it_has_started(tmp_path, number, status):
    process = start(tmp_path, "--engine", "ray", "--epochs", "1000000")
    until(lambda: claims(tmp_path), process)
    time.sleep(1)
    sent = time.monotonic()
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    assert process.wait(LONG) == status
    assert time.monotonic() - sent < 2
    said = process.communicate()[1]
    assert ("the same command goes on" in said) == (number != signal.SIGKILL)
    assert "Traceback" not in said
    until(lambda: all(map(free, claims(tmp_path))))
    until(lambda: processes_of(tmp_path) == [])
