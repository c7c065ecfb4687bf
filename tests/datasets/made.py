"""Small files in the published formats, below a root whose SHA256SUMS vouches for them; and a table of one's own."""

from __future__ import annotations

import csv
import hashlib
import io
import pickle
import tarfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesreg.datasets import Data, beijing, imdb
from bayesreg.datasets.cifar import TEST10, TEST100, TRAIN10, TRAIN100


def vouch(root: Path, pattern: str = "{digest}  {name}") -> None:
    """List every file below root in its SHA256SUMS."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != "SHA256SUMS"]
    lines = [
        pattern.format(digest=hashlib.sha256(path.read_bytes()).hexdigest(), name=path.relative_to(root).as_posix())
        for path in files
    ]
    (root / "SHA256SUMS").write_text("\n".join(lines) + "\n")


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


REVIEWS = [("pos", "A great film!<br /><br />Great, it's GREAT {}."), ("neg", "Bad. A film so bad {}...")]


def write_imdb(root: Path, reviews: dict[str, bytes]) -> Path:
    """An archive of {"train/pos/0_10.txt": text, ...} and, as the published one, of files that are not reviews."""
    (root / "imdb").mkdir(exist_ok=True)
    with tarfile.open(root / imdb.SOURCE.name, "w:gz") as archive:
        for name, text in {**reviews, "README": b"read me", "train/unsup/0_0.txt": b"unlabelled"}.items():
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    vouch(root)
    return root


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


def passengers(n: int = 200, seed: int = 0) -> pd.DataFrame:
    """A table as one finds it: numbers with gaps, categories, a row number, names, dates, an empty column."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "number": np.arange(1, n + 1),
            "name": [f"passenger {i}" for i in range(n)],
            "rank": rng.integers(1, 4, n),
            "sex": rng.choice(["female", "male"], n),
            "age": rng.normal(30, 10, n).round(1),
            "fare": rng.exponential(30, n).round(2),
            "alone": rng.random(n) < 0.5,
            "port": rng.choice(["C", "Q", "S"], n),
            "born": pd.date_range("1870-01-01", periods=n, freq="30D"),
            "empty": np.nan,
            "ship": "Titanic",
        }
    )
    survived = (table.sex == "female") & (table["rank"] < 3) | (rng.random(n) < 0.1)
    table["survived"] = np.where(survived, "yes", "no")
    table.loc[rng.random(n) < 0.2, "age"] = np.nan
    table.loc[rng.random(n) < 0.1, "port"] = None
    return table


def of(table: Any, target: str = "survived", **options: Any) -> Data:
    return Data.from_table(table, target=target, **options)
