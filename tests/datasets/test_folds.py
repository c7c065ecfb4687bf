"""Folds: every row tested once, stratified, groups together, and everything fitted inside the fold."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_digits
from sklearn.preprocessing import StandardScaler

import bayesreg as br
from bayesreg.datasets import imbalanced, load, reconstruct
from bayesreg.datasets.partition import fold
from bayesreg.datasets.source import Rows, Source

RAW = {"digits": load_digits, "diabetes": lambda **options: load_diabetes(scaled=False, **options)}


def table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": rng.normal(5, 2, n).round(2),
            "colour": rng.choice(["red", "green", "blue"], n),
            "owner": np.arange(n) // 4,
            "day": pd.date_range("2020-01-01", periods=n).astype(str),
            "kind": np.arange(n) % 3,
            "price": rng.normal(100, 9, n),
        }
    )


def folds_of(data: br.Data, of: int = 5, seed: int = 0) -> list[br.Data]:
    return [data.fold(number, of, seed) for number in range(of)]


def rows_of(data: br.Data) -> Rows:
    assert data.rows is not None
    return data.rows


@given(
    size=st.integers(10, 80),
    of=st.integers(3, 5),
    classes=st.sampled_from([None, 2, 3]),
    groups=st.sampled_from([None, 5, 9]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_every_row_is_tested_and_validated_once(
    size: int, of: int, classes: int | None, groups: int | None, seed: int
) -> None:
    labels = np.arange(size) % (classes or 1) if classes and size >= 5 * classes else None
    group = None if groups is None else pd.Series(np.arange(size) % groups, name="owner")
    made = [fold(size, number, of, classes=labels, group=group, seed=seed) for number in range(of)]
    for part in ("test", "validation"):
        assert sorted(np.concatenate([getattr(rows, part) for rows in made])) == list(range(size))
    for rows in made:
        assert sorted(np.concatenate(rows)) == list(range(size))
        if group is not None:
            owners = [set(group[part]) for part in rows]
            assert sum(map(len, owners)) == groups
        else:
            assert all(size // of <= len(part) <= -(-size // of) for part in rows[1:])
        if labels is not None and group is None:
            counts = np.bincount(labels)
            for part in rows[1:]:
                assert np.abs(np.bincount(labels[part], minlength=len(counts)) - counts / of).max() < 1


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_registered_data_sets_are_refitted_on_the_train_of_the_fold(name: str) -> None:
    x, y = RAW[name](return_X_y=True)
    data = load(name)
    for number, part in enumerate(folds_of(data, seed=3)):
        train, _, test = rows = rows_of(part)
        assert all(map(np.array_equal, rows, fold(len(x), number, 5, classes=y if part.classes else None, seed=3)))
        scaler = StandardScaler().fit(x[train])
        np.testing.assert_allclose(part.test.x, scaler.transform(x[test]), rtol=1e-5, atol=1e-6)
        wanted = y[test] if part.classes else (y[test] - y[train].mean()) / y[train].std()
        np.testing.assert_allclose(part.test.y, wanted, rtol=1e-5, atol=1e-6)
    assert (data.foldable, data.default_folds) == (True, 5)


def test_a_table_is_encoded_anew_in_each_fold() -> None:
    raw = table().assign(colour=lambda t: t.colour.where(t.index != 7, "pink"))  # in one row only
    data = br.Data.from_table(raw, "price", group="owner")
    widths = set()
    for part in folds_of(data, 5):
        train, _, test = rows_of(part)
        assert part.test.y.tolist() == pytest.approx(raw.price[test].tolist())
        assert part.train.x[:, 0].mean() == pytest.approx(0, abs=1e-6)  # the scale of this train
        assert torch.equal(part.transform(raw)[test], part.test.x)
        seen = raw.colour[train].nunique()
        assert part.columns.inputs["colour"] == seen
        assert not set(raw.owner[train]) & set(raw.owner[test])
        widths.add(seen)
    assert widths == {3, 4}


def test_arrays_are_taken_as_given_or_scaled_in_the_fold() -> None:
    raw = table()
    x, y = raw[["size"]].to_numpy(), raw.kind.to_numpy()
    for part in folds_of(br.Data.split(x, y), 4):
        np.testing.assert_array_equal(part.test.x, x[rows_of(part).test].astype(np.float32))
        assert part.test.y.tolist() == y[rows_of(part).test].tolist()
    for part in folds_of(br.Data.split(x, y, scale=True), 4):
        mean, sd = x[rows_of(part).train].mean(), x[rows_of(part).train].std()
        np.testing.assert_allclose(part.test.x, (x[rows_of(part).test] - mean) / sd, rtol=1e-5, atol=1e-6)


def test_the_seed_draws_the_folds() -> None:
    data = br.Data.from_table(table(), "kind")
    one, again, other = (rows_of(data.fold(1, 5, seed)).test.tolist() for seed in (0, 0, 1))
    assert one == again != other
    assert data.fold(1).train.sha256() == data.fold(2).fold(1).train.sha256()  # of all rows, whatever was folded
    copy = pickle.loads(pickle.dumps(data))
    assert copy.fold(1).train.sha256() == data.fold(1).train.sha256()


def test_the_rows_of_the_one_split_are_known_too() -> None:
    raw = table()
    data = br.Data.from_table(raw, "kind")
    for part, rows in zip((data.train, data.validation, data.test), rows_of(data), strict=True):
        assert part.y.tolist() == raw.kind[rows].tolist()


def test_what_was_done_to_the_data_is_done_to_each_fold() -> None:
    raw = table()
    less = br.Data.from_table(raw, "kind").take_train(20)
    for data in (less, less.fold(2)):
        assert len(data.train) == len(rows_of(data).train) == 20
        assert data.train.y.tolist() == raw.kind[rows_of(data).train].tolist()
        assert len(data.test) == 12
    rare = imbalanced(br.Data.from_table(raw, "kind"), 4).fold(1)
    assert rare.train.y.bincount().tolist() == [12, 6, 3]
    images = br.Data.split(np.zeros((60, 1, 2, 2), np.uint8), raw.kind)
    assert reconstruct(images).fold(0).test.y.shape == (12, 1, 2, 2)
    assert reconstruct(images).fold(0).classes is None


def test_small_data_have_five_folds_and_others_one() -> None:
    few, many = (br.Data.split(np.zeros((n, 1)), np.arange(n) % 2) for n in (5_000, 5_001))
    assert (few.default_folds, many.default_folds) == (5, 1)
    assert many.foldable
    assert br.Data.from_table(table(), "price", time="day").default_folds == 1
    synthetic = load("synthetic")
    assert (synthetic.foldable, synthetic.default_folds) == (False, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"number": 5}, r"number=5: give a whole number, 0 to 4"),
        ({"number": -1}, "number=-1"),
        ({"number": True}, "number=True"),
        ({"number": 0, "of": 2}, r"of=2: give a whole number, 3 to 30: one fold each to test and validate"),
        ({"number": 0, "of": 31}, "of=31: give a whole number, 3 to 30"),
        ({"number": 0, "of": 5.0}, r"of=5\.0"),
        ({"number": 0, "seed": -1}, "seed=-1"),
        ({"number": 0, "of": 21}, "a class has 20 rows, fewer than 21 folds: use at most 20 folds"),
    ],
)
def test_refuses_what_is_no_fold(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        br.Data.from_table(table(), "kind").fold(**options)


def test_refuses_data_that_cannot_be_folded() -> None:
    raw = table()
    with pytest.raises(ValueError, match="time='day': most folds would be tested on the past"):
        br.Data.from_table(raw, "price", time="day").fold(0)
    with pytest.raises(ValueError, match="group='owner' has 15 groups: give at least 16"):
        br.Data.from_table(raw, "price", group="owner").fold(0, of=16)
    with pytest.raises(ValueError, match="synthetic has no folds, since its test part"):
        load("synthetic").fold(0)
    data = br.Data.from_table(raw, "price")
    by_hand = br.Data("mine", data.train, data.validation, data.test, None, "price", {})
    assert not by_hand.foldable
    with pytest.raises(ValueError, match="mine has no folds, since its split was given as it is"):
        by_hand.fold(0)


def test_refuses_a_class_that_the_train_of_a_fold_has_not() -> None:
    source = br.Data.split(np.zeros((60, 1)), np.repeat([0, 1], [48, 12]), group=np.repeat(np.arange(5), 12)).source
    assert isinstance(source, Source)
    with pytest.raises(ValueError, match=r"class 1 of 'y' has no row in train in this split"):
        [source.fold(number, 5, 0) for number in range(5)]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "flowers", "imdb"])
def test_a_published_test_split_stays(name: str, request: pytest.FixtureRequest) -> None:
    data = load(name, request.getfixturevalue(f"{name}_root"))
    assert data.default_folds == 1
    with pytest.raises(ValueError, match=f"{name} has no folds, since its test split is published"):
        data.fold(0)


def test_large_arrays_are_not_kept_twice() -> None:
    """Beside train, validation and test, the memory of x is that of whoever gave it."""
    x = torch.zeros(60, 3, 8, 8, dtype=torch.uint8)
    for kind in (x, x.double()):
        source = br.Data.split(kind, np.arange(60) % 2).source
        assert isinstance(source, Source)
        kept = [value for value in source.make.args if isinstance(value, torch.Tensor)]  # type: ignore[attr-defined]
        assert [value.data_ptr() for value in kept] == [kind.data_ptr()]
