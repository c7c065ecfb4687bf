"""The curves of the runs: what each has in its history.csv."""

import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bayesreg import statistics
from bayesreg.report import outside

log = logging.getLogger(__name__)


def histories(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a run and epoch: what identifies the run, its `metric`, `epoch`, `seconds` and validation score."""
    frames = [_history(run) for run in runs.to_dict("records")]
    frames = [frame for frame in frames if not frame.empty]
    if not frames:
        return pd.DataFrame(columns=[*statistics.RUN, "method", "seed", "metric", "path", "epoch"])
    return pd.concat(frames, ignore_index=True)


def _history(run: Mapping[Any, Any]) -> pd.DataFrame:
    file, wanted = Path(run["path"]) / "history.csv", ["epoch", "seconds", f"validation_{run['metric']}"]
    try:
        history = pd.read_csv(io.StringIO(outside.read(file)), usecols=wanted).astype(float)
        if not history[["epoch", "seconds"]].apply(lambda column: column.between(0, 1e9)).all(axis=None):
            raise ValueError("an epoch or its seconds are no number from 0 to 1e9")
    except (OSError, ValueError, TypeError, OverflowError) as error:
        log.warning("%s cannot be read (%s); its curve is left out.", outside.prose(file), outside.prose(error))
        return pd.DataFrame()
    score = history[wanted[2]]
    history[wanted[2]] = score.where(score.abs() <= outside.LARGEST)
    keys = {key: run[key] for key in [*statistics.RUN, "method", "seed", "metric", "path"]}
    return pd.concat([pd.DataFrame(keys, index=history.index), history], axis=1)
