"""Runs that raise, diverge, hang or ask for all memory, and a full disk: no other run is affected."""

import contextlib
import json
import shutil
import subprocess
import time

import pytest
from comparison import contents, finish, start

import bayesreg as br

FAILS = """
import time

import torch
from torch import nn

import bayesreg as br

x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
y = (x[:, 0] > 0).long()


def net():
    return nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 2))


def raises(x):
    raise KeyError("a bug in somebody's augmentation")


def hangs(x):
    time.sleep(1e6)


def allocates(x):
    return x + torch.ones(25 * 10**9).sum()  # 100 GB


def task(name, **options):
    return br.Task(net, (x, y), name=name, epochs=20, batch_size=20, **options)


tasks = [task(function.__name__, augment=function) for function in (raises, hangs, allocates)]
tasks += [task("diverges", lr=1e30), task("fine")]
"""
GRID = ["--methods", "none", "l2:0.1", "--seeds", "1", "--folds", "1"]


def test_what_raises_hangs_diverges_or_asks_for_all_memory_costs_itself_alone(tmp_path):
    (tmp_path / "fails.py").write_text(FAILS)
    begin = time.monotonic()
    out, err = finish(start(tmp_path, "runs", "--timeout", "20", grid=GRID, file="fails.py"), status=1)
    assert time.monotonic() - begin < 120
    said = {"raises": "a bug in somebody's augmentation", "hangs": "longer than the timeout of 20 s"}
    said |= {"allocates": "allocate", "diverges": "not finite"}
    for task, why in said.items():
        results = [json.loads(path.read_text()) for path in (tmp_path / "runs" / task).rglob("result.json")]
        assert len(results) == 2
        assert {result["status"] for result in results} == {"diverged" if task == "diverges" else "failed"}
        assert all(why in result["message"] for result in results), results
        assert task == "diverges" or err.count(f"failed: {task}") >= 2
    study = br.Study.open(tmp_path / "runs")
    fine = study.results["task"] == "fine"
    assert (study.results["status"].eq("done") == fine).all()
    assert study.results.loc[~fine, "reason"].str.len().gt(0).all()
    assert "fine" in out


@contextlib.contextmanager
def small_disk(place, size):
    """A disk of so many kB at `place`."""
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", place], capture_output=True)
    if made.returncode:
        pytest.skip("a small disk takes the right to mount one")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_stops_it_and_loses_nothing(place, undisturbed):
    with small_disk(place / "disk", 300) as disk:
        _, err = finish(start(place, str(disk / "runs")), status=1)
        assert "nothing that was finished is lost: make room, and the same command resumes" in err
        done = {path for path, held in contents(disk / "runs").items() if path.endswith("result.json")}
        assert 0 < len(done) < sum(path.endswith("result.json") for path in undisturbed)
        shutil.copytree(disk / "runs", place / "runs")
    finish(start(place))
    assert contents(place / "runs") == undisturbed
