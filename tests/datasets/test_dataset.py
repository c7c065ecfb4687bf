from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesreg.datasets import Data, Dataset, Windows, load
from bayesreg.datasets.base import split, standardise


def data(n: int = 20) -> Data:
    part = Dataset(torch.arange(n, dtype=torch.float32)[:, None].expand(n, 3), torch.arange(n))
    return Data("mine", part, part, part, classes=n, target="index", provenance={})


def test_len_take_and_to() -> None:
    dataset = Dataset(torch.arange(10.0)[:, None], torch.arange(10))
    assert len(dataset) == 10
    assert dataset.take([3, 1]).y.tolist() == [3, 1]
    assert dataset.take(np.array([3, 1])).x.tolist() == [[3], [1]]
    assert dataset.take(torch.tensor([9])).y.tolist() == [9]
    assert dataset.take(slice(2, 6, 2)).y.tolist() == [2, 4]
    assert dataset.take(dataset.y > 7).y.tolist() == [8, 9]
    assert torch.equal(dataset.to("cpu").x, dataset.x)


def test_takes_by_whatever_holds_whole_numbers() -> None:
    dataset = Dataset(torch.arange(10.0)[:, None], torch.arange(10))
    assert dataset.take(np.array([3, 1], np.uint8)).y.tolist() == [3, 1]  # no mask, though PyTorch would take it as one
    assert dataset.take([True] + 9 * [False]).y.tolist() == [0]
    assert dataset.take(pd.Series([4, -1])).y.tolist() == [4, 9]
    assert dataset.take(range(2)).y.tolist() == [0, 1]


@pytest.mark.parametrize("indices", [[0.5], 3, True, [[0, 1]], np.array([1.0]), torch.tensor([1j])], ids=str)
def test_refuses_to_take_by_anything_else(indices: Any) -> None:
    windows = Windows(torch.zeros(9, 2), torch.arange(3, 8), length=3)
    for x in (torch.arange(5.0), windows):
        with pytest.raises(
            TypeError, match=r"^take\(.*\): give whole numbers \[k\], a mask or a slice, as in take\(\[0, 2\]\)"
        ):
            Dataset(x, torch.arange(5)).take(indices)


def test_says_what_it_is() -> None:
    part = "Dataset(x: float32 [4, 3], y: int64 [4])"
    assert repr(data(4)) == (
        f"Data('mine', 4 classes, y is 'index',\n     train={part},\n     validation={part},\n     test={part})"
    )
    assert repr(replace(data(4), classes=None)).startswith("Data('mine', regression, y is 'index',")


def test_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Dataset([0.0], [0.0]).x = torch.ones(1)  # type: ignore[misc]


def test_refuses_unequal_or_empty_parts() -> None:
    with pytest.raises(ValueError, match="x has 3 rows and y has 2: give one y for each x"):
        Dataset(torch.zeros(3, 1), torch.zeros(2))
    with pytest.raises(ValueError, match=r"x is empty, of shape \(0, 4\)"):
        Dataset(torch.zeros(0, 4), torch.zeros(0))
    with pytest.raises(ValueError, match=r"y is empty, of shape \(\)"):
        Dataset([1.0], 1.0)
    with pytest.raises(ValueError, match="x is empty"):
        Dataset([1.0], [1.0]).take(slice(0, 0))


def test_features() -> None:
    assert data().features == (3,)


def test_take_train_is_nested_and_leaves_the_rest() -> None:
    whole = data(20)
    few, more = whole.take_train(5), whole.take_train(9)
    assert torch.equal(few.train.y, more.train.y[:5])
    assert len(set(more.train.y.tolist())) == 9
    assert torch.equal(few.train.x[:, 0], few.train.y.float())
    assert few.validation is whole.validation
    assert few.test is whole.test
    assert sorted(whole.take_train(20).train.y.tolist()) == list(range(20))
    assert not torch.equal(whole.take_train(9, seed=1).train.y, more.train.y)


@pytest.mark.parametrize("n", [0, -1, 21])
def test_take_train_refuses_sizes_out_of_range(n: int) -> None:
    with pytest.raises(ValueError, match=rf"train_size is {n}, but mine has 20 to train on: give 1 to 20"):
        data(20).take_train(n)


@pytest.mark.parametrize("n", [True, 0.5, 5.0, "5"], ids=repr)
def test_take_train_refuses_what_is_no_whole_number(n: Any) -> None:
    with pytest.raises(TypeError, match=rf"train_size is {n!r}, a \w+: give a whole number, 1 to 20"):
        data(20).take_train(n)
    with pytest.raises(TypeError, match=rf"train_size is {n!r}, a \w+: give a whole number, 1 to 266"):
        load("diabetes", train_size=n)
    assert len(data(20).take_train(np.int64(5)).train) == 5


@settings(max_examples=25, deadline=None)
@given(size=st.integers(50, 400), stratified=st.booleans())
def test_split_covers_everything_once(size: int, stratified: bool) -> None:
    labels = np.arange(size) % 3 if stratified else None
    parts = split(size, 0.2, 0.1, labels=labels)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(size))
    assert [len(part) for part in parts[1:]] == [round(0.2 * size), round(0.1 * size)]
    assert all(map(np.array_equal, parts, split(size, 0.2, 0.1, labels=labels)))


def test_split_is_stratified() -> None:
    labels = np.repeat([0, 1], [90, 10])
    assert [labels[part].sum() for part in split(100, 0.2, 0.2, labels=labels)] == [6, 2, 2]


def test_standardise_uses_the_training_rows_only() -> None:
    values = np.random.default_rng(0).normal(3, 2, (50, 4))
    train = np.arange(30)
    expected = (values - values[:30].mean(0)) / values[:30].std(0)
    np.testing.assert_allclose(standardise(values, train), expected, rtol=1e-10)
    np.testing.assert_allclose(standardise(values[:, 0], train), expected[:, 0], rtol=1e-10)
    values[30:] = 1e6
    np.testing.assert_allclose(standardise(values, train)[:30], expected[:30], rtol=1e-10)
