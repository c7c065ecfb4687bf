"""bayesreg compare: tasks by name, tables and files in one grid, what it leaves, and what it says to bad input."""

import errno
import json
import logging
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
import torch
from inprocess import InProcess

from bayesreg import statistics
from bayesreg.cli import compare
from bayesreg.cli.compare import Compare
from bayesreg.comparison.budget import OutOfTime
from bayesreg.engine import ENGINES
from bayesreg.methods import Method
from bayesreg.tasks.diabetes import Diabetes

SHORT = ["--epochs", "1"]
FEW = [*SHORT, "--seeds", "1", "--folds", "1"]
MINE = """
from dataclasses import dataclass

import torch
from torch import nn

import bayesreg as br
from beside import WIDTH


@dataclass
class Size:
    hidden: int = WIDTH


class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.first, self.last = nn.Linear(4, size.hidden), nn.Linear(size.hidden, 3)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


generator = torch.Generator().manual_seed(0)
x = torch.randn(120, 4, generator=generator)
task = br.Task(lambda: Net(Size()), (x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()), name="mine", epochs=3)
"""


@pytest.fixture
def here(monkeypatch):
    """In place of workers: every run is done in this process."""
    monkeypatch.setitem(ENGINES, "local", InProcess)


@pytest.fixture
def outcomes(monkeypatch):
    """In place of workers: the runs of every stage raise these errors, by number."""
    met = {}

    @dataclass
    class Failing(InProcess):
        errors: dict = field(default_factory=lambda: met)

    monkeypatch.setitem(ENGINES, "local", Failing)
    return met


@pytest.fixture
def wine(tmp_path):
    """A table of 60 wines, two classes."""
    draw = np.random.default_rng(0)
    strength = draw.normal(size=60).round(3)
    table = pd.DataFrame({"alcohol": strength, "cellar": draw.choice(["a", "b"], 60), "class": strength > 0})
    table.to_csv(tmp_path / "wine.csv", index=False)


@pytest.fixture
def mine(tmp_path):
    """A file of one's own that defines a task, and what it imports."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "beside.py").write_text("WIDTH = 5\n")


def written(tmp_path):
    return sorted(json.loads(p.read_text())["candidate"]["text"] for p in tmp_path.glob("runs/*/*/*/config.json"))


@pytest.mark.usefixtures("here")
def test_a_table_a_file_and_a_task_in_one_grid(bayesreg, tmp_path, wine, mine):
    grid = ["wine.csv", "mine.py", "diabetes --width 8", "--target", "class", "--methods", "none", "l2:1e-3"]
    status, out, err = bayesreg("compare", *grid, *FEW, "--workers", 2)
    assert status == 0, err
    assert {line.split()[0] for line in out.splitlines() if " none " in line} >= {"wine", "mine", "diabetes"}
    assert "runs/compare/report/index.html" in out
    assert (tmp_path / "runs/compare/report/index.html").exists()
    assert written(tmp_path) == ["l2:0.001"] * 3 + ["none"] * 3
    tasks = json.loads((tmp_path / "runs/compare/study.json").read_text())["tasks"]
    assert {name: task["epochs"] for name, task in tasks.items()} == {"wine": 1, "mine": 1, "diabetes": 1}
    assert tasks["mine"]["net"] == "Net"


@pytest.mark.usefixtures("here")
def test_compare_again_does_nothing_again_and_report_says_the_same(bayesreg, tmp_path, monkeypatch):
    grid = ["diabetes", "--methods", "none", "l2", "--seeds", 2, "--folds", 1, *SHORT]
    status, out, err = bayesreg("compare", *grid)
    assert status == 0, err
    results = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/diabetes/diabetes/*/result.json")}
    assert len(results) >= 2 + 2 + 2 * len(Method("l2").candidates)  # a test run each, and each candidate tuned
    status, again, err = bayesreg("compare", *grid)
    assert status == 0, err
    assert again == out
    assert {path: path.stat().st_mtime_ns for path in results} == results
    status, reported, _ = bayesreg("report", "runs/diabetes", "--output", "reports/again")
    assert status == 0
    assert reported == out.replace("runs/diabetes/report", "reports/again")
    assert (tmp_path / "reports/again/index.html").exists()

    def nobody_reads(*args, **kwargs):
        raise BrokenPipeError

    monkeypatch.setattr(compare, "print", nobody_reads, raising=False)
    few = Compare(tasks=["diabetes"], methods=["none", "l2"], seeds=2, folds=1, epochs=1)
    with pytest.raises(BrokenPipeError):
        compare.run(replace(few, report=tmp_path / "reports/piped"))
    assert (tmp_path / "reports/piped/index.html").exists()


BAD = [
    (["digit"], "did you mean 'digits'"),
    ([""], "unknown task ''"),
    (["digits --output x"], "'digits --output x': Unrecognized options: --output, x; bayesreg run digits --help"),
    (["digits --epochs many"], "Error parsing --epochs: invalid literal for int() with base 10: 'many'"),
    (["digits --help"], "--help is not an option of a task"),
    (["digits 'unclosed"], "is not the name of a task with options (No closing quotation)"),
    (["diabetes --noise 1 --heteroscedastic"], "--noise 1.0 with --heteroscedastic"),
    (["digits", "digits"], "the task 'digits' is there twice"),
    (["diabetes", "--methods", "l2:-1"], "strength=-1.0"),
    (["diabetes", "--methods", "dropuot"], "did you mean 'dropout'"),
    (["diabetes", "--methods", "l2", "none", "l2@delta"], "the method 'l2' is there twice"),
    (["diabetes", "--methods"], "no method to compare"),
    (["diabetes", "--methods", "l2@detla"], "did you mean 'delta'"),
    (["diabetes", "--seeds", "0"], "seeds must be a whole number from 1 to"),
    (["diabetes", "--folds", "0"], "folds must be a whole number of at least 1"),
    (["diabetes", "--budget", "soon"], "budget='soon' is not a duration: give it as 2h, 90m, 1h30m or 45s"),
    (["diabetes", "--budget", "0"], "budget='0' is not a duration"),
    (["diabetes", "--methods", "none", "--epochs", "0", "--dry-run"], "epochs must be a whole number of at least 1"),
    (["diabetes --noise 1", "--methods", "entropic", "--dry-run"], "entropy of its predictions is constant"),
    (["wine.csv", "--target", "class", "--dry-run", "--output", "mine.py"], "mine.py cannot be written (Not a dir"),
    (["diabetes", "--workers", "0"], "workers must be a whole number of at least 1"),
    (["diabetes", "--engine", "cloud"], "unknown engine 'cloud'; known: local, ray, slurm"),
    (["diabetes", "--address", "head:6379"], "address head:6379 has no effect: the local engine has no such option"),
    (["diabetes", "--engine", "slurm", "--address", "head:6379"], "the slurm engine has no such option"),
    (["diabetes", "--engine", "ray", "--workers", "0"], "workers must be a whole number of at least 1"),
    (["diabetes", "--engine", "ray", "--address", "nonsense"], "no Ray cluster to work with at nonsense: Invalid"),
    (["diabetes", "--engine", "slurm"], "no sbatch and srun on this machine"),
    (["diabetes", "--epochs", "0"], "epochs must be a whole number of at least 1"),
    (["diabetes", "--threads", "0"], "threads=0"),
    (["diabetes", "--select", "likelihood"], "select='likelihood' is not a metric: accuracy,"),
    (["diabetes", "--target", "class"], "--target class has no effect: none of the tasks is a table"),
    (["mine.py", "--group", "cellar"], "--group cellar has no effect"),
    (["wine.csv"], "wine.csv is a table: say which column to predict, as in --target class"),
    (["wine.csv", "--target", "clas"], "did you mean 'class'"),
    (["wine.csv", "--target", "class", "--train-size", "9"], "train_size is not a setting of Task('wine')"),
    (["wines.csv", "--target", "class"], "there is no file wines.csv"),
    (["wine.xls", "--target", "class"], "there is no file wine.xls"),
    (["nobody.py"], "there is no file nobody.py"),
]


@pytest.mark.usefixtures("wine", "mine")
@pytest.mark.parametrize(("options", "message"), BAD, ids=[" ".join(options) for options, _ in BAD])
def test_bad_input_is_refused_in_a_line_before_the_first_run(bayesreg, tmp_path, monkeypatch, options, message):
    monkeypatch.setenv("PATH", "")  # in which no SLURM is
    status, out, err = bayesreg("compare", *options)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


# --- Before the runs, and within a budget ---


COLUMNS = ["task", "rows", "folds", "methods", "strengths", "runs to choose", "runs to report", "done already"]


def planned(out):
    """The one row of the table of a dry run, and the lines below it."""
    table, _, lines = out.partition("\n\n")
    head, row = table.splitlines()
    assert head.split() == " ".join(COLUMNS).split()
    return dict(zip(COLUMNS, row.split(), strict=True)), lines.splitlines()


@pytest.mark.usefixtures("here")
def test_a_dry_run_says_what_there_is_to_do_and_leaves_no_trace(bayesreg, tmp_path):
    grid = ["diabetes --noise 1", "--methods", "none", "l2", "entropic", "--seeds", 2, "--folds", 1, *SHORT]
    status, out, err = bayesreg("compare", *grid, "--dry-run")
    assert (status, err) == (0, "")
    assert list(tmp_path.iterdir()) == []
    row, lines = planned(out)
    number = len(Method("l2").candidates)
    runs = 2 * number + 4
    assert list(row.values()) == ["diabetes", "442", "1", "2", str(number), str(2 * number), "4", "0"]
    assert lines[0] == f"{runs} of {runs} runs are left, and at most 2 more where a best strength is at an edge."
    assert lines[1].startswith("Nothing is measured yet on diabetes: the first run")
    assert lines[2].startswith("entropic refused on diabetes: the entropic prior does nothing under Gaussian")
    assert lines[3].startswith("diabetes: 2 seeds and 88 test rows find a difference from none of ")
    assert len(lines) == 4


@pytest.mark.usefixtures("here")
def test_a_dry_run_of_a_grid_that_is_begun_and_of_one_that_is_done(bayesreg, tmp_path):
    grid = ["diabetes", "--methods", "none", "l2", "--folds", 1, *SHORT]
    assert bayesreg("compare", *grid, "--seeds", 1)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    _, out, _ = bayesreg("compare", *grid, "--seeds", 1, "--dry-run")
    row, (left, unseen) = planned(out)
    whole = json.loads((tmp_path / "runs/diabetes/study.json").read_text())["runs"]
    assert row["done already"] == str(len(whole))  # those beyond an edge too
    assert left == f"0 of {len(whole)} runs are left."
    assert unseen.startswith("diabetes: 1 seed and 88 test rows show no difference, however large")
    _, out, _ = bayesreg("compare", *grid, "--seeds", 2, "--dry-run")
    row, (_, takes, a_round, needs, unseen) = planned(out)
    assert len(Method("l2").candidates) + 1 <= int(row["done already"]) <= len(whole)
    least, _ = statistics.foresee(2, 88, 1)
    assert unseen.startswith(
        f"diabetes: 2 seeds and 88 test rows find a difference from none of {least:.2g} nats or more"
    )
    assert re.fullmatch(r"They take about \d+ s with \d+ at a time, from \d+ measured runs\.", takes)
    assert re.fullmatch(r"One seed of every method takes about \d+ s, to choose strengths and to report\.", a_round)
    assert re.fullmatch(r"A run needs [\d.]+ GB on diabetes\.", needs)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@dataclass
class Brief(InProcess):
    """The budget ends after the first run."""

    def outcomes(self, function, shared, jobs):
        yield from super().outcomes(function, shared, jobs[:1])
        raise OutOfTime


def test_a_budget_that_is_not_enough_ends_well_and_the_same_without_goes_on(bayesreg, tmp_path, monkeypatch):
    grid = ["diabetes", "--methods", "none", "l2", "--seeds", 2, "--folds", 1, *SHORT]
    monkeypatch.setitem(ENGINES, "local", Brief)
    status, out, err = bayesreg("compare", *grid, "--budget", "1h30m")
    assert (status, err) == (0, "")
    said = r"not one seed of every method, which takes about \d+ s, within the budget of 1 h 30 min; the same command"
    assert re.search(said, out)
    assert "Nothing to recommend" in out
    (first,) = tmp_path.glob("runs/diabetes/diabetes/*/result.json")
    ended = first.stat().st_mtime_ns
    monkeypatch.setitem(ENGINES, "local", InProcess)
    status, out, err = bayesreg("compare", *grid)
    assert status == 0, err
    assert first.stat().st_mtime_ns == ended  # it is kept
    assert "budget" not in out
    assert json.loads((tmp_path / "runs/diabetes/study.json").read_text())["seeds"] == {"diabetes": 2}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_said_where_there_is_no_terminal_unless_quiet(bayesreg, caplog, monkeypatch, quiet):
    log = logging.getLogger("bayesreg.progress")
    monkeypatch.setattr(log, "level", log.level)
    bayesreg("compare", "diabetes", "--methods", "none", *FEW, *["--quiet"] * quiet)
    said = [record.getMessage() for record in caplog.records if record.name == log.name]
    assert said == ([] if quiet else ["test 1 of 1 runs"])


FILES = {
    "x = 1": "mine.py defines neither task nor tasks: write task = br.Task(net, data) in it",
    "import torch\ntask = br": "mine.py, line 2: NameError: name 'br' is not defined",
    "\n\ndef task(:": "mine.py, line 3: SyntaxError: ",
    "import json\n\ntask = json.loads('{')": "mine.py, line 3: JSONDecodeError: ",
    "task = 3": "3 is not a task: give a br.Task(net, data), or a name: synthetic,",
    "tasks = ['digits', 'nosuch']": "unknown task 'nosuch'",
}


@pytest.mark.parametrize(("content", "message"), FILES.items(), ids=[str(number) for number in range(len(FILES))])
def test_what_is_wrong_with_a_file_is_said_with_its_line(bayesreg, tmp_path, content, message):
    (tmp_path / "mine.py").write_text(content)
    status, out, err = bayesreg("compare", "mine.py")
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_file_hides_no_module_and_may_name_tasks(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("tasks = ['digits', 'diabetes --width 8']")
    found = Compare(tasks=[str(tmp_path / "json.py")], seeds=3).comparison()
    assert [task.name for task in found.tasks] == ["digits", "diabetes"]
    assert sys.modules["json"] is json
    import_json = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path}; import json; json.dumps(1)"]
    subprocess.run(import_json, check=True)  # as in a worker, which has the path of this process


@pytest.mark.usefixtures("here")
def test_a_cell_without_meaning_is_refused_and_the_grid_goes_on(bayesreg, tmp_path):
    status, _, err = bayesreg("compare", "diabetes --noise 1", "--methods", "none", "entropic", *FEW)
    assert status == 0, err
    reason = "the entropic prior does nothing under Gaussian"
    page = "runs/diabetes/report"
    assert reason in (tmp_path / page / "index.html").read_text()
    rows = pd.read_csv(tmp_path / page / "results.csv", keep_default_na=False).set_index("method")
    assert rows["status"].to_dict() == {"none": "done", "entropic": "refused"}
    assert reason in rows.loc["entropic", "reason"]


def test_a_grid_of_refused_cells_alone_is_refused(bayesreg, tmp_path):
    status, _, err = bayesreg("compare", "diabetes --noise 1", "--methods", "entropic", *FEW)
    assert status == 2
    assert "entropy of its predictions is constant" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("can't allocate memory")])
def test_a_method_that_memory_does_not_suffice_for_costs_its_own_cell(bayesreg, tmp_path, monkeypatch, error):
    check = Method.check

    def heavy(self, *given):
        if self.name == "l2":
            raise error
        check(self, *given)

    monkeypatch.setattr(Method, "check", heavy)
    status, _, err = bayesreg("compare", "diabetes", "--methods", "none", "l2", *FEW)
    assert status == 0, err
    kept = [json.loads(path.read_text()) for path in tmp_path.glob("runs/diabetes/diabetes/*/result.json")]
    said = sorted((result["status"], result["message"] or "") for result in kept)
    assert said == [("done", ""), ("refused", f"{type(error).__name__}: {error}")]


def test_a_task_that_memory_does_not_suffice_for_is_refused(bayesreg, tmp_path, monkeypatch):
    def heavy(self, data):
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(Diabetes, "network", heavy)
    status, _, err = bayesreg("compare", "diabetes", "--methods", "none", *FEW)
    assert status == 2
    assert "the network cannot be made, can't allocate memory: make it smaller" in err
    assert not (tmp_path / "runs").exists()


def test_failures_are_said_where_there_is_nothing_to_report(bayesreg, outcomes):
    outcomes |= {0: ValueError("it is broken"), 1: RuntimeError("it is, too")}
    status, _, err = bayesreg("compare", "diabetes", "--methods", "none", "--seeds", 2, "--folds", 1, *SHORT)
    assert status == 1
    assert "failed: diabetes none seed 0: it is broken\n" in err
    assert "failed: diabetes none seed 1: RuntimeError: it is, too\n" in err
    assert "no complete run" in err
    assert "Traceback" not in err


def test_a_full_disk_stops_a_comparison(bayesreg, outcomes):
    full = OSError(errno.ENOSPC, "No space left on device", "runs/x")
    outcomes |= {0: ValueError("it is broken"), 1: full, 2: KeyError("x")}
    status, out, err = bayesreg("compare", "diabetes", "--methods", "none", "--seeds", 3, "--folds", 1, *SHORT)
    assert status == 1
    assert "it is broken" in err
    assert "No space left on device: 'runs/x'; nothing that was finished is lost" in err
    assert "KeyError" not in err + out  # the sweep was left


@pytest.mark.parametrize("option", ["--output", "--report"])
def test_a_directory_that_cannot_be_keptis_refused_before_the_first_run(bayesreg, tmp_path, option):
    (tmp_path / "file").write_text("")
    status, _, err = bayesreg("compare", "diabetes", "--methods", "none", *FEW, option, tmp_path / "file" / "below")
    assert status == 2
    assert "cannot be written" in err
    assert not list(tmp_path.glob("runs/*/*/*"))


def test_each_task_of_a_grid_may_have_options_of_its_own():
    lines = ["digits", "beijing --net transformer --width 16", "cifar --dataset cifar100 --epochs 2"]
    digits, beijing, cifar = Compare(tasks=lines, train_size=100, threads=1).comparison().tasks
    assert (beijing.net, beijing.width) == ("transformer", 16)
    assert (cifar.dataset, cifar.epochs, digits.epochs) == ("cifar100", 2, type(digits)().epochs)
    assert {task.train_size for task in (digits, beijing, cifar)} == {100}
    assert {task.epochs for task in Compare(tasks=lines, epochs=5).comparison().tasks} == {5}


def test_two_tasks_of_a_name_are_told_apart_by_their_options():
    lines = ["beijing", "beijing --net transformer"]
    assert list(Compare(tasks=lines).comparison().named) == ["beijing · lstm", "beijing · transformer"]


def test_a_task_of_ones_own_has_another_identity_with_other_settings(tmp_path, mine):
    (one,), (other,) = (Compare(tasks=[str(tmp_path / "mine.py")], epochs=e).comparison().tasks for e in (None, 7))
    assert (one.training()["epochs"], other.training()["epochs"]) == (3, 7)
    differ = {key for key in one.record() if one.record()[key] != other.record()[key]}
    assert differ == {"epochs"}


def test_seeds_are_eight_and_four_where_there_are_folds():
    asked = Compare(tasks=["synthetic", "digits", "diabetes"]).comparison()
    assert asked.record()["seeds"] == {"synthetic": 8, "digits": 4, "diabetes": 4}
    assert asked.record()["folds"] == {"synthetic": 1, "digits": 5, "diabetes": 5}
    assert len(asked.repeats("digits", "test")) == 20
    assert set(Compare(seeds=2).comparison().record()["seeds"].values()) == {2}
    assert set(Compare(folds=1).comparison().record()["seeds"].values()) == {8}


@pytest.mark.usefixtures("here")
def test_threads_are_those_of_every_run_and_recorded_nowhere(bayesreg, tmp_path, monkeypatch):
    seen, forward = [], torch.nn.Linear.forward

    def counted(self, x):
        seen.append(torch.get_num_threads())
        return forward(self, x)

    before = torch.get_num_threads()
    monkeypatch.setattr(torch.nn.Linear, "forward", counted)
    assert bayesreg("compare", "diabetes", "--methods", "none", *FEW, "--threads", before + 1)[0] == 0
    assert before + 1 in seen
    assert torch.get_num_threads() == before
    (config,) = tmp_path.glob("runs/diabetes/diabetes/*/config.json")
    assert "threads" not in config.read_text()


@pytest.mark.usefixtures("here")
def test_verbose_says_what_is_done(bayesreg, caplog):
    with caplog.at_level("INFO"):
        assert bayesreg("compare", "diabetes", "--methods", "none", *FEW)[0] == 0
    assert "done: diabetes none seed 0" in caplog.messages


@pytest.mark.parametrize(
    ("options", "level"), [([], "WARNING"), (["--quiet"], "ERROR"), (["--verbose"], "INFO")], ids=str
)
def test_how_loud_a_command_is(bayesreg, monkeypatch, options, level):
    said = []
    monkeypatch.setattr(logging, "basicConfig", lambda **given: said.append(given["level"]))
    assert bayesreg("report", "nowhere", *options)[0] == 2
    assert said == [level]


def test_report_of_nothing(bayesreg):
    status, _, err = bayesreg("report", "nowhere")
    assert status == 2
    assert "nowhere" in err
