"""The learning curves of the runs, from each run's history.csv."""

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesreg import statistics
from bayesreg.report import outside

log = logging.getLogger(__name__)

KEYS = [*statistics.RUN, "method", "metric", "path"]
LONGEST = 1e9  # epochs, and seconds of one


def histories(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per run and epoch: what identifies the run, its `metric`, `epoch`, `seconds` and validation score."""
    curves = [_curve(run) for run in runs[["path", "metric"]].to_dict("records")]
    if not sum(map(len, curves)):
        return pd.DataFrame(columns=[*KEYS, "epoch"])
    table = runs[KEYS].iloc[np.repeat(np.arange(len(runs)), [len(curve) for curve in curves])].reset_index(drop=True)
    epoch, seconds, score = np.concatenate(curves).T
    scores = {f"validation_{name}": np.where(table["metric"] == name, score, np.nan) for name in set(table["metric"])}
    return table.assign(epoch=epoch, seconds=seconds, **scores)


def _curve(run: Mapping[Any, Any]) -> np.ndarray:
    """Epoch, seconds and validation score [epochs, 3]; none where the file cannot be read."""
    file = Path(run["path"]) / "history.csv"
    try:
        curve = columns(outside.read(file), ["epoch", "seconds", f"validation_{run['metric']}"])
        if not ((curve[:, :2] >= 0) & (curve[:, :2] <= LONGEST)).all():
            raise ValueError("an epoch or its seconds are not a number from 0 to 1e9")
    except (OSError, ValueError, csv.Error) as error:
        log.warning("%s cannot be read (%s); its curve is left out.", outside.prose(file), outside.prose(error))
        return np.empty((0, 3))
    curve[~(np.abs(curve[:, 2]) <= outside.LARGEST), 2] = np.nan
    return curve


def columns(text: str, names: list[str]) -> np.ndarray:
    """Columns of a CSV as numbers [rows, names], NaN for an empty cell. ValueError or csv.Error where there are none.

    pandas needs more than a millisecond per file, too long for thousands of them.
    """
    header, *rows = list(csv.reader(text.splitlines())) or [[]]
    if missing := [name for name in names if name not in header]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    places = [header.index(name) for name in names]
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"a row does not have {len(header)} cells")
    return np.array([[float(row[place] or "nan") for place in places] for row in rows]).reshape(-1, len(names))
