"""Median house values of the districts of California in 1990."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from .base import Data, Dataset, split, standardise
from .files import Source, data_root, provenance

NAME = "housing/cal_housing.tgz"
MEMBER = "CaliforniaHousing/cal_housing.data"
URL = "https://ndownloader.figshare.com/files/5976036"
SHA256 = "aaa5c9a6afe2225cc2aed2723682ae403280c4a3695a2ddda4ffb5d8215ea681"
SOURCE = Source(NAME, URL, SHA256, limit=10**6)
SKEWED = [2, 3, 4, 5]  # rooms, bedrooms, population, occupants: positive, with a power-law tail


def load(data_dir: str | Path | None = None) -> Data:
    """20,640 districts: x [8], standardised by the training split; y [n], the median house value.

    The inputs, in order: median income, house age, the logarithms of rooms, bedrooms (both per household), population
    and occupants (per household), then latitude, longitude. A few districts lie up to 227 standard deviations out in
    these four, and a scaler alone would squeeze all the others together. y stays in 100,000 $, capped at 5 in the
    survey. 60 / 20 / 20.

    Source: Pace & Barry, "Sparse spatial autoregressions", Statistics & Probability Letters, 1997.
    Raises FileNotFoundError or ValueError where housing/cal_housing.tgz is missing or corrupt.
    """
    found = SOURCE.find(data_root(data_dir))
    x, y = read(found[NAME].path)
    parts = split(len(x), 0.2, 0.2)
    x[:, SKEWED] = np.log(x[:, SKEWED])
    x = standardise(x, train=parts[0])
    train, validation, test = (Dataset(x[part], y[part]) for part in parts)
    return Data(
        name="housing",
        train=train,
        validation=validation,
        test=test,
        classes=None,
        target="median house value, 100,000 $",
        provenance=provenance(found),
        fixed="its test part of 4,128 districts is large enough",
    )


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """x [n, 8] and y [n] in their own units, as scikit-learn's fetch_california_housing makes them.

    Raises ValueError if the archive does not hold the table.
    """
    try:
        with tarfile.open(path) as archive, archive.extractfile(MEMBER) as file:  # type: ignore[union-attr]
            table = np.loadtxt(file, delimiter=",").T
        longitude, latitude, age, rooms, bedrooms, population, households, income, value = table
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError) as error:
        raise ValueError(f"{path} holds no {MEMBER} of 9 columns: {error}. Get it from {URL}") from error
    per_household = rooms / households, bedrooms / households, population, population / households
    return np.column_stack([income, age, *per_household, latitude, longitude]), value / 100_000
