"""Averaging, normalising and pairing, against numbers worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from rows import frame, run

from bayesreg import statistics
from bayesreg.methods import TECHNIQUES
from bayesreg.priors import PRIORS


def test_summary_is_mean_and_sd_over_seeds():
    runs = frame(*(run(seed=i, test=t, test_nll=n) for i, (t, n) in enumerate([(0.7, 1), (0.8, 2), (0.9, 6)])))
    (row,) = statistics.summarise(statistics.select(runs)).to_dict("records")
    assert row["score_mean"] == row["accuracy_mean"] == pytest.approx(0.8)
    assert row["accuracy_sd"] == pytest.approx(0.1)  # √((0.01 + 0 + 0.01)/2)
    assert row["nll_mean"] == pytest.approx(3)
    assert row["nll_sd"] == pytest.approx(math.sqrt(7))  # √((4 + 1 + 9)/2)
    assert (row["method"], row["seeds"], row["folds"]) == ("l2", 3, 1)


def test_one_seed_has_no_sd():
    (row,) = statistics.summarise(statistics.select(frame(run(test=0.75)))).to_dict("records")
    assert row["accuracy_mean"] == 0.75
    assert math.isnan(row["accuracy_sd"])


def test_each_task_has_its_own_metric():
    other = run(dataset="diabetes", metric="r2", validation_r2=0.4, test_r2=0.3, test=math.nan)
    runs = frame(run(dataset="digits", test=0.9), other)
    assert statistics.results(runs).set_index("task")["score_mean"].to_dict() == {"diabetes": 0.3, "digits": 0.9}


def test_a_seed_counts_once_however_many_folds_it_has():
    """sd of the two seeds' means, 0.6 and 0.8, not of the five folds."""
    scores = {(0, 0): 0.5, (0, 1): 0.7, (1, 0): 0.7, (1, 1): 0.9}
    rows = [run(seed=s, partition=s, fold=f, folds=2, test=v, stage="test") for (s, f), v in scores.items()]
    by_seed = statistics.by_seed(frame(*rows))
    assert by_seed["test_accuracy"].tolist() == pytest.approx([0.6, 0.8])
    assert by_seed["folds"].tolist() == [2, 2]
    (row,) = statistics.summarise(frame(*rows)).to_dict("records")
    assert (row["score_mean"], row["score_sd"]) == (pytest.approx(0.7), pytest.approx(0.1 * math.sqrt(2)))
    none = [run("none", None, s, partition=s, fold=f, folds=2, test=0.5, stage="test") for s, f in scores]
    (row,) = statistics.paired(frame(*rows, *none)).to_dict("records")
    assert (row["n"], row["mean"]) == (2, pytest.approx(0.2))


def test_a_fold_without_a_score_is_not_left_out_of_the_mean():
    rows = [run(partition=0, fold=f, folds=2, test=v) for f, v in enumerate([0.5, math.nan])]
    assert statistics.by_seed(frame(*rows))["test_accuracy"].isna().all()
    (row,) = statistics.summarise(frame(run(seed=0), run(seed=1, test=math.nan))).to_dict("records")
    assert math.isnan(row["score_mean"])


def test_natural_parameters_that_differ_by_fold_are_not_those_of_the_first():
    rows = [run(partition=0, fold=f, folds=2, natural=f"scale={f}") for f in range(2)]
    assert statistics.summarise(frame(*rows))["natural"].tolist() == ["by fold"]
    assert statistics.summarise(frame(rows[0]))["natural"].tolist() == ["scale=0"]


def test_normalised_scores_by_hand():
    scores = pd.DataFrame(
        {"none": [0.5, 2.0, 7.0], "l1": [0.6, 2.0, np.nan], "l2": [0.9, 2.0, np.nan]}, index=["a", "b", "c"]
    )
    scaled = statistics.normalise(scores)
    assert scaled.loc["a"].tolist() == pytest.approx([0.0, 0.25, 1.0])
    assert scaled.loc["b"].tolist() == [1.0, 1.0, 1.0]
    assert scaled.loc["c", "none"] == 1.0
    assert scaled.loc["c", ["l1", "l2"]].isna().all()
    assert statistics.average(scaled).tolist() == pytest.approx([2 / 3, 0.625, 1.0])


def test_where_less_is_better_the_least_is_the_best_of_its_row():
    rows = [
        run(name, s, metric="nll", test=1 - v) for name, s, v in (("none", None, 1.0), ("l1", 1, 0.4), ("l2", 1, 0))
    ]
    scaled = statistics.normalise(statistics.oriented(statistics.results(frame(*rows))))
    assert scaled.loc["digits"].to_dict() == {"none": 0.0, "l1": pytest.approx(0.6), "l2": 1.0}


@given(st_numpy.arrays(float, (3, 4), elements=st.floats(-1e150, 1e150) | st.just(math.nan)))
def test_normalised_scores_lie_between_0_and_1(values):
    scores = pd.DataFrame(values)
    scaled = statistics.normalise(scores)
    assert (scaled.isna() == scores.isna()).all(axis=None)
    assert ((scaled >= 0) & (scaled <= 1) | scaled.isna()).all(axis=None)
    assert all(row.max() == 1 for _, row in scaled.iterrows() if row.notna().any())


def test_paired_differences_are_by_seed():
    runs = frame(
        *(run("none", None, i, test=t) for i, t in enumerate([0.5, 0.6, 0.9])),
        *(run("l2", 1e-4, i, test=t) for i, t in enumerate([0.6, 0.8, 0.9])),
    )
    (row,) = statistics.paired(statistics.select(runs)).to_dict("records")
    assert (row["task"], row["method"], row["n"]) == ("digits", "l2", 3)
    assert row["mean"] == pytest.approx(0.1)  # of 0.1, 0.2, 0
    assert row["sd"] == pytest.approx(0.1)
    assert statistics.paired(statistics.select(runs), "l2")["mean"].tolist() == pytest.approx([-0.1])


def test_nothing_is_paired_without_the_baseline():
    assert statistics.paired(statistics.select(frame(run()))).empty


def test_methods_have_one_order():
    names = ["dropout+l2", "l2@normal", "l2+entropic", "smoothness", "none", "ard", "ard+l1", "dropout", "l2", "l1"]
    found = statistics.ordered(names)
    assert found == [
        "none",
        "l1",
        "l2",
        "l2+entropic",
        "l2@normal",
        "smoothness",
        "ard",
        "ard+l1",
        "dropout",
        "dropout+l2",
    ]
    assert statistics.ordered([*TECHNIQUES, *PRIORS, "of one's own"]) == [*PRIORS, *TECHNIQUES, "of one's own"]
