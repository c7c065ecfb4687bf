"""What a comparison says: every sentence, from tables with a known answer."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from bayesreg.conclusion import conclude

SEEDS, ROWS, TRAIN = 4, 60, 50
rng = np.random.default_rng(0)
EASY = 1 + 0.02 * rng.normal(size=(SEEDS, ROWS))  # nats by seed and test row
NOISE = 0.02 * rng.normal(size=(SEEDS, ROWS))
WIDE = 2 * rng.normal(size=(SEEDS, ROWS))


@pytest.fixture
def said(tmp_path):
    """conclude(...) of methods given as {name: {nll [seeds, rows], validation, and what differs from a usual row}}."""

    def make(methods, constant=2.0, metric="nll", select="nll", seeds=None, extra=()):
        results, selected = [], []
        for name, own in methods.items():
            table = own.get("nll", EASY)
            row = {"task": "mine", "method": name, "status": "done", "reason": None, "metric": metric, "seeds": SEEDS}
            row |= {"tuned": (), "strength": math.nan, "strength_low": math.nan, "strength_high": math.nan}
            row |= {"candidate": name, "strengths": 1, "edge": False, "nll_mean": table.mean(), f"{metric}_sd": 0.0}
            row |= {f"validation_{select}_mean": own.get("validation", 1.0)}
            row |= {key: value for key, value in own.items() if key in row}
            results.append(row)
            for seed, scores in enumerate(table if row["status"] == "done" else []):
                path = tmp_path / f"{name}{seed}".replace("@", "=")
                path.mkdir(exist_ok=True)
                columns = {"nll": scores, "row": np.arange(len(scores))}
                columns |= {column: own[column][seed] for column in ("accuracy", "ece") if column in own}
                columns |= {} if constant is None else {"constant": np.full(len(scores), constant)}
                np.savez(path / "scores.npz", **columns)
                selected.append({"method": name, "seed": seed, "path": str(path), "status": "done", "size": TRAIN})
        selected.extend(extra)
        settings = {"methods": list(methods), "seeds": {"mine": seeds or SEEDS}, "folds": {"mine": 1}, "select": select}
        settings["tasks"] = {"mine": {"metric": metric}}
        frame = pd.DataFrame(selected, columns=["method", "seed", "path", "status", "message", "size"])
        return conclude("mine", pd.DataFrame(results), frame, settings)

    return make


TUNED = {"tuned": (0.1,), "strength": 0.1, "strength_low": 0.1, "strength_high": 0.1, "strengths": 4}


def test_what_is_better_is_used_at_its_strength(said):
    found = said({"none": {}, "l2": {"nll": EASY - 0.5 + NOISE, "validation": 0.5} | TUNED})
    assert found.method == "l2"
    assert found.sentence.startswith("Use l2 at strength 0.1: its test NLL differs from that of none by −0.")
    assert found.sentence.endswith("] nats.")
    row = found.table.set_index("method").loc["l2"]
    assert row["nll_verdict"] == "better"
    assert row["nll_low"] < row["nll_difference"] < row["nll_high"] < 0  # in the unit of the metric: method − none
    assert row["nll_difference"] == pytest.approx((NOISE - 0.5).mean())
    assert (row["rows"], row["recommended"]) == (ROWS, True)
    assert found.candidate(None) == ("l2", (0.1,))
    assert found.candidate("none") == ("none", ())


def test_what_cannot_be_told_apart_from_it_is_named(said):
    near = EASY - 0.5 + WIDE - WIDE.mean()
    found = said(
        {"none": {}, "l1": {"nll": near, "validation": 0.6}, "l2": {"nll": EASY - 0.5 + NOISE, "validation": 0.5}}
    )
    assert found.sentence.endswith("nats; l1 cannot be told apart from it.")


def test_several_strengths_and_those_of_folds(said):
    two = {"tuned": (0.1, 0.3), "strength": 0.1, "strength_low": 0.01, "strength_high": 1.0}
    found = said({"none": {}, "l2+dropout": {"nll": EASY - 0.5 + NOISE, "validation": 0.5} | two})
    assert found.sentence.startswith("Use l2+dropout at strengths 0.1 and 0.3 (0.01 to 1 by fold): ")
    assert found.shown.set_index("method").loc["l2+dropout", "strength"] == "0.1, 0.3"


def test_what_seeds_and_rows_cannot_tell_is_not_used(said):
    found = said({"none": {}, "l2": {"nll": EASY + WIDE - WIDE.mean() - 0.05, "validation": 0.5}})
    assert found.method == "none"
    assert found.sentence.startswith("Keep none: l2 is the best on validation, but its test NLL differs from that of")
    least = found.table.set_index("method").loc["l2", "nll_detectable"]
    told = f"cannot tell from 0: with 80 % probability they find a difference of {least:.3f} or more, and one of this"
    assert f"nats, which 4 seeds and 60 test rows {told} size takes 325 seeds." in found.sentence


def test_what_may_be_too_small_to_matter_is_not_used(said):
    found = said({"none": {}, "l2": {"nll": EASY - 0.012 + NOISE, "validation": 0.5}})
    row = found.table.set_index("method").loc["l2"]
    assert row["nll_low"] < -0.01 < row["nll_high"] < 0
    assert (found.method, row["nll_verdict"]) == ("none", "undecided")
    assert "4 seeds and 60 test rows cannot tell from a difference below 0.01, too small to matter: " in found.sentence
    assert re.search(r"find a difference of 0\.016 or more, and one of this size takes 1\d seeds\.$", found.sentence)


def test_where_examples_decide_no_number_of_seeds_does(said):
    """The same rows are ahead by the same amounts whatever the seed."""
    fixed = EASY + np.tile(WIDE[0] - WIDE[0].mean(), (SEEDS, 1)) - 0.2
    found = said({"none": {}, "l2": {"nll": fixed, "validation": 0.5}})
    assert found.sentence.endswith("or more, and one of this size takes more rows, whatever the seeds.")


SURE = {"accuracy": np.full((SEEDS, ROWS), 0.5), "ece": np.full((SEEDS, ROWS), 0.02)}


def test_what_wins_on_the_metric_and_ruins_the_probabilities_is_said_in_the_same_sentence(said):
    ruined = {"nll": EASY + 2 + NOISE, "accuracy": SURE["accuracy"] + 0.1 + NOISE, "ece": SURE["ece"] + 0.7 + NOISE}
    found = said({"none": SURE, "entropic": ruined | {"validation": 0.9}}, metric="accuracy", select="accuracy")
    assert found.sentence.startswith("Use none: no method is ahead of it on validation; entropic is ahead of none in")
    numbers = r"nll 2\.\d+ against 1\.\d+ and ece 0\.7\d+ against 0\.020\.$"
    assert re.search(rf"accuracy, by \+0\.\d+ \[.*\], but its probabilities are worse: {numbers}", found.sentence)
    row = found.table.set_index("method").loc["entropic"]
    assert (row["accuracy_verdict"], row["nll_verdict"], row["ece_verdict"]) == ("better", "worse", "worse")


def test_what_is_best_on_the_metric_is_warned_of_where_it_is_undecided_too(said):
    close = {"nll": EASY + 2 + NOISE, "accuracy": SURE["accuracy"] + 1e-4, "ece": SURE["ece"], "validation": 0.9}
    found = said({"none": SURE, "entropic": close}, metric="accuracy", select="accuracy")
    numbers = r"nll 2\.\d+ against 1\.\d+\.$"
    assert re.search(
        rf"; entropic has the best accuracy, 0\.500, but its probabilities are worse: {numbers}", found.sentence
    )
    assert "best accuracy" not in said({"none": SURE, "l1": close | {"nll": EASY}}, metric="accuracy").sentence


def test_what_is_recommended_is_warned_of_too(said):
    ahead = {
        "nll": EASY - 0.5 + NOISE,
        "accuracy": SURE["accuracy"],
        "ece": SURE["ece"] + 0.1 + NOISE,
        "validation": 0.5,
    }
    found = said({"none": SURE, "l2": ahead}, metric="accuracy")
    assert found.sentence.startswith("Use l2: its test NLL")
    assert re.search(
        r"; but its probabilities are less calibrated than those of none: ece 0.1\d+ against 0.020\.$", found.sentence
    )
    assert "probabilities" not in said({"none": SURE, "l1": ahead | SURE}, metric="accuracy").sentence


def test_the_differences_to_what_is_recommended_stand_beside_those_to_none(said):
    best, close = EASY - 0.5 + NOISE, EASY - 0.45 + NOISE[::-1]
    found = said({"none": {}, "l1": {"nll": close, "validation": 0.6}, "l2": {"nll": best, "validation": 0.5}})
    rows = found.table.set_index("method")
    assert rows.loc["none", "nll_to_recommended_difference"] == -rows.loc["l2", "nll_difference"] > 0
    assert rows["nll_to_recommended_verdict"].tolist() == ["worse", "worse", ""]
    assert rows.loc["l1", "nll_to_recommended_difference"] == pytest.approx((close - best).mean())
    assert math.isnan(rows.loc["l2", "nll_to_recommended_difference"])


def test_the_differences_to_any_method_are_those_of_the_table_where_it_has_them(said):
    best, close = EASY - 0.5 + NOISE, EASY - 0.45 + NOISE[::-1]
    found = said({"none": {}, "l1": {"nll": close, "validation": 0.6}, "l2": {"nll": best, "validation": 0.5}})
    table, parts = found.table.set_index("method"), ["difference", "low", "high", "p", "verdict"]
    for other, prefix in {"none": "nll", "l2": "nll_to_recommended"}.items():
        rows = found.differences(other).set_index("method")
        assert set(rows.index) == {"none", "l1", "l2"} - {other}
        for name, row in rows.iterrows():
            assert row[parts].tolist() == table.loc[name, [f"{prefix}_{part}" for part in parts]].tolist()
    to_l1 = found.differences("l1").set_index("method").loc["l2"]
    assert to_l1["difference"] == pytest.approx((best - close).mean())
    assert to_l1["low"] < to_l1["difference"] < to_l1["high"] < 0
    with pytest.raises(ValueError, match="'ard' has no result here; those that have: none, l1, l2"):
        found.differences("ard")


def test_p_is_adjusted_for_all_methods(said):
    """Below 0.05 exactly where the verdict is better or worse."""
    close = {f"l{n}": {"nll": EASY - 0.15 * n + 0.3 * WIDE[::-1], "validation": 0.6} for n in range(4)}
    rows = said({"none": {}} | close).table.set_index("method").drop("none")
    assert rows["nll_p"].lt(0.05).tolist() == rows["nll_verdict"].isin(["better", "worse"]).tolist()
    assert set(rows["nll_verdict"]) == {"better", "undecided"}


def test_none_is_not_tied_with_what_is_better_than_it(said):
    """Beside many others the difference from none is held to a stricter level than against none alone."""
    close = {f"l{n}": {"nll": EASY - 0.5 + 0.45 * WIDE, "validation": 0.6} for n in range(3, 40)}
    found = said({"none": {}, "l2": {"nll": EASY - 0.5 + 0.4 * WIDE, "validation": 0.5} | TUNED} | close)
    assert "none" not in found.sentence.partition("; ")[2]


def test_one_method_is_no_comparison(said):
    found = said({"none": {}})
    assert (found.method, found.sentence) == ("none", "none alone was compared: there is nothing to choose from.")


def test_one_seed_decides_nothing_and_says_why(said):
    found = said({"none": {"nll": EASY[:1]}, "l2": {"nll": EASY[:1] - 0.5, "validation": 0.5}}, seeds=1)
    assert found.method == "none"
    assert "which 1 seed and 60 test rows cannot tell from 0 (one seed does not say how much" in found.sentence
    assert found.table["nll_verdict"].tolist() == ["", "undecided"]


def test_a_difference_too_small_to_matter_and_a_worse_one(said, tmp_path):
    small = said({"none": {}, "l2": {"nll": EASY - 0.001 + NOISE / 10, "validation": 0.9}})
    assert small.method == "none"
    assert small.sentence.endswith("nats, too little to matter.")


def test_the_best_on_validation_may_be_worse_on_test(said):
    found = said({"none": {}, "l2": {"nll": EASY + 0.5 + NOISE, "validation": 0.5}})
    assert found.method == "none"
    assert found.sentence.endswith("nats, which is worse.")


def test_none_itself_is_used_where_nothing_is_ahead_of_it(said):
    found = said({"none": {}, "l2": {"nll": EASY + 0.5 + NOISE, "validation": 1.5}})
    assert (found.method, found.sentence) == ("none", "Use none: no method is ahead of it on validation.")
    assert found.shown[""].tolist() == ["← use", ""]


def test_of_equals_none_is_first(said):
    found = said({"l1": {}, "none": {}})
    assert found.sentence == "Use none: no method is ahead of it on validation; l1 cannot be told apart from it."


@pytest.mark.parametrize("nll", [EASY, EASY + NOISE + 0.3], ids=["as good", "worse"])
def test_nothing_is_recommended_that_is_no_better_than_a_constant(said, nll):
    found = said({"none": {"nll": EASY + 1}, "l2": {"nll": nll, "validation": 0.5}}, constant=1.0)
    assert found.method is None
    assert found.sentence.startswith("Nothing to recommend: l2 is the best on validation, and its test NLL of 1.")
    assert "not clearly better than that of a constant prediction, 1.000" in found.sentence
    assert not found.table["recommended"].any()
    assert found.candidate(None)[0] == "none"  # what `best` then shows


def test_where_none_learns_nothing_it_is_not_kept(said):
    worse = {"nll": EASY + 5 + 3 * (WIDE - WIDE.mean())}
    found = said({"none": worse, "l2": {"nll": EASY + 4.8 + NOISE, "validation": 0.5}}, constant=6.1)
    assert found.method is None
    assert re.search(r"cannot tell from 0: .*; and of none, its test NLL of \S+ is not clearly better", found.sentence)


@pytest.mark.parametrize(("ahead", "used"), [(0.05, None), (0.08, "l2")])
def test_a_constant_is_beaten_by_more_than_its_own_error(said, ahead, used):
    """−log(0.05)/50 = 0.06 nats: the best constant may be that much ahead of the one that 50 rows give."""
    found = said({"none": {"nll": EASY + 1}, "l2": {"nll": EASY - ahead, "validation": 0.5}}, constant=1.0)
    assert found.method == used


def test_one_seed_worse_than_a_constant_is_no_recommendation(said):
    found = said({"none": {"nll": EASY[:1]}}, constant=0.5, seeds=1)
    assert found.method is None


def test_where_a_constant_is_not_known_the_methods_alone_are_judged(said):
    found = said({"none": {}, "l2": {"nll": EASY - 0.5 + NOISE, "validation": 0.5}}, constant=None)
    assert found.method == "l2"


def test_without_none_the_best_is_used_and_the_sentence_says_what_is_not_known(said):
    found = said({"l1": {"nll": EASY + 0.5 + NOISE}, "l2": {"validation": 0.5}})
    assert (found.method, found.sentence) == ("l2", "Use l2, the best on validation; none was not compared.")


def test_none_that_diverged_is_not_said_to_be_left_out(said):
    found = said({"none": {"status": "diverged", "reason": "NaN"}, "l2": {"validation": 0.5}})
    assert found.sentence == "Use l2, the best on validation; none has no result to compare with."
    with pytest.raises(ValueError, match="'none' has no result here; those that have: l2"):
        found.candidate("none")


def test_selection_by_another_metric(said):
    better = {"nll": EASY - 0.5 + NOISE, "validation": 0.9}
    found = said({"none": {"validation": 0.8}, "l2": better}, select="accuracy")
    assert found.method == "l2"  # more is better


def test_nothing_done(said):
    found = said({"none": {"status": "diverged"}, "l2": {"status": "refused", "reason": "no meaning here"}})
    assert (found.method, found.sentence) == (
        None,
        "Nothing to recommend: no method finished all the runs that it needs.",
    )
    assert found.shown["nll"].tolist() == ["diverged", "refused"]
    with pytest.raises(ValueError, match="no result here; nor has another"):
        found.candidate(None)


def test_a_method_that_diverged_in_a_test_run_is_neither_compared_nor_used(said):
    lost = {"method": "l2", "seed": 3, "path": "nowhere", "status": "diverged", "message": "the loss became NaN"}
    found = said({"none": {}, "l2": {"nll": EASY[:3] - 0.5, "validation": 0.5}}, extra=[lost])
    row = found.table.set_index("method").loc["l2"]
    assert (row["status"], row["reason"]) == ("diverged", "the loss became NaN")
    assert math.isnan(row["nll"])
    assert row["nll_verdict"] == ""
    assert found.method == "none"
    assert found.table.set_index("method").loc["none", "rows"] == ROWS


def test_a_method_with_missing_runs_leaves_the_others_their_seeds(said):
    found = said({"none": {}, "l1": {"nll": EASY - 0.5 + NOISE, "validation": 0.4}, "l2": {"nll": EASY[:2]}})
    rows = found.table.set_index("method")
    assert rows.loc["l2", "reason"] == "a run that it needs is not finished"
    assert rows["status"].tolist() == ["done", "done", "incomplete"]
    assert "differs" in found.sentence
    assert found.method == "l1"


def test_a_metric_without_scores_by_example_has_no_verdict(said):
    found = said({"none": {}, "l2": {"nll": EASY - 0.5 + NOISE, "validation": 0.5}}, metric="macro_f1")
    assert found.table["macro_f1_verdict"].tolist() == ["", ""]
    assert found.method == "l2"


def test_methods_stand_in_one_order(said):
    found = said({"dropout": {}, "l2": {}, "none": {}})
    assert found.table["method"].tolist() == ["none", "l2", "dropout"]
