"""What a study's page says first: one sentence for all tasks, and in a task's sentence what it costs."""

import math

import pandas as pd
import pytest

from bayesreg.report import answer


def study(chosen, **verdicts):
    """A table with a row per task and method; chosen: {task: method that is recommended}."""
    rows = []
    for task, recommended in chosen.items():
        for method in ("none", "l2", "l1"):
            verdict = "" if method == "none" else verdicts.get(method, "undecided")
            known = math.nan if method == "none" else -0.1
            row = {"task": task, "method": method, "recommended": method == recommended, "status": "done"}
            rows.append(row | {"nll_difference": known, "nll_verdict": verdict})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"a": "l2", "b": "l2"}, "Use l2 on all 2 tasks. "),
        ({"a": "l2", "b": "none", "c": "l1"}, "Use l1 on c and l2 on a; on b nothing is shown to help. "),
        ({"a": "none", "b": None}, "Nothing here is shown to help on any of the 2 tasks. "),
    ],
)
def test_one_sentence_for_all_tasks(chosen, said):
    assert answer.overall(study(chosen)).startswith(said)


def test_one_task_has_no_sentence_for_all():
    assert answer.overall(study({"a": "l2"})) == ""


def test_verdicts_are_counted():
    table = study({"a": "l2", "b": "none"}, l2="better", l1="worse")
    assert answer.overall(table).endswith("Of 4 differences from none in test NLL, 2 are better and 2 are worse.")


def means(task="a", **metrics):
    """Results with a row per method, none, l2 and l1, and the means of each metric in that order."""
    rows = {"task": task, "method": ["none", "l2", "l1"], "metric": "accuracy"}
    return pd.DataFrame(rows | {f"{name}_mean": values for name, values in metrics.items()})


def sentence(table, results):
    ((task, said),) = answer.sentences({"a": "Use l2: it is better."}, table, results)
    assert task == "a"
    return said


def test_what_it_costs_is_in_the_sentence():
    results = means(accuracy=[0.8, 0.9, 0.8], nll=[0.5, 0.4, 0.5], ece=[0.02] * 3, seconds_epoch=[2.0, 3.0, 2.0])
    assert sentence(study({"a": "l2"}), results) == "Use l2: it is better; it takes 1.5 times as long as none."
    results["seconds_epoch_mean"] = [2.0, 2.04, 2.0]
    assert sentence(study({"a": "l2"}), results) == "Use l2: it is better; it takes as long as none."


def test_tasks_of_one_sentence_share_it():
    said, table = dict.fromkeys(("b", "a"), "none alone was compared."), study({"a": "none", "b": "none"})
    results = pd.concat([means(task, accuracy=[0.8] * 3) for task in said])
    assert answer.sentences(said, table, results) == [("a and b", "none alone was compared.")]
