"""Reliability diagrams: how often a prediction is right, by its confidence.

DeGroot & Fienberg, 1983; Guo et al., 2017.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesreg import runs, statistics
from bayesreg.files import Unusable
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, look, of_methods

BINS = 10  # of equal width on the probability of the predicted class
LEAST = 10  # examples in a bin that is drawn


def reliability(selected: pd.DataFrame) -> tuple[Picture | None, list[str]]:
    """A panel per classification task, a line per method, over all test examples; and the tasks without a record."""
    groups, unknown = [], []
    for task, rows in selected[selected["metric"].isin(["accuracy", "macro_f1"])].groupby("task"):
        known = {m: table for m in statistics.ordered(rows["method"]) if len(table := _kept(rows[rows["method"] == m]))}
        if known:
            groups.append(_group(str(task), known))
        else:
            unknown.append(str(task))
    methods = selected["method"] if len(selected) else []
    return (Picture(groups, of_methods(methods)) if groups else None), unknown


def _kept(rows: pd.DataFrame) -> np.ndarray:
    """[examples, 2]: the probability of the predicted class, and whether it was right; of the runs that kept both."""
    found = []
    for path in rows["path"]:
        try:
            columns = runs.scores(Path(path))
        except (FileNotFoundError, Unusable):
            continue
        if "confidence" in columns and "accuracy" in columns:
            found.append(np.stack([columns["confidence"], columns["accuracy"]], 1))
    return np.concatenate(found) if found else np.empty((0, 2))


def bins(table: np.ndarray) -> np.ndarray:
    """[bins, 3]: mean confidence, accuracy and number of examples of each bin with enough of them."""
    place = np.minimum((table[:, 0] * BINS).astype(int), BINS - 1)
    each = [table[place == b] for b in range(BINS)]
    return np.array([[*own.mean(0), len(own)] for own in each if len(own) >= LEAST]).reshape(-1, 3)


def _group(task: str, known: dict[str, np.ndarray]) -> Group:
    points = {method: bins(table) for method, table in known.items()}
    said = "; ".join(f"{m} confidence {t[:, 0].mean():.3f}, accuracy {t[:, 1].mean():.3f}" for m, t in known.items())
    alt = f"Accuracy by the probability of the predicted class, a line per method. On average: {said}."
    return Group(task, [Panel(partial(_draw, points=points), alt, height=250)])


def _draw(ax: Any, points: dict[str, np.ndarray]) -> None:
    ax.plot([0, 1], [0, 1], color=LIGHT["soft"], linewidth=0.9, linestyle=(0, (2, 2)))
    for method, own in points.items():
        colour, marker, dashes = look(method)
        ax.plot(own[:, 0], own[:, 1], color=colour, marker=marker, linestyle=dashes, markersize=4, linewidth=1.3)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the predicted class", ylabel="accuracy")
