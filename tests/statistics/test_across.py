"""What holds over tasks: tables with a known answer, and the stated rules for missing results."""

import math

import numpy as np
import pytest

from bayesreg.statistics import across, tasks_needed

TASKS, SEEDS = 12, 4
rng = np.random.default_rng(0)
BASE, NOISE = rng.normal(size=(TASKS, 1)), 0.01 * rng.normal(size=(TASKS, SEEDS))


def made(gains, tasks=TASKS):
    """{task: {method: scores by seed}}, and that all are done; none beside methods with gains by task."""
    scores = {f"t{t}": {"none": BASE[t] + NOISE[t]} for t in range(tasks)}
    for name, gain in gains.items():
        for t in range(tasks):
            scores[f"t{t}"][name] = BASE[t] + np.broadcast_to(gain, tasks)[t] + NOISE[t, ::-1]
    return scores, {task: dict.fromkeys(own, "done") for task, own in scores.items()}


def rows(found):
    return found.table.set_index("method")


def test_what_is_better_everywhere_is_better():
    found = across(*made({"l2": 0.1, "l1": np.tile([0.1, -0.1], 6)}))
    table = rows(found)
    assert table["verdict"].to_dict() == {"l2": "better", "l1": "undecided"}
    assert table.loc["l2", "p"] == 2 * 2 / 2**12  # Holm's first step of two
    assert table.loc["l2", "difference"] == pytest.approx(-0.1, abs=1e-3)  # of the NLL: less is better
    assert table.loc["l2", "low"] < table.loc["l2", "difference"] < table.loc["l2", "high"] < 0
    assert table.loc["l2", ["better", "tied", "worse"]].tolist() == [12, 0, 0]
    assert table.loc["l1", ["better", "tied", "worse"]].tolist() == [6, 0, 6]
    assert table.loc["l2", "improvement"] == 1
    assert table.loc["l1", "improvement"] == pytest.approx(0.5)
    assert found.sentence.startswith("Over 12 tasks l2 is better than none on 12 of 12, nll −0.1")
    assert found.ranks.groups[0] == ("l2", "l1")
    assert found.tasks == TASKS


def test_what_does_not_matter_is_a_tie():
    assert rows(across(*made({"l2": 0.005}))).loc["l2", ["better", "tied", "worse"]].tolist() == [0, 12, 0]


def test_few_tasks_show_nothing_and_say_how_many_would():
    found = across(*made({"l2": 0.5, "l1": 0.4}, tasks=3))
    assert set(found.table["verdict"]) == {"undecided"}
    assert found.table["p"].tolist() == [0.5, 0.5]
    assert found.ranks is None
    told = f"Over 3 tasks nothing can be shown: with 2 methods besides none it takes {tasks_needed(2)}, for Wilcoxon's"
    assert found.sentence.startswith(told)


def test_divergence_is_a_loss_and_is_said():
    scores, status = made({"l2": np.where(np.arange(TASKS) < 9, 0.1, -0.05)})
    for task in ("t9", "t10", "t11"):
        del scores[task]["l2"]
        status[task]["l2"] = "diverged"
    found = across(scores, status)
    row = rows(found).loc["l2"]
    assert row[["tasks", "missing", "diverged", "better", "worse"]].tolist() == [12, 0, 3, 9, 3]
    assert row["difference"] == pytest.approx(-0.1, abs=1e-3)  # of those with numbers
    assert row["improvement"] == 9 / 12
    assert row["p"] > 0.05  # the three largest ranks are against it
    assert "l2 diverged on 3, which counts as lost" in found.sentence
    assert found.profile.query("method == 'l2'")["share"].max() == 9 / 12


def test_what_diverged_everywhere_is_worse_and_has_no_mean():
    scores, status = made({"l2": 0.1})
    for task, own in scores.items():
        del own["l2"]
        status[task]["l2"] = "diverged"
    said = "Over 12 tasks l2 is worse than none on 12 of 12 (p = 0.00049); l2 diverged on 12, which counts as lost."
    assert across(scores, status).sentence == said


def test_where_none_diverged_what_did_not_has_won_and_both_are_a_tie():
    scores, status = made({"l2": 0.0, "l1": 0.0}, tasks=2)
    for method in ("none", "l1"):
        del scores["t0"][method]
        status["t0"][method] = "diverged"
    table = rows(across(scores, status))
    assert table.loc["l2", ["better", "tied", "worse"]].tolist() == [1, 1, 0]
    assert table.loc["l1", ["better", "tied", "worse"]].tolist() == [0, 2, 0]


@pytest.mark.parametrize("why", ["refused", "incomplete"])
def test_what_was_not_compared_is_counted_and_said(why):
    scores, status = made({"l2": 0.1, "entropic": 0.1})
    del scores["t3"]["entropic"]
    status["t3"]["entropic"] = why
    found = across(scores, status)
    assert rows(found)[["tasks", "missing"]].to_numpy().tolist() == [[12, 0], [11, 1]]
    assert "entropic is not compared on 1" in found.sentence
    assert set(found.ranks.mean.index) == {"none", "l2"}  # ranks need every task
    assert found.profile.query("method == 'entropic'")["share"].max() == 11 / 12


def test_one_task_and_no_none_say_so():
    assert across(*made({"l2": 0.1}, tasks=1)).sentence == "One task says nothing about others."
    scores, status = made({"l2": 0.1})
    for task, own in scores.items():
        del own["none"], status[task]["none"]
    found = across(scores, status)
    assert found.table.empty
    assert found.sentence == "Over 12 tasks nothing can be said: none was not compared."
    assert found.ranks is None


def test_a_method_that_has_no_numbers_at_all_is_a_row():
    scores, status = made({}, tasks=3)
    for own in status.values():
        own["smoothness"] = "refused"
    row = rows(across(scores, status)).loc["smoothness"]
    assert (row["tasks"], row["missing"], row["p"], row["verdict"]) == (0, 3, 1, "undecided")
    assert math.isnan(row["difference"])


def test_another_metric_where_more_is_better():
    row = rows(across(*made({"l2": 0.1}), metric="accuracy")).loc["l2"]
    assert row["difference"] == pytest.approx(0.1, abs=1e-3)
