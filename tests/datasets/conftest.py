"""Small files in the published formats, below a root of their own, and the real ones where there are some."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bayesreg.datasets import Data, load
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
