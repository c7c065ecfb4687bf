"""The committed reports: made by one command, and known as stale when the code has moved on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bayesreg.cli.compare import Compare
from bayesreg.metrics import METRICS, Metric, mse, squared_errors
from bayesreg.priors import PRIORS
from bayesreg.report import wording
from bayesreg.tasks import as_task
from experiments import reports
from experiments.compare import Compare as Given

ROOT = Path(__file__).parents[2]
METHODS = ["none", "l1", "l2", "smoothness", "entropic", "ard", "l2@normal", "dropout", "early_stopping"]


def main(monkeypatch, *arguments):
    """The exit status of the command."""
    monkeypatch.setattr("sys.argv", ["reports", *arguments])
    with pytest.raises(SystemExit) as end:
        reports.main()
    return end.value.code


COMMITTED = [name for name in reports.COMPARISONS if (ROOT / "reports" / name / "index.html").exists()]


@pytest.mark.parametrize("name", COMMITTED)
def test_the_committed_report_is_as_new_as_the_code(name):
    try:
        parts = reports.stale(name, ROOT / "reports" / name)
    except FileNotFoundError as error:
        pytest.skip(f"the real files are needed: {error}")
    assert not parts, f"reports/{name} is older than the code ({', '.join(parts)}): make reports NAME={name}"


@pytest.fixture
def fresh(tmp_path):
    """A folder whose report is as new as the code."""
    (tmp_path / reports.MADE).write_text(json.dumps(reports.made(reports.COMPARISONS["compare"])))
    assert reports.stale("compare", tmp_path) == []
    return tmp_path


def test_another_strength_or_method_makes_it_stale(fresh, monkeypatch):
    monkeypatch.setattr(PRIORS["l1"], "grid", (0.5,))
    assert reports.stale("compare", fresh) == ["grid"]
    monkeypatch.undo()
    assert reports.stale("compare", fresh) == []
    monkeypatch.setitem(reports.COMPARISONS, "compare", Compare(methods=["none", "l2"]))
    assert reports.stale("compare", fresh) == ["grid"]


def test_another_option_of_a_task_makes_it_stale(fresh, monkeypatch):
    monkeypatch.setitem(reports.COMPARISONS, "compare", Compare(epochs=7))
    assert reports.stale("compare", fresh) == ["grid"]


def test_another_metric_makes_it_stale(fresh, monkeypatch):
    monkeypatch.setitem(METRICS, "other", Metric("other", mse, higher_is_better=False, by_example=squared_errors))
    assert reports.stale("compare", fresh) == ["metrics"]


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("phrases.py", "Nothing is compared yet", "Nothing is compared so far", ["wording"]),
        ("page.html", "What failed", "What went wrong", ["wording"]),
        ("choice.py", '"validation_mean"', '"validation_average"', ["wording"]),
        ("tables.py", "def spread", "# A comment.\ndef spread", []),
        ("tables.py", '"""Tables of', '"""Some tables of', []),
    ],
)
def test_another_sentence_or_column_makes_it_stale_and_a_comment_does_not(fresh, monkeypatch, file, old, new, stale):
    changed = []
    for source in wording.speaking():
        text, place = source.read_text(), fresh / source.relative_to(wording.HERE.parent)
        place.parent.mkdir(exist_ok=True)
        place.write_text(text.replace(old, new) if place.name == file else text)
        changed += [place] * (place.read_text() != text)
    assert len(changed) == 1
    monkeypatch.setattr(wording, "HERE", fresh / "report")
    assert reports.stale("compare", fresh) == stale


def test_what_is_compared_is_what_the_command_compares():
    """`make compare` is `python -m experiments.compare` without options."""
    asked = reports.COMPARISONS["compare"].comparison()
    assert asked == Given().given().comparison()
    grid = reports.made(reports.COMPARISONS["compare"])["grid"]
    assert list(grid["methods"]) == METHODS
    assert grid["seeds"] == {"synthetic": 8, "digits": 4, "diabetes": 4}
    assert grid["folds"] == {"synthetic": 1, "digits": 5, "diabetes": 5}
    assert len(reports.COMPARISONS["tasks"].comparison().named) == 9


def test_a_report_is_made_by_a_comparison_and_fresh_then(tmp_path, monkeypatch, capsys):
    few = Compare(tasks=["diabetes --epochs 1", "digits"], methods=["none", "l2"], seeds=2)
    monkeypatch.setattr(reports, "COMPARISONS", {"few": few})
    monkeypatch.chdir(tmp_path)
    asked = []

    def run(compare):
        asked.append(compare)
        compare.report.mkdir(parents=True)
        return 0

    monkeypatch.setattr(reports, "run", run)
    for arguments, status in ((["few"], 0), (["--check"], 0)):
        assert main(monkeypatch, *arguments) == status
    (compare,) = asked
    assert compare == replace(few, output=compare.output, report=Path("reports/few"))
    assert compare.output.parent == Path("runs/reports")
    (tmp_path / "reports/few/made.json").unlink()
    assert main(monkeypatch, "--check") == 1
    assert "make reports NAME=few" in capsys.readouterr().out


def test_without_a_name_every_report_that_is_older_than_the_code_is_made(tmp_path, monkeypatch, capsys):
    few = {name: Compare(tasks=["digits"], methods=["none"], seeds=seeds) for seeds, name in enumerate("abc", start=1)}
    monkeypatch.setattr(reports, "COMPARISONS", few)
    asked = []

    def run(compare):
        asked.append(compare.report.name)
        compare.report.mkdir()
        return 0

    monkeypatch.setattr(reports, "run", run)
    monkeypatch.setattr(reports, "made", lambda compare: {"grid": compare.seeds})
    monkeypatch.chdir(tmp_path)
    assert main(monkeypatch, "b", "--output", ".") == 0
    assert main(monkeypatch, "--output", ".") == 0
    assert asked == ["b", "a", "c"]
    assert main(monkeypatch, "--check", "--output", ".") == 0
    capsys.readouterr()
    assert main(monkeypatch, "--output", ".") == 0
    assert asked == ["b", "a", "c"]
    assert capsys.readouterr().out == ""


def test_a_report_whose_data_are_not_here_is_named_and_the_others_are_judged(tmp_path, monkeypatch, capsys):
    few = {"far": Compare(tasks=["housing"], data_dir=tmp_path), "here": Compare(tasks=["digits"])}
    monkeypatch.setattr(reports, "COMPARISONS", few)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / reports.MADE).write_text("{}")
    assert main(monkeypatch, "--check", "--output", str(tmp_path)) == 1
    out = capsys.readouterr().out
    assert "far: whether it is older than the code cannot be said without its data: housing/" in out
    assert "here is older than the code" in out


def test_the_comparison_of_the_paper_has_its_nine_tasks_and_six_priors():
    compare = reports.COMPARISONS["paper"].comparison()
    names = ["housing", "synthetic", "cifar · cifar10", "cifar · cifar100", "mnist", "flowers", "imdb"]
    assert list(compare.named) == [*names, "beijing · lstm", "beijing · transformer"]
    assert {method.name for method in compare.methods} == {"none", "l1", "l2", "ard", "entropic", "smoothness"}
    assert set(compare.record()["seeds"].values()) == {5}


def test_unequal_classes_are_selected_and_headed_by_macro_f1():
    compare = reports.COMPARISONS["imbalance"].comparison()
    ((name, task),) = compare.named.items()
    assert (name, task.metric, compare.select) == ("cifar", "macro_f1", "macro_f1")
    assert task.record()["metric"] == "macro_f1"
    assert as_task("cifar").record()["metric"] == "accuracy"


def test_the_tables_are_six_of_which_two_are_scikit_learns_own():
    tasks = reports.COMPARISONS["tables"].comparison().named
    assert list(tasks) == ["synthetic", "digits", "diabetes", "housing", "breast cancer", "wine"]
    assert [(task.load().source.size, task.load().classes) for task in [*tasks.values()][4:]] == [(569, 2), (178, 3)]


def test_a_report_that_failed_is_not_fresh(tmp_path, monkeypatch):
    monkeypatch.setattr(reports, "run", lambda compare: 1)
    assert reports.make("compare", tmp_path, tmp_path / "runs") == 1
    assert reports.stale("compare", tmp_path / "compare")


def test_an_unknown_report_is_refused(monkeypatch, capsys):
    assert main(monkeypatch, "nosuch") == 2
    assert "Reports: compare, tasks, paper, imbalance, tables, performance" in capsys.readouterr().err
