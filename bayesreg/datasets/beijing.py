"""The air of Beijing, hour by hour: the last day predicts the fine dust of the next hour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from bayesreg.progress import bar

from .base import Data, Dataset, standardise
from .cache import Arrays, cached
from .files import Source, data_root, provenance
from .windows import Windows

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1  # of the parsing: cached arrays of another version are not read
URL = "https://archive.ics.uci.edu/static/public/501/beijing+multi+site+air+quality+data.zip"
SHA256 = "b04da438b2f331ac0ffd45aebdfec0d20d2367feb5f6948c4b1f7ce1191e33c4"
FILE = "beijing/PRSA_Data_20130301-20170228/PRSA_Data_{}_20130301-20170228.csv"
STATIONS = {  # sha256 of each file; UCI publishes none, these were computed from its files
    "Aotizhongxin": "a94fbcfc71708b6ffdc033360163d91efb7f675e496f6b5860929aa96b96351b",
    "Changping": "a2e21402a6d95fb7043f87959e6e3dcbecb957aac356a6f8028a85b047c772e7",
    "Dingling": "3d8dff81f18a80d9f455876a785642bffe1e9b9924ec1e6b7ce8cca790432eeb",
    "Dongsi": "9c0020214425e5ee2a64d42f97a1f632e1d8f6b53ad50edd85a686cc7999f27e",
    "Guanyuan": "59390fee3b032597b387491f5230e7edb90a8558e30217ebd6d9befbe669fbf9",
    "Gucheng": "10ae48801ea55869fee56a48b885fb1127859c130551888d71673f34216ba951",
    "Huairou": "812dcbe848b3ba2c2d25731064797bff803c46eb0c602156a1fa044df136dc26",
    "Nongzhanguan": "572cf87b65ef543cd55d3a711b28474def224a46b0ec3fc8add8aaf13b67a487",
    "Shunyi": "520b59e4ead3b0cfe7f1ed673e30275de8441e999db6f413d5172d2277b8c15a",
    "Tiantan": "0743e34799cf1ee36195b73321b91baa5625276532e7263c588f68cdef3b4daa",
    "Wanliu": "0b1a6d754a07f0def2f55434ddfa3870dcd0063b7f766a6f66b6c11bb05a377a",
    "Wanshouxigong": "ab1d6a356d6997a45f6d657ad47de1e05a4a08d4a7015b38a329a90665ab74d0",
}
SOURCE = Source(
    "beijing/beijing+multi+site+air+quality+data.zip",
    URL,
    SHA256,
    {FILE.format(s): v for s, v in STATIONS.items()},
    limit=10**8,
)
HOURS = 24  # of a window
MEASURED = ["PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM"]
CLOCK = ["year", "month", "day", "hour"]
WINDS = ["N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW"]
SPLITS = ["2015-03-01", "2016-03-01"]  # where validation and test begin, so that each has all seasons


def load(data_dir: str | Path | None = None) -> Data:
    """Beijing: x float32 [n, 24, 25], the last 24 hours at one of 12 stations; y [n], PM2.5 of the next hour.

    The columns of an hour: MEASURED, standardised by the training split; the sine and cosine of the wind direction,
    clockwise from north; and the station, one of 12. y stays in 100 µg/m³.

    Split by time: two years to train, the third to validate, the fourth to test. A missing input is replaced by the
    last value before it, else by the training median; an hour without PM2.5 is never a target. No window crosses a gap
    in time or the beginning of a split. x is Windows of one table.

    Source: Zhang et al., "Cautionary tales on air-quality improvement in Beijing", Proceedings of the Royal
    Society A, 2017 (UCI, Beijing Multi-Site Air Quality). Raises FileNotFoundError or ValueError where a file of
    beijing is missing or corrupt, lacks a column, or holds something else in one.
    """
    root = data_root(data_dir)
    found = SOURCE.find(root)
    paths = [file.path for file in found.values()]
    arrays = cached(root, "beijing", paths, lambda: parse(paths), version=VERSION)
    rows, y = (torch.from_numpy(arrays[name]) for name in ("rows", "y"))
    parts = (torch.from_numpy(arrays[name]) for name in ("train", "validation", "test"))
    train, validation, test = (Dataset(Windows(rows, ends, HOURS), y[ends + 1]) for ends in parts)
    return Data(
        name="beijing",
        train=train,
        validation=validation,
        test=test,
        classes=None,
        target="PM2.5 of the next hour, 100 µg/m³",
        provenance=provenance(found),
        fixed="its hours follow one another",
    )


def parse(paths: Sequence[Path]) -> Arrays:
    """rows [R, 25] of all stations, y [R], NaN where PM2.5 is missing, and the ends of the windows of each split."""
    import pandas as pd

    tables = [read(path) for path in bar(paths, desc="reading stations")]
    table = pd.concat(tables, keys=range(len(paths)), names=["station"])
    clock = pd.to_datetime(table[CLOCK]).to_numpy()
    part = np.searchsorted(np.array(SPLITS, "M8[s]"), clock, side="right")  # 0 train, 1 validation, 2 test
    station = table.index.get_level_values("station").to_numpy()
    y = table["PM2.5"].to_numpy()
    table = impute(table.drop(columns=CLOCK), station, part == 0)
    numbers = standardise(table[MEASURED].to_numpy(), train=np.flatnonzero(part == 0))
    rows = np.hstack([numbers, table[["sine", "cosine"]], np.eye(len(paths))[station]])
    ends = windows(clock, station, part, y)
    named = {name: ends[part[ends] == i] for i, name in enumerate(("train", "validation", "test"))}
    return {"rows": rows.astype(np.float32), "y": (y / 100).astype(np.float32), **named}


def windows(clock: np.ndarray, station: np.ndarray, part: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The last row of each window: 24 hours and the one to predict, without a gap, and with that one known."""
    broken = (np.diff(clock) != np.timedelta64(1, "h")) | (np.diff(station) != 0) | (np.diff(part) != 0)
    stretch = np.concatenate([[0], np.cumsum(broken)])
    ends = np.arange(HOURS - 1, len(y) - 1)
    whole = stretch[ends - (HOURS - 1)] == stretch[ends + 1]
    return ends[whole & ~np.isnan(y[ends + 1])]


def impute(table: pd.DataFrame, station: np.ndarray, train: np.ndarray) -> pd.DataFrame:
    """Missing values replaced by the station's last value; before its first, by the median of the training rows."""
    return table.groupby(station).ffill().fillna(table[train].median())


def read(path: Path) -> pd.DataFrame:
    """CLOCK, MEASURED, and the sine and cosine of the wind, of one station; NaN where the file has NA.

    Raises ValueError, with the row and the column, where one is missing or holds something else.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str)
    except (ValueError, OSError) as error:  # a broken line, or bytes that are not text
        raise ValueError(f"{path} is not a table: {error}. Get it again from {URL}") from error
    if missing := [name for name in [*CLOCK, *MEASURED, "wd"] if name not in table]:
        raise ValueError(
            f"{path} has no column {missing[0]!r}, only {', '.join(map(str, table))}: get it again from {URL}"
        )
    angle = table["wd"].map({wind: 2 * np.pi * i / len(WINDS) for i, wind in enumerate(WINDS)})
    numbers = table[[*CLOCK, *MEASURED]].apply(pd.to_numeric, errors="coerce").astype(float)
    numbers[["sine", "cosine"]] = np.column_stack([np.sin(angle), np.cos(angle)])
    _refuse_text(path, table, numbers.assign(wd=angle))
    return numbers


def _refuse_text(path: Path, table: pd.DataFrame, numbers: pd.DataFrame) -> None:
    for name in [*CLOCK, *MEASURED, "wd"]:
        bad = (numbers[name].isna() & (table[name].notna() | (name in CLOCK))).to_numpy()
        if bad.any():
            row = int(bad.argmax())
            kind = "a direction" if name == "wd" else "a number"
            raise ValueError(
                f"{path}, line {row + 2}, column {name!r}: {table[name][row]!r} is not {kind}. Correct it, or write NA"
            )
