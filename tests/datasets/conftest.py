"""Small files in the published formats, below a root of their own, and the real ones where there are some."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from bayesreg.datasets import Data, beijing, flowers, imdb, load
from bayesreg.datasets.cifar import TEST10, TEST100, TRAIN10, TRAIN100


def vouch(root: Path, pattern: str = "{digest}  {name}") -> None:
    """List every file below root in its SHA256SUMS."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != "SHA256SUMS"]
    lines = [
        pattern.format(digest=hashlib.sha256(path.read_bytes()).hexdigest(), name=path.relative_to(root).as_posix())
        for path in files
    ]
    (root / "SHA256SUMS").write_text("\n".join(lines) + "\n")


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


def cifar_root(root: Path, classes: int) -> Path:
    """2 images of each class in each file of CIFAR-10, 10 in those of CIFAR-100.

    An image is its class all over, except that the red, green and blue at row 1, column 2 are 201, 202 and
    203, and that the last byte of the row counts the images of the file.
    """
    key = b"labels" if classes == 10 else b"fine_labels"
    labels = np.tile(np.arange(classes), 2 if classes == 10 else 10)
    for name in [*TRAIN10, *TEST10] if classes == 10 else [*TRAIN100, *TEST100]:
        data = np.repeat(labels[:, None], 3072, axis=1).astype(np.uint8)
        data[:, [34, 1024 + 34, 2048 + 34]] = [201, 202, 203]
        data[:, -1] = np.arange(len(labels)) % 256
        (root / name).parent.mkdir(exist_ok=True)
        batch = {key: labels.tolist(), b"coarse_labels": [0] * len(labels), b"data": data}
        (root / name).write_bytes(pickle.dumps(batch, protocol=2))
    vouch(root)
    return root


@pytest.fixture
def cifar10_root(tmp_path: Path) -> Path:
    return cifar_root(tmp_path, 10)


@pytest.fixture
def cifar100_root(tmp_path: Path) -> Path:
    return cifar_root(tmp_path, 100)


def idx(array: np.ndarray) -> bytes:
    """An idx file of bytes."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_mnist(root: Path, folder: str) -> Path:
    """20 images of each class to train and 3 to test; an image is its class all over, its last pixel its number."""
    (root / folder).mkdir(parents=True)
    for part, each in (("train", 20), ("t10k", 3)):
        labels = np.tile(np.arange(10), each)
        images = np.repeat(labels, 28 * 28).reshape(-1, 28, 28)
        images[:, -1, -1] = np.arange(len(labels))
        (root / folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (root / folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    vouch(root)
    return root


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


REVIEWS = [("pos", "A great film!<br /><br />Great, it's GREAT {}."), ("neg", "Bad. A film so bad {}...")]


def write_imdb(root: Path, reviews: dict[str, bytes]) -> Path:
    """An archive of {"train/pos/0_10.txt": text, ...} and, as the published one, of files that are no reviews."""
    (root / "imdb").mkdir(exist_ok=True)
    with tarfile.open(root / imdb.SOURCE.name, "w:gz") as archive:
        for name, text in {**reviews, "README": b"read me", "train/unsup/0_0.txt": b"unlabelled"}.items():
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    vouch(root)
    return root


@pytest.fixture
def imdb_root(tmp_path: Path) -> Path:
    """20 good and 20 bad reviews to train, 5 and 5 to test."""
    made = {
        f"{part}/{kind}/{number}_{9 if kind == 'pos' else 2}.txt": text.format(f"word{number}").encode()
        for part, size in (("train", 20), ("test", 5))
        for kind, text in REVIEWS
        for number in range(size)
    }
    return write_imdb(tmp_path, made)


def air(start: str, hours: int, seed: int = 0) -> list[dict[str, str]]:
    """Rows of a station's file: whole numbers drawn at random, as text."""
    first, random = datetime.fromisoformat(start), np.random.default_rng(seed)
    rows = []
    for hour in range(hours):
        time = first + timedelta(hours=hour)
        numbers = zip(beijing.MEASURED, map(str, random.integers(1, 99, 11)), strict=True)
        clock = {name: str(getattr(time, name)) for name in beijing.CLOCK}
        rows.append({**clock, **dict(numbers), "wd": beijing.WINDS[hour % 16], "station": "here"})
    return rows


def write_air(root: Path, station: str, rows: list[dict[str, str]]) -> Path:
    path = root / beijing.FILE.format(station)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    vouch(root)
    return path


@pytest.fixture
def beijing_root(tmp_path: Path) -> Path:
    """At each station 50 hours around the beginning of validation and 60 around that of test."""
    for seed, station in enumerate(beijing.STATIONS):
        rows = air("2015-02-27T22:00", 56, seed) + air("2016-02-28T20:00", 60, seed + 100)
        write_air(tmp_path, station, rows)
    return tmp_path


@pytest.fixture(scope="session")
def real() -> Callable[[str], Data]:
    """The real data set of a name, read once a session, or a skip where $BAYESREG_DATA does not hold it."""
    read: dict[str, Data] = {}

    def get(name: str) -> Data:
        if "BAYESREG_DATA" not in os.environ:
            pytest.skip("the real files are needed: set $BAYESREG_DATA")
        try:
            if name not in read:
                read[name] = load(name)
        except FileNotFoundError as error:
            pytest.skip(f"the real files are needed: {error}")
        return read[name]

    return get
