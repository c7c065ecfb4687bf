"""The paper's claims, judged by results whose verdicts can be worked out by hand."""

import html

import numpy as np
import pandas as pd
import pytest

from bayesreg.report import claims
from bayesreg.report.paper import DATASETS
from bayesreg.statistics import across

TASKS = sorted(DATASETS)


def judged(gains=None, seconds=None, small=None, tasks=TASKS, dataset=None):
    """{claim: (ours, verdict)} where methods gain so many nats, cost so many times none, have such shares near 0."""
    gains = {"none": 0.0, **(gains or {})}
    rng = np.random.default_rng(0)
    noise = {task: 1e-3 * rng.normal(size=2) for task in tasks}
    scores = {t: {m: np.resize(g, len(tasks))[i] + noise[t] for m, g in gains.items()} for i, t in enumerate(tasks)}
    found = across(scores, {task: dict.fromkeys(gains, "done") for task in tasks}, draws=50)
    rows = [
        {"task": task, "task.dataset": dataset or task, "method": method}
        | {"seconds_epoch_mean": np.resize((seconds or {}).get(method, 1.0), len(tasks))[i]}
        | {"sparsity_small_mean": np.resize((small or {}).get(method, 0.1), len(tasks))[i]}
        for i, task in enumerate(tasks)
        for method in gains
    ]
    table = claims.claims(pd.DataFrame(rows), found)
    return None if table is None else {row[0].text: (row[2].text, row[3].text) for row in table.rows}


@pytest.mark.parametrize(
    ("gain", "verdicts"),
    [
        (0.1, ("holds", "does not hold")),
        (-0.1, ("does not hold", "holds")),
        ([0.1, -0.1], ("cannot be told", "cannot be told")),
    ],
    ids=["better", "worse", "undecided"],
)
def test_a_claim_about_scores_holds_where_the_verdict_is_the_claimed_one(gain, verdicts):
    found = judged({"entropic": gain, "smoothness": gain})
    assert (found["entropic is better than none"][1], found["smoothness is worse than none"][1]) == verdicts


def test_what_is_tied_everywhere_is_counted_so():
    assert judged({"entropic": 1e-4})["entropic is better than none"][0].startswith(
        "better on 0, tied on 8, worse on 0 of 8 tasks"
    )


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(2.1, "holds"), (1.0, "does not hold"), ([1.0, 4.1], "cannot be told"), (3.0, "does not hold")],
    ids=["near", "cheaper", "either", "dearer"],
)
def test_a_claim_about_seconds_is_judged_by_the_ratios_of_the_tasks(ratio, verdict):
    assert judged({"ard": 0.0}, {"ard": ratio})["an epoch of ard takes 2.00 times that of none"][1] == verdict


def test_two_tasks_show_nothing_about_seconds_unless_they_agree():
    found = judged({"ard": 0.0, "l2": 0.0}, {"ard": 1.0, "l2": 1.8}, tasks=TASKS[:2])
    assert found["an epoch of ard takes 2.00 times that of none"][1] == "cannot be told"
    assert found["an epoch of l2 takes 1.80 times that of none"][1] == "holds"


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.3, "holds"), (0.05, "does not hold"), (0.1, "cannot be told")],
    ids=["more", "fewer", "equal"],
)
def test_ard_prunes_where_more_weights_than_under_none_are_near_0(share, verdict):
    ours, said = judged({"ard": 0.0}, small={"ard": share})["ard prunes weights"]
    assert said == verdict
    assert ours == f"{share:.1%} of the weights are within ±0.001 of 0, under none 10.0%: medians of 8 tasks"


def test_only_the_data_sets_of_the_paper_judge_its_claims():
    assert judged({"entropic": 0.1}, dataset="digits") is None
    assert judged({"dropout": 0.1}) is None
    assert claims.claims(pd.DataFrame({"task": [], "task.dataset": []}), None) is None


def test_the_page_has_the_claims_of_a_study_on_its_data_sets_alone(over_tasks, study_on, tmp_path):
    assert 'id="claims"' not in over_tasks[1].read_text(encoding="utf-8")
    text = html.unescape(study_on(TASKS[:2]).report(tmp_path / "out").read_text(encoding="utf-8"))
    assert '<a href="#claims">' in text
    assert "entropic is better than none" in text
