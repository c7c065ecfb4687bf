"""A folder of finished runs: what is done is known without reading the weights, and each file is read a few times."""

import shutil
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import bayesreg as br
from bayesreg import report
from bayesreg.comparison import Comparison
from bayesreg.comparison.folder import SHARED
from bayesreg.grid import Run
from bayesreg.methods import as_methods
from benchmarks import folder as benchmark

pytestmark = pytest.mark.xdist_group("folder")  # one process makes it
RUNS = 300


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The folder, and the comparison that it holds."""
    path = tmp_path_factory.mktemp("finished") / "study"
    grid = benchmark.Grid(("none", "l2:0.1"), rows=60, epochs=1)
    asked = Comparison(tuple(grid.tasks()), as_methods(grid.methods), path, seeds=1, folds=3)
    for name, method in asked.pairs():  # here, as processes of their own take seconds to begin
        for repeat in asked.repeats(name, "test"):
            run = Run(asked.named[name], method, repeat, label=name)
            run.execute(run.directory(path), shared=path / SHARED)
    return path, benchmark.fill(path, RUNS, grid)


@pytest.fixture
def opened():
    """How often each file is opened from here on, {(name, its folder): times}."""
    counted, over = Counter(), []

    def hear(event, arguments):
        if event == "open" and not over and isinstance(arguments[0], str):
            file = Path(arguments[0])
            counted[file.name, file.parent] += 1

    sys.addaudithook(hear)
    yield counted
    over.append(True)  # nothing takes such a hook away


def most(opened):
    """By name of a file, how often that of one run is opened at most."""
    found = Counter()
    for (name, _), times in opened.items():
        found[name] = max(found[name], times)
    return found


def test_finished_runs_are_known_without_reading_their_weights(made, opened, monkeypatch):
    path, grid = made
    monkeypatch.setattr(torch, "load", None)
    again = grid.compare(path)
    assert not again.failed
    assert sum(name == "result.json" for name, _ in opened) == RUNS
    times = most(opened)
    assert times["config.json"] == times["result.json"] == times["posterior.pt"] == 1
    assert not times["history.csv"]
    assert not times["scores.npz"]
    assert not times["checkpoint.pt"]


def test_what_a_study_says_takes_no_weights(made, opened):
    study = br.Study.open(made[0])
    assert (study.results["seeds"] == RUNS / 2 / 2 / 3).all()  # of 2 tasks, 2 methods and 3 folds
    times = most(opened)
    assert times["config.json"] == times["result.json"] == times["baselines.json"] == 1
    assert not times["posterior.pt"]


def test_a_report_reads_each_curve_once(made, opened):
    runs = report.load(made[0])
    before = opened.copy()
    curves = report.histories(runs)
    assert most(opened - before) == {"history.csv": 1}
    assert curves.groupby("path").size().tolist() == [1] * RUNS


def test_a_run_that_is_copied_is_the_same_run_of_another_seed(made):
    path, grid = made
    runs = report.load(path)
    assert len(runs) == RUNS
    assert not report.left_out(path)
    assert (runs.groupby(["task", "method", "fold"])["seed"].nunique() == grid.seeds).all()
    assert (runs["seed"] == runs["partition"]).all()


def test_the_benchmark_prints_a_line_an_action(made, capsys, monkeypatch):
    path, grid = made
    monkeypatch.setattr(benchmark, "fill", lambda folder, number, _: shutil.copytree(path, folder) and grid)
    monkeypatch.setattr(benchmark, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    benchmark.main([])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{RUNS} finished runs"
    assert [line.split()[0] for line in lines[2:5]] == ["start", "report", "results"]


@pytest.mark.parametrize("number", ["0", "-1"])
def test_no_runs_are_refused(capsys, number):
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--runs", number])
    assert "runs must be a whole number of at least 1" in capsys.readouterr().err
