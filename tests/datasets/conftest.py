"""Small files in the published formats, below a root of their own."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import REVIEWS, air, cifar_root, vouch, write_air, write_imdb, write_mnist
from PIL import Image
from scipy.io import savemat

from bayesreg.datasets import beijing, flowers


@pytest.fixture(name="vouch")
def vouch_fixture() -> Callable[..., None]:
    return vouch


@pytest.fixture
def housing_table() -> np.ndarray:
    """40 districts: longitude, latitude, age, rooms, bedrooms, population, households, income, value."""
    low = [-124, 32, 1, 500, 100, 300, 100, 0.5, 15_000]
    high = [-114, 42, 52, 9_000, 1_500, 4_000, 1_200, 15, 500_001]
    return np.random.default_rng(0).uniform(low, high, (40, 9)).round(4)


@pytest.fixture
def housing_root(tmp_path: Path, housing_table: np.ndarray) -> Path:
    text = io.BytesIO()
    np.savetxt(text, housing_table, delimiter=",", fmt="%.6f")
    member = tarfile.TarInfo("CaliforniaHousing/cal_housing.data")
    member.size = len(text.getvalue())
    (tmp_path / "housing").mkdir()
    with tarfile.open(tmp_path / "housing/cal_housing.tgz", "w:gz") as archive:
        archive.addfile(member, io.BytesIO(text.getvalue()))
    vouch(tmp_path)
    return tmp_path


@pytest.fixture
def cifar10_root(tmp_path: Path) -> Path:
    return cifar_root(tmp_path, 10)


@pytest.fixture
def cifar100_root(tmp_path: Path) -> Path:
    return cifar_root(tmp_path, 100)


@pytest.fixture
def mnist_root(tmp_path: Path) -> Path:
    return write_mnist(tmp_path, "MNIST/raw")


@pytest.fixture
def fashion_mnist_root(tmp_path: Path) -> Path:
    return write_mnist(tmp_path, "FashionMNIST/raw")


@pytest.fixture
def flowers_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """306 photographs of one colour, 3 of each class, 12 wide and 8 high with a white left border of one pixel.

    The first of a class is to train, the second to validate, the third to test; red is the class.
    """
    archive, *rest = flowers.SOURCES
    names = list(archive.members)[:306]
    monkeypatch.setattr(flowers, "SOURCES", (replace(archive, members=dict.fromkeys(names)), *rest))
    labels = np.tile(np.arange(102), 3)
    (tmp_path / "flowers-102/jpg").mkdir(parents=True)
    for name, label in zip(names, labels, strict=True):
        image = Image.new("RGB", (12, 8), (int(label), 100, 50))
        image.paste((255, 255, 255), (0, 0, 1, 8))
        image.save(tmp_path / name, quality=95)
    savemat(tmp_path / rest[0].name, {"labels": labels[None] + 1})
    numbers = np.arange(306).reshape(3, 1, 102) + 1
    savemat(tmp_path / rest[1].name, dict(zip(flowers.SPLITS, numbers, strict=True)))
    vouch(tmp_path)
    return tmp_path


@pytest.fixture
def imdb_root(tmp_path: Path) -> Path:
    """20 good and 20 bad reviews to train, 5 and 5 to test."""
    made = {
        f"{part}/{kind}/{number}_{9 if kind == 'pos' else 2}.txt": text.format(f"{kind}{number}").encode()
        for part, size in (("train", 20), ("test", 5))
        for kind, text in REVIEWS
        for number in range(size)
    }
    return write_imdb(tmp_path, made)


@pytest.fixture
def beijing_root(tmp_path: Path) -> Path:
    """At each station 56 hours around the beginning of validation and 60 around that of test."""
    for seed, station in enumerate(beijing.STATIONS):
        rows = air("2015-02-27T22:00", 56, seed) + air("2016-02-28T20:00", 60, seed + 100)
        write_air(tmp_path, station, rows)
    return tmp_path
