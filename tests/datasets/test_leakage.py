"""Leakage: no change to rows of validation or test changes anything that was fitted on train."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made import of, passengers
from sklearn.datasets import load_diabetes, load_digits

import bayesreg as br
from bayesreg.datasets.partition import partition

RAW = {"digits": load_digits(return_X_y=True), "diabetes": load_diabetes(return_X_y=True, scaled=False)}


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_held_out_rows_change_nothing_that_was_fitted(data: st.DataObject) -> None:
    table = passengers(60)
    labels = (table.survived == "yes").to_numpy().astype(int)
    others = np.concatenate(partition(60, classes=labels)[1:])
    order = np.arange(60)
    order[others] = data.draw(st.permutations(list(others)))
    changed = table.iloc[order].reset_index(drop=True).assign(survived=table.survived)
    ages = data.draw(arrays(float, len(others), elements=st.floats(-1e6, 1e6) | st.just(np.nan)))
    changed.loc[others, "age"] = ages
    changed.loc[others, "rank"] = data.draw(arrays(int, len(others), elements=st.integers(-9, 9)))
    changed.loc[others, "port"] = data.draw(st.sampled_from(["Z", None, "C"]))
    changed.loc[others, "ship"] = data.draw(st.sampled_from(["Olympic", None]))
    changed.loc[others, "empty"] = data.draw(st.sampled_from([1.0, np.nan]))
    before, after = of(table), of(changed)
    assert torch.equal(before.train.x, after.train.x)
    assert torch.equal(before.train.y, after.train.y)
    assert torch.equal(before.transform(table), after.transform(table))
    pd.testing.assert_frame_equal(before.columns, after.columns)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_by_time_not_even_the_targets_held_out_are_seen(seed: int) -> None:
    table = passengers(60)
    changed = table.copy()
    late = table.index >= 36  # the dates rise with the rows
    rng = np.random.default_rng(seed)
    changed.loc[late, "fare"] = rng.normal(size=24)
    changed.loc[late, "age"] = rng.normal(size=24)
    before, after = (of(each, "fare", time="born") for each in (table, changed))
    assert before.train.sha256() == after.train.sha256()
    assert torch.equal(before.transform(table), after.transform(table))
    assert before.test.sha256() != after.test.sha256()


def table(x: np.ndarray, y: np.ndarray) -> br.Data:
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind=np.where(x[:, 0] > 0, "high", "low"), y=y)
    return br.Data.from_table(frame, "y")


def registered(name: str) -> Callable[[np.ndarray, np.ndarray], br.Data]:
    def load(x: np.ndarray, y: np.ndarray) -> br.Data:
        with patch(f"sklearn.datasets.load_{name}", lambda **options: (x.copy(), y.copy())):
            return br.datasets.load(name)

    return load


def raw(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return RAW[name] if name in RAW else (rng.normal(size=(60, 3)), rng.normal(size=60))


MAKERS: dict[str, Callable[[np.ndarray, np.ndarray], br.Data]] = {
    "table": table,
    "arrays": lambda x, y: br.Data.split(x, y, scale=True),
    "groups": lambda x, y: br.Data.split(x, y, scale=True, group=np.arange(len(x)) % 12),
    "digits": registered("digits"),
    "diabetes": registered("diabetes"),
}


@pytest.mark.parametrize("name", MAKERS)
@given(number=st.none() | st.integers(0, 4), seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.0, 1.0, 1e6]))
@settings(max_examples=6, deadline=None)
def test_rows_held_out_change_nothing_that_a_fold_or_the_one_split_fitted(
    name: str, number: int | None, seed: int, size: float
) -> None:
    def made(x: np.ndarray, y: np.ndarray) -> br.Data:
        data = MAKERS[name](x, y)
        return data if number is None else data.fold(number, seed=seed)

    x, y = raw(name)
    before = made(x, y)
    assert before.rows is not None
    others = np.concatenate(before.rows[1:])
    rng = np.random.default_rng(seed)
    changed, targets = x.copy(), y.copy()
    changed[others] = x[rng.permutation(others)] + size * rng.normal(size=x[others].shape)
    if before.classes is None:  # the split keeps classes in proportion, and so has to see them
        targets[others] = y[rng.permutation(others)] + size * rng.normal(size=len(others))
    after = made(changed, targets)
    assert all(map(np.array_equal, before.rows, after.rows or ()))
    assert before.train.sha256() == after.train.sha256()
    assert before.test.sha256() != after.test.sha256()
    if before.inputs is not None:
        new = pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind="high") if name == "table" else x
        assert torch.equal(before.transform(new), after.transform(new))
