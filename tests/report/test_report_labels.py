"""What distinguishes runs is in their labels, and nothing else is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesreg import report
from bayesreg.labels import labels


def tasks(make, root, *options):
    for own in options:
        make(**own)
    return report.load(root)["task"].tolist()


def test_only_what_differs_is_said():
    assert labels(["a", "b"], [{"net": "mlp", "epochs": 3}, {"net": "lstm", "epochs": 4}]) == ["a", "b"]
    assert labels(["a", "a"], [{"net": "mlp", "epochs": 3}, {"net": "mlp", "epochs": 4}]) == [
        "a · epochs 3",
        "a · epochs 4",
    ]
    assert labels(["a", "a"], [{"train_size": None}, {"train_size": 200}]) == ["a", "a · train_size 200"]
    assert labels(["a"] * 3, [{"net": "r", "guide": "d"}, {"net": "r", "guide": "n"}, {"net": "m", "guide": "d"}]) == [
        "a · r · d",
        "a · r · n",
        "a · m · d",
    ]
    assert labels(["ard", "ard"], [{"ard.a": 1.0}, {"ard.a": 2.0}]) == ["ard · a 1", "ard · a 2"]


values = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(0, 2) | st.sampled_from(["1", "True", "x · y", ""])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "a · x", "b"]), st.dictionaries(st.sampled_from("xyz"), values))))
def test_labels_are_equal_where_what_they_stand_for_is_and_nowhere_else(runs):
    made = labels([base for base, _ in runs], [own for _, own in runs])
    stands_for = [
        (base, json.dumps({key: v for key, v in own.items() if v is not None}, sort_keys=True)) for base, own in runs
    ]
    for i, one in enumerate(stands_for):
        for j, other in enumerate(stands_for):
            assert (made[i] == made[j]) == (one == other)


@pytest.mark.parametrize(
    ("option", "values"), [("words", (100, 200)), ("bfloat16", (False, True)), ("new", (1.5, 2.0))]
)
def test_runs_that_differ_in_any_option_of_the_task_are_other_tasks(make, root, option, values):
    named = tasks(make, root, *({option: value} for value in values), {"dataset": "imdb"})
    assert sorted(named) == [
        f"digits · {option} {value:g}" if not isinstance(value, bool) else f"digits · {option} {value}"
        for value in values
    ] + ["imdb"]


def test_candidates_that_differ_in_more_than_their_text_are_told_apart(make, root, tmp_path):
    for seed in (0, 1):
        for a, score in ((1.0, 0.7), (2.0, 0.9)):
            make("ard", 0.1, seed, score, score, own={"given": {"a": a, "b": 1.0}})
        make("none", None, seed, 0.8, 0.8)
    runs = report.load(root)
    assert len(runs) == 6
    assert sorted(set(runs["candidate"])) == ["ard:0.1 · given.a 1", "ard:0.1 · given.a 2", "none"]
    page = report.write(root, tmp_path / "out").read_text()
    assert "<td>2 × 2</td>" in page  # candidates × seeds
    assert "0.900±0.000*" in report.terminal(runs)


def folds(make, number, seeds=(0,), **more):
    for seed in seeds:
        for fold in range(number):
            make(seed=seed, repeat={"stage": "test", "partition": seed, "fold": fold, "folds": number}, **more)


def test_folds_of_one_seed_are_no_repetition(make, root):
    folds(make, 3, test=0.8)
    runs = report.load(root)
    assert sorted(runs[["seed", "partition", "fold", "folds"]].to_numpy().tolist()) == [[0, 0, f, 3] for f in range(3)]
    assert report.terminal(runs).split("\n")[2].split() == ["digits", "0.800*"]
    assert "over 1 seed × 3 folds" in report.terminal(runs)


def test_data_that_are_divided_otherwise_are_another_task(make, root):
    folds(make, 2, test=0.7)
    folds(make, 3, test=0.8)
    make(test=0.9)
    rows = [line.split()[-1] for line in report.terminal(report.load(root)).splitlines()[2:5]]
    assert rows == ["0.900*", "0.700*", "0.800*"]
    assert set(report.load(root)["task"]) == {"digits", "digits · folds 2", "digits · folds 3"}
