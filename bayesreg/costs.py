"""What a method costs: seconds to the end, seconds to the NLL that none ends with, and their ratios."""

from __future__ import annotations

import csv
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesreg.report import outside
from bayesreg.report.histories import columns

log = logging.getLogger(__name__)

REPEAT = ["seed", "partition", "fold"]
NONE = "none"


def costs(selected: pd.DataFrame) -> pd.DataFrame:
    """One row per method of the runs of one task, by the seconds that their epochs took, paired by seed and fold.

    seconds: of training, the mean over runs. seconds_ratio: that to none's, the geometric mean over pairs.
    seconds_to_none: until the NLL on validation is first as low as that of none at its end, the mean over the runs that
    get there; reached: their share; seconds_to_none_ratio: the ratio of these seconds to all of none's, over the pairs
    that get there. NaN where there is nothing to pair with. gap: NLL on validation − on training data, at the end.
    """
    if selected.empty:
        return pd.DataFrame(columns=["method"])
    runs = pd.DataFrame([_curve(run) for run in selected.to_dict("records")])
    unread = runs["why"].dropna()
    if len(unread):
        log.warning("%s; the seconds of %d run(s) are left out", unread.iloc[0], len(unread))
    none = runs[runs["method"] == NONE].set_index(REPEAT)[["seconds", "nll"]].add_prefix("none_")
    paired = runs.join(none, on=REPEAT)
    paired["to_none"] = [_first(*row) for row in zip(paired["curve"], paired["none_nll"], strict=True)]
    paired["log_ratio"] = np.log(paired["seconds"] / paired["none_seconds"])
    paired["log_to_none"] = np.log(paired["to_none"] / paired["none_seconds"])
    by = paired.assign(got=paired["to_none"].notna().where(paired["none_nll"].notna()).astype(float)).groupby("method")
    means = by[["seconds", "to_none", "log_ratio", "log_to_none", "got", "gap"]].mean()
    named = {"to_none": "seconds_to_none", "got": "reached"}
    ratios = {"seconds_ratio": np.exp(means["log_ratio"]), "seconds_to_none_ratio": np.exp(means["log_to_none"])}
    return means.assign(**ratios).drop(columns=["log_ratio", "log_to_none"]).rename(columns=named).reset_index()


def _curve(run: dict[str, Any]) -> dict[str, Any]:
    """A run with its seconds and validation NLL by epoch; empty where its history cannot be read."""
    file, why = Path(run["path"]) / "history.csv", None
    try:
        curve = columns(outside.read(file), ["seconds", "validation_nll"]).T
        if not np.isfinite(curve[0]).all() or (curve[0] < 0).any():
            raise ValueError("its seconds are not numbers of at least 0")
        curve[0] = curve[0].cumsum()
    except (OSError, ValueError, csv.Error) as error:
        why = f"{outside.prose(file)} cannot be read ({type(error).__name__}: {outside.prose(error)})"
        curve = np.empty((2, 0))
    seconds, nll = curve[:, -1] if curve.size else (math.nan, math.nan)
    gap = run.get("validation_nll", math.nan) - run.get("train_nll", math.nan)
    keys = {name: run.get(name, -1) for name in ["method", *REPEAT]}
    return keys | {"seconds": seconds or math.nan, "nll": nll, "gap": gap, "curve": curve, "why": why}


def _first(curve: np.ndarray, nll: float) -> float:
    """Seconds until the curve is first as low as that; NaN where it never is."""
    there = np.flatnonzero(curve[1] <= nll)
    return float(curve[0, there[0]]) if len(there) else math.nan
