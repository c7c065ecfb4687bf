"""Choosing on validation, by cell and over all of them, and what of the test runs is reported; against brute force."""

import itertools
import math
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import frame, run

from bayesreg import statistics


def grid(scores, method="l2", **more):
    """{strength: [validation score of seed 0, 1, ...]} as runs."""
    return frame(*(run(method, s, i, v, **more) for s, values in scores.items() for i, v in enumerate(values)))


def chosen(runs):
    (row,) = statistics.choose(runs).to_dict("records")
    return row


def status(runs):
    return statistics.results(runs).set_index("method")["status"].to_dict()


def test_best_validation_mean_is_chosen():
    row = chosen(grid({1e-4: [0.80, 0.90], 1e-3: [0.86, 0.88], 1e-2: [0.70, 0.99]}))
    assert row["strength"] == 1e-3  # an NLL of 0.13, before 0.15 and 0.155
    assert row["validation_mean"] == pytest.approx(0.13)
    assert row["validation_sd"] == pytest.approx(0.02 / math.sqrt(2))
    assert (row["status"], row["strengths"], row["tuned"], row["edge"]) == ("done", 3, (1e-3,), False)


@pytest.mark.parametrize(("best", "edge"), [(1e-4, True), (1e-3, False), (1e-2, True)])
def test_choice_at_the_edge_of_its_grid_is_told(best, edge):
    assert chosen(grid({s: [0.9 if s == best else 0.5] for s in (1e-4, 1e-3, 1e-2)}))["edge"] is edge


@pytest.mark.parametrize(("metric", "best"), [("nll", 1e-3), ("accuracy", 1e-2), ("mse", 1e-2)])
def test_by_any_metric_and_the_least_where_less_is_better(metric, best):
    values = {1e-3: {"nll": 0.1, "accuracy": 0.8, "mse": 0.4}, 1e-2: {"nll": 0.2, "accuracy": 0.9, "mse": 0.3}}
    runs = frame(*(run("l2", s, **{f"validation_{name}": v for name, v in own.items()}) for s, own in values.items()))
    (row,) = statistics.choose(runs, metric).to_dict("records")
    assert (row["strength"], row["validation_mean"]) == (best, values[best][metric])
    assert statistics.best(statistics.candidates(runs, metric), metric) == {("digits", "l2"): f"l2:{best:g}"}
    assert set(statistics.select(runs, metric)["strength"]) == {best}
    assert set(statistics.results(runs, metric)["strength"]) == {best}


def test_tie_goes_to_the_smaller_strength():
    # The two sums of three differ in the last bit: 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1.
    row = chosen(grid({1e-2: [0.1, 0.2, 0.3], 1e-3: [0.3, 0.2, 0.1], 1e-1: [0.2, 0.2, 0.2]}))
    assert row["strength"] == 1e-3


@pytest.mark.parametrize("scores", [[0.99, 0.99, None], [0.99, 0.99]], ids=["diverged", "missing"])
def test_one_failed_seed_disqualifies_a_strength(scores):
    assert chosen(grid({1e-4: [0.8, 0.8, 0.8], 1e-3: scores}))["strength"] == 1e-4


def test_method_without_a_complete_strength_says_why():
    none = [run("none", None, seed) for seed in range(2)]
    lost = frame(*none, run("l2", 1e-4, 0), run("l2", 1e-4, 1, None), run("ard", 1e-4, 0))
    expected = {"none": "done", "l2": "diverged", "ard": "incomplete"}
    assert statistics.choose(lost).set_index("method")["status"].to_dict() == expected
    assert status(lost) == expected
    assert set(statistics.select(lost)["method"]) == {"none"}
    assert statistics.results(lost)["score_mean"].notna().tolist() == [True, False, False]


def test_nan_score_of_a_finished_run_disqualifies_too():
    assert chosen(grid({1e-4: [0.5, 0.5], 1e-3: [0.99, math.nan]}))["strength"] == 1e-4
    assert chosen(grid({1e-4: [0.5, 0.5], 1e-3: [0.99, math.inf]}))["strength"] == 1e-4


def test_stray_seed_of_one_method_leaves_the_others_complete():
    runs = frame(*(run(p, s, i) for p, s in (("none", None), ("l1", 1e-4), ("l2", 1e-4)) for i in range(2)))
    runs = pd.concat([runs, frame(run("l2", 1e-4, 9, test=0.0))], ignore_index=True)
    assert set(statistics.choose(runs)["status"]) == {"done"}
    assert set(statistics.select(runs)["seed"]) == {0, 1}


def test_what_was_refused_says_why_and_holds_nothing_up():
    refused = {"status": "refused", "message": "no meaning here", "validation": None}
    runs = frame(run("none", None, 0), run("none", None, 1), run("l2", 1e-4, 0), run("l2", 1e-4, 1))
    runs = pd.concat([runs, frame(run("entropic", None, 7, **refused), run("ard", None, 7, **refused))])
    rows = statistics.results(runs.reset_index(drop=True)).set_index("method")
    assert rows["status"].to_dict() == {"none": "done", "l2": "done", "entropic": "refused", "ard": "refused"}
    assert rows["reason"].dropna().to_dict() == dict.fromkeys(["entropic", "ard"], "no meaning here")
    assert rows.loc["none", "seeds"] == 2
    assert statistics.results(frame(run("ard", None, **refused)))["status"].tolist() == ["refused"]


# --- Two stages ---


def staged(tune, test, none):
    """{strength: [validation by tuning seed]}, {strength: [test by seed]} of l2; [test by seed] of none."""
    rows = [run("l2", s, 100 + i, v, 0.999, stage="tune") for s, own in tune.items() for i, v in enumerate(own)]
    rows += [run("l2", s, i, 0.99, v, stage="test") for s, own in test.items() for i, v in enumerate(own)]
    return frame(*rows, *(run("none", None, i, 0.5, v, stage="test") for i, v in enumerate(none)))


def test_runs_that_tune_choose_and_those_that_test_are_reported():
    runs = staged({1e-3: [0.8, 0.9], 1e-2: [0.7, 0.8]}, {1e-3: [0.6, 0.7], 1e-2: [0.9, 0.9]}, [0.4, 0.5])
    rows = statistics.results(runs).set_index("method")
    assert rows.loc["l2", ["strength", "score_mean", "seeds"]].tolist() == [1e-3, pytest.approx(0.65), 2]
    assert rows.loc["l2", "validation_mean"] == pytest.approx(0.15)  # of the tuning seeds
    assert rows.loc["l2", "validation_nll_mean"] == pytest.approx(0.01)  # of those that are reported
    assert rows.loc["none", ["strengths", "score_mean", "validation_mean"]].tolist() == [1, 0.45, 0.5]
    assert set(statistics.select(runs)["stage"]) == {"test"}


def test_test_metrics_of_a_run_that_tunes_never_count():
    runs = staged({1e-3: [0.8], 1e-2: [0.7]}, {1e-3: [0.6, 0.7]}, [0.4, 0.5])
    tune = runs["stage"] == "tune"
    other = runs.assign(test_accuracy=runs["test_accuracy"].mask(tune, 0.0), test_nll=runs["test_nll"].mask(tune))
    pd.testing.assert_frame_equal(statistics.results(runs), statistics.results(other))
    assert status(runs[tune]) == {"l2": "incomplete"}
    assert statistics.select(runs[tune]).empty
    assert statistics.results(runs[tune])["score_mean"].isna().all()


def test_validation_of_a_run_that_tests_chooses_nothing_where_others_tune():
    runs = staged({1e-3: [0.8], 1e-2: [0.7]}, {1e-3: [0.6], 1e-2: [0.6]}, [0.4])
    test = runs["stage"] == "test"
    other = runs.assign(validation_nll=runs["validation_nll"].mask(test & (runs["strength"] == 1e-2), -9.0))
    assert statistics.best(statistics.candidates(other)) == {("digits", "l2"): "l2:0.001", ("digits", "none"): "none"}
    assert set(statistics.select(other)["candidate"]) == {"none", "l2:0.001"}


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({1e-3: [0.6, 0.7]}, "done"),
        ({1e-3: [0.6]}, "incomplete"),
        ({1e-2: [0.6, 0.7]}, "incomplete"),  # of a strength that was not chosen
        ({}, "incomplete"),
    ],
)
def test_a_method_is_reported_only_with_every_run_on_test(test, expected):
    runs = staged({1e-3: [0.8], 1e-2: [0.7]}, test, [0.4, 0.5])
    assert status(runs) == {"none": "done", "l2": expected}
    row = statistics.results(runs).set_index("method").loc["l2"]
    assert math.isnan(row["score_mean"]) is (expected != "done")
    assert row["strength"] == 1e-3


def test_a_run_on_test_that_diverged_is_not_left_out_of_the_mean():
    runs = staged({1e-3: [0.8]}, {1e-3: [0.6, 0.7]}, [0.4, 0.5])
    gone = (runs["method"] == "l2") & (runs["stage"] == "test") & (runs["seed"] == 1)
    lost = runs.assign(status=runs["status"].mask(gone, "diverged"), test_accuracy=runs["test_accuracy"].mask(gone))
    assert status(lost) == {"none": "done", "l2": "diverged"}
    assert set(statistics.select(lost)["method"]) == {"none"}


def test_a_method_with_nothing_to_tune_needs_the_seeds_that_the_others_were_tested_with():
    runs = staged({1e-3: [0.8]}, {1e-3: [0.6, 0.7, 0.8]}, [0.4, 0.5])
    assert status(runs) == {"none": "incomplete", "l2": "done"}


def test_runs_without_a_stage_count_where_the_method_has_no_others():
    runs = staged({1e-3: [0.8]}, {1e-3: [0.6, 0.7]}, [0.4, 0.5])
    alone = frame(run("l2", 1e-1, 0, 1.0, 1.0), *(run("l1", 1e-2, seed, 0.8, 0.75) for seed in (0, 1)))
    rows = statistics.results(pd.concat([runs, alone], ignore_index=True)).set_index("method")
    assert rows["score_mean"].to_dict() == pytest.approx({"none": 0.45, "l1": 0.75, "l2": 0.65})
    assert rows.loc["l2", ["strengths", "strength"]].tolist() == [1, 1e-3]


# --- Folds ---


def folded(methods=("none", "l2"), seeds=2, folds=3, strengths=(1e-3, 1e-2), scores=None):
    """Both stages of each method in each fold; scores: (method, strength, seed, fold, stage) → its score."""
    rows = []
    for method, seed, fold in itertools.product(methods, range(seeds), range(folds)):
        where = {"partition": seed, "fold": fold, "folds": folds}
        for strength in (None,) if method == "none" else strengths:
            tune, test = (scores(method, strength, seed, fold, stage) for stage in ("tune", "test"))
            if method != "none":
                rows.append(run(method, strength, 100 + seed, tune, 0.999, stage="tune", **where))
            rows.append(run(method, strength, seed, test, test, stage="test", **where))
    return frame(*rows)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_each_cell_chooses_by_its_own_runs_against_brute_force(data):
    """The test runs of every strength are there: those of a strength that its cell did not choose must not count."""
    values = st.sampled_from([None, 0.1, 0.2, 0.3, 0.4])
    known = {}

    def scores(*key):
        return known.setdefault(key, data.draw(values if key[-1] == "tune" else values.filter(bool)))

    runs = folded(("none", "l2", "l1"), scores=scores)
    choice, means = {}, {}
    for method, seed, fold in itertools.product(("l1", "l2"), range(2), range(3)):
        tuned = {s: known[method, s, seed, fold, "tune"] for s in (1e-3, 1e-2)}
        done = [(-value, s) for s, value in tuned.items() if value is not None]
        choice[method, seed, fold] = min(done)[1] if done else None
    for method in ("l1", "l2"):
        own = [
            (s, [known[method, s, p, f, "tune"] for p, f in itertools.product(range(2), range(3))])
            for s in (1e-3, 1e-2)
        ]
        complete = [(-np.mean(values).round(9), s) for s, values in own if None not in values]
        cells = {(p, f): choice[method, p, f] for p, f in itertools.product(range(2), range(3))}
        if complete and None not in cells.values():
            seeds = [np.mean([known[method, cells[p, f], p, f, "test"] for f in range(3)]) for p in range(2)]
            means[method] = (np.mean(seeds), np.std(seeds, ddof=1), min(cells.values()), max(cells.values()))
            means[method] += (min(complete)[1],)
    table = statistics.choose(runs).query("method != 'none'")
    found = zip(table["method"], table["partition"], table["fold"], strict=True)
    strengths = [None if value != value else value for value in table["strength"]]
    assert dict(zip(found, strengths, strict=True)) == choice
    rows = statistics.results(runs).set_index("method")
    columns = ["score_mean", "score_sd", "strength_low", "strength_high", "strength"]
    for method in ("l1", "l2"):
        if method in means:
            assert rows.loc[method, columns].tolist() == pytest.approx(means[method])
            assert rows.loc[method, ["status", "seeds", "folds"]].tolist() == ["done", 2, 3]
        else:
            assert rows.loc[method, "status"] == "diverged"
            assert math.isnan(rows.loc[method, "score_mean"])


def test_seeds_with_a_fold_that_nobody_finished_are_left_out():
    """As where a comparison was stopped: the last seed has 2 of 3 folds."""
    runs = folded(scores=lambda *key: 0.5 + 0.1 * key[2])
    runs = runs[~((runs["partition"] == 1) & (runs["fold"] == 2))]
    assert status(runs) == {"none": "done", "l2": "done"}
    assert set(statistics.select(runs)["seed"]) == {0}
    assert statistics.results(runs)["score_mean"].tolist() == pytest.approx([0.5, 0.5])
    only = runs[(runs["partition"] == 1) & (runs["fold"] != 2)]
    assert status(only) == {"none": "incomplete", "l2": "incomplete"}


def test_a_fold_that_only_one_method_lacks_makes_it_incomplete():
    runs = folded(("none", "l2", "l1"), scores=lambda *key: 0.5)
    gone = (runs["method"] == "l1") & (runs["partition"] == 1) & (runs["fold"] == 2) & (runs["stage"] == "test")
    assert status(runs[~gone]) == {"none": "done", "l2": "done", "l1": "incomplete"}


def test_tuning_that_failed_in_one_cell_leaves_the_others_their_choice():
    runs = folded(scores=lambda *key: 0.5)
    gone = runs["stage"].eq("tune") & (runs["partition"] == 1) & (runs["fold"] == 2) & (runs["strength"] == 1e-3)
    table = statistics.choose(runs[~gone]).query("method == 'l2'")
    assert table["strength"].tolist() == [1e-3] * 5 + [1e-2]
    rows = statistics.results(runs[~gone]).set_index("method")
    assert rows.loc["l2", ["strength", "strength_low", "strength_high"]].tolist() == [1e-2, 1e-3, 1e-2]


# --- What may not matter ---


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_test_scores_never_change_the_choice(data):
    runs = grid({s: [0.5 + 0.01 * i, 0.6, 0.7] for i, s in enumerate((1e-4, 1e-3, 1e-2))})
    values = st.one_of(st.none(), st.floats(-1e6, 1e6))
    other = runs.assign(test_nll=data.draw(st.lists(values, min_size=9, max_size=9)))
    pd.testing.assert_frame_equal(statistics.choose(runs), statistics.choose(other))
    columns = ["method", "strength", "seed"]
    pd.testing.assert_frame_equal(statistics.select(runs)[columns], statistics.select(other)[columns])
    without = runs.drop(columns=["test_accuracy", "test_nll"])
    pd.testing.assert_frame_equal(statistics.choose(runs), statistics.choose(without))


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_choice_does_not_depend_on_the_order_of_the_runs(data):
    scores = data.draw(st.lists(st.sampled_from([0.1, 0.2, 0.3, None]), min_size=18, max_size=18))
    places = itertools.product(("l1", "l2"), (1e-4, 1e-3, 1e-2), range(3))
    stage = data.draw(st.sampled_from([None, "tune"]))
    rows = [run(p, s, i, v, stage=stage) for (p, s, i), v in zip(places, scores, strict=True)]
    shuffled = data.draw(st.permutations(rows))
    pd.testing.assert_frame_equal(statistics.choose(frame(*rows)), statistics.choose(frame(*shuffled)))
    pd.testing.assert_frame_equal(statistics.select(frame(*rows)), statistics.select(frame(*shuffled)))


def test_thousands_of_runs_take_seconds():
    methods = ["none", "l1", "l2", "ard", "entropic", "smoothness"]
    values = np.random.default_rng(0).uniform(size=20_000).tolist()
    runs = folded(methods, seeds=8, folds=5, strengths=np.geomspace(1e-4, 1, 13), scores=lambda *key: values.pop())
    runs = pd.concat([runs.assign(task=name) for name in ("a", "b")], ignore_index=True)
    assert len(runs) > 5_000
    start = time.perf_counter()
    assert len(statistics.results(runs)) == 12
    assert time.perf_counter() - start < 5
