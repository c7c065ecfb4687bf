"""The command for a cell: it is parsed to exactly the task, method and seeds of the cell."""

import shlex

import pytest

from bayesreg import report, statistics
from bayesreg.cli.command import read
from bayesreg.cli.compare import Compare
from bayesreg.report import again
from bayesreg.tasks import as_task

TASKS = ["digits", "beijing --net transformer", "cifar --width 16 --augment --train-size 100", "synthetic --lr 0.1"]


@pytest.mark.parametrize("text", TASKS)
def test_a_registered_task_is_named_by_a_text_that_makes_it(text):
    options = as_task(text).record()
    assert as_task(again.registered(options)).record() == options


def test_a_task_of_other_options_or_of_the_users_own_has_no_text():
    known = as_task("digits").record()
    assert again.registered(known | {"depth": 3}) is None
    assert again.registered({"dataset": "wine", "net": "own"}) is None
    assert again.registered(known | {"epochs": "many"}) is None


def commands(root, make, text="digits", folds=1, strengths=(0.1,)):
    """Of a method that chose these strengths, fold by fold, over two seeds."""
    own = as_task(text).record() if text else {"net": "own"}
    for seed in (0, 1):
        for fold in range(folds):
            repeat = {"stage": "test"} | ({"partition": seed, "fold": fold, "folds": folds} if folds > 1 else {})
            strength = strengths[fold % len(strengths)]
            make("l2", strength, seed, repeat=repeat, **{"dataset": "digits"} | own)
            if folds > 1:
                for one in set(strengths):
                    tune = {"stage": "tune"} | {k: v for k, v in repeat.items() if k != "stage"}
                    value = 0.9 if one == strength else 0.5
                    make("l2", one, 10_000 + seed, value, repeat=tune, **{"dataset": "digits"} | own)
    found = again.commands(statistics.select(report.load(root)))
    assert found[["task", "method"]].to_numpy().tolist() == [["digits", "l2"]]
    return found["command"].item()


def test_a_cell_of_a_comparison_is_made_again_by_a_comparison(make, root):
    assert commands(root, make) == "bayesreg compare digits --methods l2:0.1 --seeds 2 --folds 1"


def test_where_folds_chose_differently_strengths_are_chosen_again(make, root):
    command = commands(root, make, folds=2, strengths=(0.1, 0.01))
    assert command == "bayesreg compare digits --methods l2 --seeds 2 --folds 2"


def test_a_task_of_the_users_own_is_made_again_in_python(make, root):
    command = commands(root, make, text=None)
    assert command.startswith("br.compare(tasks=['digits', as you made it], methods=['l2:0.1'], seeds=2, folds=1")


def test_the_command_line_reads_it(make, root, monkeypatch):
    command = commands(root, make, "digits --width 32")
    assert command == 'bayesreg compare "digits --width 32" --methods l2:0.1 --seeds 2 --folds 1'
    monkeypatch.setattr("sys.argv", ["bayesreg", *shlex.split(command)[2:]])
    asked = read(Compare, "bayesreg compare")
    (task,) = asked.comparison().tasks
    assert task.record() == as_task("digits --width 32").record()
    assert (asked.methods, asked.seeds, asked.folds) == (["l2:0.1"], 2, 1)


def test_a_run_on_its_own_is_made_again_by_itself(make, root):
    make("l2", 0.1, 3, **as_task("digits").record())
    (row,) = again.commands(statistics.select(report.load(root))).to_dict("records")
    assert row["command"] == "bayesreg run digits --prior l2:0.1 --seed 3"


def test_where_nothing_is_compared_a_comparison_is_proposed(make, root):
    make("ard", 0.1, 0, **as_task("digits").record())
    found = again.instead(statistics.select(report.load(root)))
    assert found == "bayesreg compare digits --methods none l2 ard dropout --seeds 8"
