"""Histograms of the weights by method: what a prior does to them. From posterior.pt of one run per task and method."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesreg import statistics
from bayesreg.files import Unusable, load_tensors
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import look, of_methods

BINS = 60
WIDE = 0.995  # the share of the weights of none, or of the first method, that the frame shows
NEAR = 1e-3  # what counts as near 0
MOST = 100_000  # weights in a histogram: more would look the same


def weights(selected: pd.DataFrame) -> Picture | None:
    """A panel per task, a line per method: the density of the weights, tensors of two or more dimensions, logarithmic.

    From the first seed and, with folds, its first fold. None where no run has kept its posterior.
    """
    groups = []
    for task, rows in selected.groupby("task"):
        known = dict(_known(rows))
        if known:
            groups.append(_group(str(task), known))
    return Picture(groups, of_methods(selected["method"])) if groups else None


def _known(rows: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    for method in statistics.ordered(rows["method"]):
        first = rows[rows["method"] == method].sort_values(["seed", "fold"]).iloc[0]
        try:
            values = of_posterior(load_tensors(Path(first["path"]) / "posterior.pt", "posterior"))
        except (OSError, Unusable, KeyError):
            continue
        if len(values):
            yield method, values


def of_posterior(state: dict[str, Any]) -> np.ndarray:
    """The weights in what `Posterior.save` wrote, at the centre of a guide that has one; at most MOST, evenly taken."""
    parameters, shapes = state["parameters"], {name: value.shape for name, value in state["network"].items()}
    found = []
    for site, names in state["blocks"]:
        vector = parameters.get(f"{site}_unconstrained", parameters.get(f"locs.{site}_unconstrained"))
        if vector is None:
            continue
        sizes = [math.prod(shapes[name]) for name in names]
        parts = zip(names, vector.detach().float().split(sizes), strict=True)
        found += [part.numpy() for name, part in parts if len(shapes[name]) > 1]
    values = np.concatenate(found) if found else np.empty(0)
    return values[:: max(1, len(values) // MOST)]


def _group(task: str, known: dict[str, np.ndarray]) -> Group:
    near = "; ".join(f"{method} {np.mean(np.abs(values) < NEAR):.1%}" for method, values in known.items())
    alt = f"Density of the weights, a line per method. Within ±{NEAR:g} of 0: {near}."
    return Group(task, [Panel(partial(_draw, known=known), alt)])


def _draw(ax: Any, known: dict[str, np.ndarray]) -> None:
    first = next(iter(known.values()))
    edge = float(np.quantile(np.abs(first), WIDE)) or 1.0
    edges = np.linspace(-edge, edge, BINS + 1)
    for method, values in known.items():
        heights = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
        colour, _, dashes = look(method)
        middle = (edges[1:] + edges[:-1]) / 2
        ax.plot(middle, np.where(heights > 0, heights, np.nan), color=colour, linestyle=dashes, linewidth=1.3)
    ax.set(yscale="log", xlabel="weight", ylabel="density")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
