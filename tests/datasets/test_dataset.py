from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesreg.datasets.base import Data, Dataset, split, standardise


def data(n: int = 20) -> Data:
    part = Dataset(torch.arange(n, dtype=torch.float32)[:, None].expand(n, 3), torch.arange(n))
    return Data("mine", part, part, part, classes=n, target="index", provenance={})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.zeros((2, 3)), torch.float32),
        (np.zeros((2, 3), np.float16), torch.float32),
        ([[0.0], [1.0]], torch.float32),
        (torch.zeros(2, 3, dtype=torch.float64), torch.float64),
        (torch.zeros(2, 3, dtype=torch.bfloat16), torch.float32),
        (np.zeros((2, 1, 4, 4), np.uint8), torch.uint8),
        (np.zeros(2, np.uint8), torch.int64),
        (np.zeros(2, np.int16), torch.int64),
        (torch.zeros(2, dtype=torch.int32), torch.int64),
        ([0, 1], torch.int64),
    ],
)
def test_dtypes(given: Any, kept: torch.dtype) -> None:
    dataset = Dataset(given, given)
    assert dataset.x.dtype == dataset.y.dtype == kept
    assert torch.equal(dataset.x, torch.as_tensor(given).to(kept))


def test_arrays_that_torch_cannot_share() -> None:
    """A read-only array (as pandas gives) and a reversed one."""
    locked = np.arange(4.0)
    locked.flags.writeable = False
    assert Dataset(locked, np.arange(4.0)[::-1]).y.tolist() == [3, 2, 1, 0]


def test_len_take_and_to() -> None:
    dataset = Dataset(torch.arange(10.0)[:, None], torch.arange(10))
    assert len(dataset) == 10
    assert dataset.take([3, 1]).y.tolist() == [3, 1]
    assert dataset.take(np.array([3, 1])).x.tolist() == [[3], [1]]
    assert dataset.take(torch.tensor([9])).y.tolist() == [9]
    assert dataset.take(slice(2, 6, 2)).y.tolist() == [2, 4]
    assert dataset.take(dataset.y > 7).y.tolist() == [8, 9]
    assert torch.equal(dataset.to("cpu").x, dataset.x)


def test_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Dataset([0.0], [0.0]).x = torch.ones(1)  # type: ignore[misc]


def test_names_the_first_value_that_is_not_finite() -> None:
    x = torch.zeros(100, 5)
    x[3, 2] = float("nan")
    with pytest.raises(ValueError, match=r"x\[3, 2\] is nan \(1 of 500 values\): impute or drop"):
        Dataset(x, torch.zeros(100))
    x[4, 0] = float("nan")
    with pytest.raises(ValueError, match=r"y\[3, 2\] is nan \(2 of 500 values\)"):
        Dataset(torch.zeros(100), x)
    with pytest.raises(ValueError, match=r"y\[1\] is -inf \(1 of 2 values\)"):
        Dataset([0.0, 0.0], [0.0, -float("inf")])
    with pytest.raises(ValueError, match=r"x\[0\] is inf .*rescale what torch.float32 cannot hold"):
        Dataset([1e300], [0.0])


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
