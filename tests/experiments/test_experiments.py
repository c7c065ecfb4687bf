"""In a checkout: python -m experiments.cifar and the others go on as before the command."""

import ast
import runpy
import sys
from pathlib import Path

import pytest

from bayesreg.cli import compare
from bayesreg.tasks import TASKS
from experiments.compare import PRIORS, Compare

ROOT = Path(__file__).parents[2]


@pytest.fixture
def module(monkeypatch, tmp_path, capsys):
    """python -m experiments.<name> in an empty folder: (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(name, *options):
        monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
        sys.modules.pop(f"experiments.{name}", None)
        try:
            runpy.run_module(f"experiments.{name}", run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_an_experiment_is_the_run_of_its_task(module, tmp_path):
    status, out, err = module("diabetes", "--prior", "l2", "--guide", "normal", "--epochs", "1")
    assert status == 0, err
    (folder,) = (tmp_path / "runs/diabetes").iterdir()
    assert str(folder.relative_to(tmp_path)) in out
    assert folder.name.startswith("l2=")
    assert "@normal" in folder.name


def test_every_task_is_an_experiment_and_runs_its_own(monkeypatch):
    for name in TASKS:
        tree = ast.parse((ROOT / "experiments" / f"{name}.py").read_text())
        (call,) = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert [argument.value for argument in call.args] == [name, f"python -m experiments.{name}"]


def test_missing_data_files_are_named_with_their_place_their_checksum_and_the_command(module, tmp_path):
    for name, file, data in (
        ("housing", "cal_housing.tgz", "housing"),
        ("cifar", "data_batch_1", "cifar10"),
        ("mnist", "train-images", "mnist"),
    ):
        options = ["--prior", "entropic", "--guide", "delta", "--data-dir", tmp_path / "nothing"]
        status, _, err = module(name, *options)
        assert status == 2
        assert str(tmp_path / "nothing") in err
        assert file in err
        assert "md5" in err or "sha256" in err
        assert f"bayesreg data fetch {data}" in err


def test_a_comparison_in_the_names_of_before():
    asked = Compare(experiments=["digits"], priors=["none", "l2"], guide="normal", seeds=2).given()
    assert asked == compare.Compare(tasks=["digits"], methods=["none@normal", "l2@normal"], seeds=2)
    assert Compare().given() == compare.Compare()


def test_all_priors_may_stand_beside_others():
    assert Compare(priors=["all", "l2:1e-4+entropic:0.1"]).given().methods == [
        *(f"{name}@delta" for name in PRIORS),
        "l2:1e-4+entropic:0.1@delta",
    ]
    assert Compare(guide="normal").given().methods == [f"{name}@normal" for name in PRIORS]
    assert Compare(priors=["l2@normal", "none"]).given().methods == ["l2@normal", "none@delta"]


def test_a_bad_guide_of_a_comparison_is_refused(module, tmp_path):
    status, _, err = module("compare", "--experiments", "digits", "--priors", "l2", "--guide", "detla")
    assert status == 2
    assert "did you mean 'delta'" in err
    assert not list(tmp_path.iterdir())


def test_the_other_commands(module):
    status, out, _ = module("baselines", "diabetes")
    assert status == 0
    assert out.startswith("mean")
    status, _, err = module("report", "nowhere")
    assert status == 2
    assert "nowhere" in err
    status, _, err = module("data", "verify", "digits")
    assert status == 2
    assert "no data set of files is called 'digits'" in err
