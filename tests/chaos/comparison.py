"""A small comparison from the command line, in separate processes, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bayesreg.files import load_tensors

MINE = """
import os
import signal
import sys

import torch
from torch import nn

import bayesreg as br


def net():
    sys.modules["bayesreg.fit"].SAVED_EVERY = 0.0  # seconds: a checkpoint after every epoch
    if os.path.exists("deadly") and torch.initial_seed() == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 3))


def count(x):
    with open("steps", "a") as file:
        file.write("x")
    return x


x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
task = br.Task(net, (x, y), name="mine", epochs=60, batch_size=20, augment=count)
"""
GRID = ["--methods", "none", "l2", "dropout", "l2@normal", "--seeds", "4", "--folds", "1"]
OWN = {"seconds", "memory"}  # of a result: not the same twice
LONG = 300.0  # seconds


def start(place, folder="runs", *options, grid=GRID, workers=2, file="mine.py"):
    """`bayesreg compare` in a process group of its own, where Ctrl-C is not ignored, as it may be here."""
    arguments = [file, *grid, "--workers", str(workers), "--output", folder, *options]
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"sys.argv = ['bayesreg', 'compare', *{arguments!r}]\nfrom bayesreg.cli.__main__ import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, status=0):
    """What it printed, and what it said."""
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == status, err
    assert "Traceback" not in err, err
    return out, err


def steps(place):
    """How many batches were drawn, by all processes together."""
    return len((place / "steps").read_text())


def children(process):
    """The numbers of the processes that a process has started, and of theirs."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*"):
        try:
            own = (task / "children").read_text().split()
        except OSError:  # it has ended meanwhile
            continue
        for child in own:
            found += [int(child), *children(int(child))]
    return found


def is_there(process):
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def workers(process):
    """Those of the processes below that do runs."""
    found = []
    for child in children(process):
        try:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:
            continue
    return found


def ended(processes, within=10.0):
    """Wait until none of these is left; returns those that are after so many seconds."""
    deadline = time.monotonic() + within
    while (left := [process for process in processes if is_there(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def kill(process, group=False):
    """SIGKILL to a process or its whole group; waits until it and what it started have gone, and asserts it."""
    below = children(process.pid)
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.communicate(timeout=LONG)
    assert ended(below) == []


def contents(folder):
    """{path: content} of a folder of runs, without what differs between repetitions, such as seconds."""
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name != ".claim" and "report" not in path.parts and path.name != "study.pkl"
    }


def _content(path):
    if path.name == "result.json":
        return json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k not in OWN})
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns="seconds").to_csv()
    if path.name == "scores.npz":
        with np.load(path) as kept:
            return {name: values.tobytes() for name, values in kept.items()}
    if path.name == "posterior.pt":
        return {name: value.numpy().tobytes() for name, value in _tensors(load_tensors(path, "posterior"))}
    return path.read_bytes()


def _tensors(value, name=""):
    """Every tensor in a state, by its place there."""
    if isinstance(value, torch.Tensor):
        return [(name, value)]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return [found for key, inner in pairs for found in _tensors(inner, f"{name}.{key}")]
