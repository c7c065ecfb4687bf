"""Choosing, averaging, normalising and pairing, against numbers worked out by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from bayesreg import statistics
from bayesreg.priors import PRIORS


def run(prior="l2", strength=1e-4, seed=0, validation=0.9, test=0.8, dataset="digits", variant="", **more):
    """A row as report.load makes it; validation None is a run that diverged; variant: what else tells it apart."""
    text = prior if strength is None else f"{prior}:{strength:g}"
    return {
        "task": dataset,
        "variant": prior + variant,
        "candidate": text + variant,
        "replicate": str(seed),
        "metric": "accuracy",
        "prior": text,
        "prior_name": prior,
        "strength": math.nan if strength is None else strength,
        "seed": seed,
        "status": "diverged" if validation is None else "done",
        "validation_accuracy": math.nan if validation is None else validation,
        "test_accuracy": math.nan if validation is None else test,
        **more,
    }


def frame(*rows):
    return pd.DataFrame(list(rows))


def grid(scores, prior="l2"):
    """{strength: [validation score of seed 0, 1, ...]} as runs."""
    return frame(*(run(prior, s, i, v) for s, values in scores.items() for i, v in enumerate(values)))


def chosen(runs):
    (row,) = statistics.choose(runs).to_dict("records")
    return row


def test_best_validation_mean_is_chosen():
    row = chosen(grid({1e-4: [0.80, 0.90], 1e-3: [0.86, 0.88], 1e-2: [0.70, 0.99]}))
    assert row["strength"] == 1e-3  # 0.87, before 0.85 and 0.845
    assert row["validation_mean"] == pytest.approx(0.87)
    assert row["validation_sd"] == pytest.approx(0.02 / math.sqrt(2))
    assert (row["status"], row["strengths"], row["seeds"], row["edge"]) == ("done", 3, 2, False)


@pytest.mark.parametrize(("best", "edge"), [(1e-4, True), (1e-3, False), (1e-2, True)])
def test_choice_at_the_edge_of_its_grid_is_told(best, edge):
    assert chosen(grid({s: [0.9 if s == best else 0.5] for s in (1e-4, 1e-3, 1e-2)}))["edge"] is edge


def test_where_less_is_better_the_least_is_chosen_and_ranks_first():
    errors = {1e-3: [0.3, 0.1], 1e-2: [0.1, 0.2], 1e-1: [0.5, 0.4]}
    rows = [
        run("l2", s, i, v, metric="mse", validation_mse=v, test_mse=v)
        for s, own in errors.items()
        for i, v in enumerate(own)
    ]
    rows += [run("none", None, i, 1, metric="mse", validation_mse=1.0, test_mse=1.0) for i in range(2)]
    rows += [run("l1", 1.0, i, 1, metric="mse", validation_mse=0.4, test_mse=0.575) for i in range(2)]
    table = statistics.results(frame(*rows)).set_index("prior_name")
    assert table.loc["l2", "strength"] == 1e-2
    assert table.loc["l2", "score_mean"] == pytest.approx(0.15)
    scaled = statistics.normalise(statistics.oriented(table.reset_index()))
    assert scaled.loc["digits"].to_dict() == {"none": 0.0, "l1": pytest.approx(0.5), "l2": 1.0}


def test_tie_goes_to_the_smaller_strength():
    # The two sums of three differ in the last bit: 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1.
    row = chosen(grid({1e-2: [0.1, 0.2, 0.3], 1e-3: [0.3, 0.2, 0.1], 1e-1: [0.2, 0.2, 0.2]}))
    assert row["strength"] == 1e-3


@pytest.mark.parametrize("scores", [[0.99, 0.99, None], [0.99, 0.99]], ids=["diverged", "missing"])
def test_one_failed_seed_disqualifies_a_strength(scores):
    assert chosen(grid({1e-4: [0.8, 0.8, 0.8], 1e-3: scores}))["strength"] == 1e-4


def test_prior_without_a_complete_strength_says_why():
    none = [run("none", None, seed) for seed in range(2)]
    lost = frame(*none, run("l2", 1e-4, 0), run("l2", 1e-4, 1, None), run("ard", 1e-4, 0))
    assert statistics.choose(lost).set_index("prior_name")["status"].to_dict() == {
        "none": "done",
        "l2": "diverged",
        "ard": "incomplete",
    }
    assert set(statistics.select(lost)["prior_name"]) == {"none"}
    assert statistics.results(lost)["score_mean"].notna().tolist() == [True, False, False]


def test_nan_score_of_a_finished_run_disqualifies_too():
    assert chosen(grid({1e-4: [0.5, 0.5], 1e-3: [0.99, math.nan]}))["strength"] == 1e-4
    assert chosen(grid({1e-4: [0.5, 0.5], 1e-3: [0.99, math.inf]}))["strength"] == 1e-4


def test_stray_seed_of_one_prior_leaves_the_others_complete():
    runs = frame(*(run(p, s, i) for p, s in (("none", None), ("l1", 1e-4), ("l2", 1e-4)) for i in range(2)))
    runs = pd.concat([runs, frame(run("l2", 1e-4, 9, test=0.0))], ignore_index=True)
    assert set(statistics.choose(runs)["status"]) == {"done"}
    assert set(statistics.select(runs)["seed"]) == {0, 1}


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_test_scores_never_change_the_choice(data):
    runs = grid({s: [0.5 + 0.01 * i, 0.6, 0.7] for i, s in enumerate((1e-4, 1e-3, 1e-2))})
    values = st.one_of(st.none(), st.floats(-1e6, 1e6))
    other = runs.assign(test_accuracy=data.draw(st.lists(values, min_size=9, max_size=9)))
    pd.testing.assert_frame_equal(statistics.choose(runs), statistics.choose(other))
    columns = ["prior", "strength", "seed"]
    pd.testing.assert_frame_equal(statistics.select(runs)[columns], statistics.select(other)[columns])
    without = runs.drop(columns="test_accuracy")
    pd.testing.assert_frame_equal(statistics.choose(runs), statistics.choose(without))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_choice_does_not_depend_on_the_order_of_the_runs(data):
    scores = data.draw(st.lists(st.sampled_from([0.1, 0.2, 0.3, None]), min_size=18, max_size=18))
    places = itertools.product(("l1", "l2"), (1e-4, 1e-3, 1e-2), range(3))
    rows = [run(p, s, i, v) for (p, s, i), v in zip(places, scores, strict=True)]
    shuffled = data.draw(st.permutations(rows))
    pd.testing.assert_frame_equal(statistics.choose(frame(*rows)), statistics.choose(frame(*shuffled)))
    pd.testing.assert_frame_equal(statistics.select(frame(*rows)), statistics.select(frame(*shuffled)))


def test_summary_is_mean_and_sd_over_seeds():
    runs = frame(*(run(seed=i, test=t, test_nll=n) for i, (t, n) in enumerate([(0.7, 1), (0.8, 2), (0.9, 6)])))
    (row,) = statistics.summarise(statistics.select(runs)).to_dict("records")
    assert row["score_mean"] == row["accuracy_mean"] == pytest.approx(0.8)
    assert row["accuracy_sd"] == pytest.approx(0.1)  # √((0.01 + 0 + 0.01)/2)
    assert row["nll_mean"] == pytest.approx(3)
    assert row["nll_sd"] == pytest.approx(math.sqrt(7))  # √((4 + 1 + 9)/2)
    assert (row["strength"], row["seeds"]) == (1e-4, 3)


def test_one_seed_has_no_sd():
    (row,) = statistics.summarise(statistics.select(frame(run(test=0.75)))).to_dict("records")
    assert row["accuracy_mean"] == 0.75
    assert math.isnan(row["accuracy_sd"])


def test_each_task_has_its_own_metric():
    runs = frame(
        run(dataset="digits", test=0.9),
        run(dataset="diabetes", metric="r2", validation_r2=0.4, test_r2=0.3, test=math.nan),
    )
    assert statistics.results(runs).set_index("task")["score_mean"].to_dict() == {
        "diabetes": 0.3,
        "digits": 0.9,
    }


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
    assert (row["task"], row["prior_name"], row["n"]) == ("digits", "l2", 3)
    assert row["mean"] == pytest.approx(0.1)  # of 0.1, 0.2, 0
    assert row["sd"] == pytest.approx(0.1)
    assert statistics.paired(statistics.select(runs), "l2")["mean"].tolist() == pytest.approx([-0.1])


def test_nothing_is_paired_without_the_baseline():
    assert statistics.paired(statistics.select(frame(run()))).empty


def test_candidates_that_differ_in_more_than_strength_are_not_mixed():
    runs = frame(
        *(
            run("ard", 0.1, seed, validation, test=validation, variant=f" · a {a}")
            for a, validation in ((1, 0.8), (2, 0.9))
            for seed in (0, 1)
        )
    )
    row = chosen(runs)
    assert (row["candidate"], row["variant"], row["strengths"], row["seeds"]) == ("ard:0.1 · a 2", "ard · a 2", 2, 2)
    assert set(statistics.select(runs)["candidate"]) == {"ard:0.1 · a 2"}
    (result,) = statistics.results(runs).to_dict("records")
    assert (result["candidate"], result["score_mean"]) == ("ard:0.1 · a 2", 0.9)


def test_repeats_are_paired_by_all_that_tells_them_apart():
    scores = {("none", "0"): 0.5, ("none", "0 · fold 1"): 0.6, ("l2", "0"): 0.6, ("l2", "0 · fold 1"): 0.9}
    runs = frame(*(run(p, None, 0, test=v, replicate=r) for (p, r), v in scores.items()))
    (row,) = statistics.paired(statistics.select(runs)).to_dict("records")
    assert (row["n"], row["mean"]) == (2, pytest.approx(0.2))


def test_priors_have_one_order():
    names = ["l2+entropic", "smoothness", "none", "ard", "ard+l1", "l2", "entropic", "l1"]
    assert statistics.ordered(names) == [*PRIORS, "ard+l1", "l2+entropic"]
