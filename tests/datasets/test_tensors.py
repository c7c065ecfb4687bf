"""What Dataset accepts as x and y, and how it refuses anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from bayesreg.datasets import Dataset


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


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([True, False], torch.int64),
        (np.array([True, False]), torch.int64),
        (torch.tensor([True, False]), torch.int64),
        (np.array([1, 0], np.uint16), torch.int64),
        (np.array([1, 0], np.uint64), torch.int64),
        (torch.tensor([1, 0], dtype=torch.uint64), torch.int64),
        (np.array([1, 0], ">i2"), torch.int64),  # as on tape, the highest byte first
        (np.array([1, 0], ">f8"), torch.float32),
        (np.array([1, 0], np.longdouble), torch.float32),
        ([torch.tensor(1.0), torch.tensor(0.0)], torch.float32),
        ((1.0, 0.0), torch.float32),
        (pd.Series([1, 0], index=[7, 8]), torch.int64),
        (pd.Series([1, 0], dtype="Int64"), torch.int64),
        (pd.Series([1, 0], dtype="boolean"), torch.int64),
        (pd.Series([1, 0], dtype="category"), torch.int64),
        (pd.Series([1.0, 0.0]), torch.float32),
        (pd.Series([1.0, 0.0], dtype="Float64"), torch.float32),
        (pd.DataFrame({"y": [1, 0]}), torch.int64),  # as y alone
    ],
)
def test_what_is_taken_for_one_and_zero(given: Any, kept: torch.dtype) -> None:
    y = Dataset([5.0, 6.0], given).y
    assert y.dtype == kept
    assert y.tolist() == [1, 0]


def test_takes_a_table_of_pandas() -> None:
    table = pd.DataFrame({"age": [30, 40], "tall": [True, False], "rent": [1.5, 2.5], "count": [7, 9]}, index=[5, 3])
    table["count"] = table["count"].astype("Int64")
    expected = [[30.0, 1.0, 1.5, 7.0], [40.0, 0.0, 2.5, 9.0]]
    dataset = Dataset(table, table)
    assert dataset.x.tolist() == dataset.y.tolist() == expected
    assert dataset.x.dtype == dataset.y.dtype == torch.float32
    twice = Dataset(table[["age", "age"]], [0, 1]).x  # a name may stand twice
    assert twice.tolist() == [[30, 30], [40, 40]]


TABLE = pd.DataFrame({"age": [30, 40], "town": ["Graz", "Linz"], "day": pd.to_datetime(["2020-01-01", "2020-01-02"])})
MISSING = pd.DataFrame({"age": [30, 40], "rent": pd.array([1, None], dtype="Int64")})


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.array([1 + 2j, 0]),
            r"x\[0\] is \(1\+2j\), complex: give real numbers, such as x.real, or both parts as np.stack",
        ),
        (torch.tensor([[1j]]), r"x\[0, 0\] is 1j, complex"),
        (["3", "4"], r"x\[0\] is '3', not a number: drop it, or encode it as numbers, as pandas.get_dummies does"),
        (TABLE[["age", "town"]], r"x\['town'\]\[0\] is 'Graz', not a number: drop it, or encode it"),
        (TABLE[["age", "day"]], r"x\['day'\]\[0\] is .*2020-01-01.*, not a number: drop it, or give numbers"),
        (np.array([1, 2], "m8[s]"), r"x\[0\] is .*1.*, not a number"),
        (np.array([[1, None]], object), r"x\[0, 1\] is None, not a number: drop it, or give numbers in its place"),
        (
            np.array([1, 2.5], object),
            r"x is an array of Python objects, numbers though they are: give x.astype\(np.float",
        ),
        ([2**64], r"x is an array of Python objects, numbers"),
        (np.array([(1, 2.0)], "i4, f8"), r"x\[0\] is .\(1, 2.0\)., not a number"),
        (None, r"x is None, a NoneType: give a tensor, an array, a list of numbers, or a DataFrame or Series"),
        ({}, r"x has the keys \[\]: name the arguments of the network's forward, at least one"),
        ({"a": ["b", "c"]}, r"x\['a'\]\[0\] is 'b', not a number"),
        (csr_array(np.eye(2)), r"x is .*, a csr_array: give a tensor"),
        (torch.eye(2).to_sparse(), r"x is a sparse or nested tensor: give a dense one, such as x.to_dense\(\)"),
    ],
)
def test_refuses_what_are_no_real_numbers(x: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Dataset(x, [0.0, 1.0])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.array([0, 2**63], np.uint64),
            r"x\[1\] is 9223372036854775808, beyond the largest int64, 9223372036854775807",
        ),
        (torch.tensor([0, 2**64 - 1], dtype=torch.uint64), r"x\[1\] is 18446744073709551615, beyond"),
        ([[1.0], [1.0, 2.0]], r"the rows of x are not of one shape \(.*\): pad or cut them"),
        ([torch.zeros(1), torch.zeros(2)], r"the rows of x are not of one shape \(.*\): pad or cut them"),
        (np.ma.masked_equal([1.0, 2.0], 2.0), r"x\[1\] is masked: impute or drop what is missing"),
        (MISSING, r"x\['rent'\]\[1\] is nan \(1 of 2 values\): impute or drop"),
        (MISSING[[]], r"x is a DataFrame without columns"),
    ],
)
def test_refuses_numbers_that_are_missing_or_too_large(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dataset(x, [0.0, 1.0])


@pytest.mark.parametrize("y", [["cat", "dog"], np.array(["cat", "dog"]), pd.Series(["cat", "dog"], dtype="category")])
def test_labels_of_text_are_told_how_to_number_them(y: Any) -> None:
    remedy = "classes, y = np.unique(y, return_inverse=True)"
    with pytest.raises(TypeError) as error:
        Dataset([0.0, 1.0], y)
    assert str(error.value) == f"y[0] is 'cat', not a number: number the classes: {remedy}"
    numbered: dict[str, Any] = {"np": np, "y": y}
    exec(remedy, numbered)  # what it says works
    assert Dataset([0.0, 1.0], numbered["y"]).y.tolist() == [0, 1]


def test_arrays_that_torch_cannot_share() -> None:
    """A read-only array (as pandas gives) and a reversed one."""
    locked = np.arange(4.0)
    locked.flags.writeable = False
    assert Dataset(locked, np.arange(4.0)[::-1]).y.tolist() == [3, 2, 1, 0]


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
