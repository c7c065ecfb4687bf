from __future__ import annotations

import io
import math
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bayesreg.datasets import Data, housing, load
from bayesreg.datasets.files import data_root


def sklearns(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps of fetch_california_housing, one by one, on the table of the archive."""
    permuted = table[:, [8, 7, 2, 3, 4, 5, 6, 1, 0]]
    target, x = permuted[:, 0] / 100000.0, permuted[:, 1:].copy()
    x[:, 2] /= x[:, 5]
    x[:, 3] /= x[:, 5]
    x[:, 5] = x[:, 4] / x[:, 5]
    return x, target


def test_equals_scikit_learns_own_steps(housing_root: Path, housing_table: np.ndarray) -> None:
    x, y = housing.read(housing_root / housing.NAME)
    expected_x, expected_y = sklearns(housing_table)
    np.testing.assert_array_equal(x, expected_x)
    np.testing.assert_array_equal(y, expected_y)


def test_target_keeps_its_unit_and_follows_its_inputs(housing_root: Path, housing_table: np.ndarray) -> None:
    data = load("housing", housing_root)
    y = np.concatenate([part.y.numpy() for part in (data.train, data.validation, data.test)])
    income = np.concatenate([part.x[:, 0].numpy() for part in (data.train, data.validation, data.test)])
    np.testing.assert_allclose(np.sort(y), np.sort(housing_table[:, 8] / 1e5), rtol=1e-6)
    np.testing.assert_array_equal(np.argsort(income), np.argsort(income, kind="stable"))
    np.testing.assert_allclose(y[np.argsort(income)], housing_table[np.argsort(housing_table[:, 7]), 8] / 1e5)
    assert data.provenance == {"housing/cal_housing.tgz": "SHA256SUMS"}


def test_skewed_inputs_are_logarithms_before_the_scaler_of_train(housing_root: Path, housing_table: np.ndarray) -> None:
    data = load("housing", housing_root)
    x, y = sklearns(housing_table)
    x = np.column_stack([x[:, :2], [[math.log(value) for value in row] for row in x[:, 2:6]], x[:, 6:]])
    row = {np.float32(value): i for i, value in enumerate(y)}
    train, test = ([row[value] for value in part.y.numpy()] for part in (data.train, data.test))
    expected = (x[test] - x[train].mean(0)) / x[train].std(0)
    np.testing.assert_allclose(data.test.x.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_refuses_a_corrupt_archive(housing_root: Path) -> None:
    path = housing_root / housing.NAME
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"corrupt: got sha256 .* expected {housing.SHA256}"):
        load("housing", housing_root)


@pytest.mark.parametrize("content", [b"", b"no archive", "truncated", "other member", "other columns"])
def test_refuses_an_archive_of_something_else(
    housing_root: Path, vouch: Callable[..., None], content: bytes | str
) -> None:
    path = housing_root / housing.NAME
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "truncated":
        path.write_bytes(path.read_bytes()[:300])
    else:
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo("readme" if content == "other member" else housing.MEMBER)
            member.size = 8
            archive.addfile(member, io.BytesIO(b"1,2\n3,4\n"))
    vouch(housing_root)
    with pytest.raises(ValueError, match=r"cal_housing.tgz holds no CaliforniaHousing/cal_housing.data"):
        load("housing", housing_root)


def test_the_real_housing(real: Callable[[str], Data]) -> None:
    data = real("housing")
    assert sum(map(len, (data.train, data.validation, data.test))) == 20_640
    x, y = housing.read(data_root() / housing.NAME)
    low = [0.4999, 1, 0.846154, 1 / 3, 3, 9 / 13, 32.54, -124.35]
    high = [15.0001, 52, 141.909091, 34.066667, 35682, 1243.333333, 41.95, -114.31]
    np.testing.assert_allclose(x.min(0), low, rtol=1e-6)
    np.testing.assert_allclose(x.max(0), high, rtol=1e-6)
    assert (y.min(), y.max()) == (0.14999, 5.00001)
    assert x[:, 0].mean() == pytest.approx(3.870671, abs=1e-6)
    assert y.mean() == pytest.approx(2.068558, abs=1e-6)
