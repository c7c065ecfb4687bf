"""A Ray cluster and its nodes: joined, or refused with a reason before the first run."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from bayesreg import __version__
from bayesreg.engine.place import Place

log = logging.getLogger(__name__)

ANSWER = 20.0  # seconds for a cluster to answer: Ray waits for 80, and cannot be interrupted
IMPORT = 120.0  # seconds for its nodes, which read PyTorch from their disks
NOTED = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")  # what `ray start` wrote
START = "start one with `ray start --head`, or leave out the address for one on this machine"
PROBE = """
import sys, ray
try:
    ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
except Exception as error:
    print(" ".join(str(error).split()))
    sys.exit(1)
"""


def imported() -> Any:
    """Ray. ValueError where it is not installed."""
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise ValueError("engine ray needs Ray: pip install 'bayesreg[ray]'") from None
    return ray


def join(address: str | None) -> None:
    """Connect to a cluster, or start one here; quietly: our own log says what there is to say."""
    ray, before = imported(), signal.getsignal(signal.SIGTERM)
    try:
        ray.init(_found(address), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (RuntimeError, ConnectionError, OSError) as error:
        raise ValueError(f"Ray does not start: {' '.join(str(error).split())}") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # which Ray replaces
    _chatter(False)


def leave() -> None:
    """End the connection, and the cluster with it where it was started here."""
    imported().shutdown()
    _chatter(True)


def _chatter(on: bool) -> None:
    """Switch on or off that Ray prints, among the results, that a worker has died: it has no option for that."""
    import ray._private.worker as private

    private._worker_logs_enabled = on


def _found(address: str | None) -> str:
    """The address of a cluster that answers; "local" if one is to be started. ValueError for one that does not."""
    named = address or os.environ.get("RAY_ADDRESS")
    if named is not None and "://" in named:
        raise ValueError(f"address {named}: Ray Client does not work here; give head:port, on a machine of the cluster")
    noted = NOTED.read_text().strip() if NOTED.is_file() else None
    if (chosen := named or noted) in (None, "local"):
        return "local"
    if problem := _problem(chosen):
        if named:
            raise ValueError(f"no Ray cluster to work with at {named}: {problem}; {START}")
        log.warning("the Ray cluster that was started here, at %s, is not used: %s", noted, problem)
    return "local" if problem else chosen


def _problem(address: str) -> str | None:
    """Why a cluster cannot be joined, tried in a process that can be stopped."""
    try:
        tried = subprocess.run([sys.executable, "-c", PROBE, address], capture_output=True, text=True, timeout=ANSWER)
    except subprocess.TimeoutExpired:
        return f"nobody answers within {ANSWER:g} s"
    return (tried.stdout.strip() or "Ray ended") if tried.returncode else None


def alive() -> list[dict[str, Any]]:
    """The present nodes, as Ray describes them."""
    return [node for node in imported().nodes() if node["Alive"]]


def resource(name: str) -> float:
    """How much of a resource all nodes have together."""
    return imported().cluster_resources().get(name, 0)


def check(ray: Any, folder: Path) -> None:
    """Raise ValueError unless every node has this bayesreg and sees the folder, tested by a file in it.

    If the folder does not exist yet the file is in the one above, so that a refusal leaves nothing behind.
    """
    folder = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.is_dir())
    with _file(folder) as file:
        there = alive()
        asked = [_look(ray, node, file.name) for node in there]
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=IMPORT)
        for node, one in zip(there, asked, strict=True):
            if problem := _said(ray, one) if one in answered else f"does not answer within {IMPORT:g} s":
                raise ValueError(f"node {node['NodeManagerHostname']} ({node['NodeName']}) {problem}")


def _file(folder: Path) -> Any:
    try:
        return tempfile.NamedTemporaryFile(prefix=".shared-", dir=folder)
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}): choose another directory") from None


def _look(ray: Any, node: dict[str, Any], file: str) -> Any:
    """What a node lacks, as text. Sent by value: a node may not have bayesreg."""

    def look(path: tuple[str, ...], version: str, file: str) -> str:
        import os
        import sys

        sys.path[:0] = [entry for entry in path if entry not in sys.path]
        try:
            from bayesreg import __version__
            from bayesreg.engine import ray as engine  # noqa: F401  (with all that it needs)
        except ImportError as error:
            return f"cannot import bayesreg ({error}): pip install 'bayesreg[ray]=={version}' there"
        if __version__ != version:
            return f"has bayesreg {__version__}, not {version}: pip install 'bayesreg[ray]=={version}' there"
        if not os.path.exists(file):
            return f"does not see {os.path.dirname(file)}: choose an output on storage that all nodes share"
        return ""

    where = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=where)(look)
    return task.remote(Place.here().path, __version__, file)


def _said(ray: Any, one: Any) -> str:
    try:
        return ray.get(one)
    except ray.exceptions.RayError as error:
        return f"cannot do a task: {str(error).strip().splitlines()[-1]}"
