"""Figure 2 and figures 5 to 8: the score on validation while training, by data set and by method."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from bayesreg import statistics
from bayesreg.priors import Look
from bayesreg.report import tables
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, look, of_methods, of_tasks

MOST = 150  # points in a line: more would look the same
FEW = 9  # with fewer epochs, all are in the frame
AXES = {"epoch": "epoch", "seconds": "seconds of training"}


def curves(histories: pd.DataFrame, over: str = "epoch") -> Picture | None:
    """A panel per task, a line per method: mean over seeds, ±1 sd; by epoch, or over the "seconds" of training."""
    if histories.empty:
        return None
    elapsed = histories.groupby("path")["seconds"].cumsum() if over == "seconds" else histories["epoch"]
    histories = histories.assign(score=statistics.score(histories, "validation"), elapsed=elapsed)
    groups = [_by_task(str(task), rows, over) for task, rows in histories.groupby("task")]
    return Picture(groups, of_methods(histories["method"]))


def _by_task(task: str, rows: pd.DataFrame, over: str) -> Group:
    metric = tables.metric_of(rows, task)
    last = rows[rows["epoch"] == rows.groupby("path")["epoch"].transform("max")].groupby("method")["score"].mean()
    ends = "; ".join(f"{method} {tables.number(last[method])}" for method in statistics.ordered(last.index))
    alt = f"Validation {metric} by {AXES[over]}, a line per method. At the end: {ends}."
    return Group(task, [Panel(partial(_draw, rows=rows, metric=metric, over=over), alt)])


def _draw(ax: Any, rows: pd.DataFrame, metric: str, over: str) -> None:
    for method in statistics.ordered(rows["method"]):
        epochs = rows[rows["method"] == method].groupby("epoch")
        x = epochs["elapsed"].mean()
        line(ax, method, epochs["score"].mean().set_axis(x), epochs["score"].std(ddof=1).set_axis(x))
    ax.set(xlabel=AXES[over], ylabel=f"validation {metric}")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=over == "epoch"))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.margins(x=0.02)
    _cut(ax, rows)


def line(ax: Any, method: str, mean: pd.Series, sd: pd.Series) -> None:
    """A method's line with a band of one standard deviation."""
    some = np.unique(np.linspace(0, len(mean) - 1, MOST).astype(int)) if len(mean) > MOST else slice(None)
    mean, sd = mean.iloc[some], sd.iloc[some]
    colour, marker, dashes = look(method)
    x = mean.index.to_numpy(dtype=float)
    every = max(1, len(x) // 6)
    style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": dashes, "markersize": 4, "linewidth": 1.4}
    ax.plot(x, mean.to_numpy(), label=method, markevery=every, **style)
    if sd.notna().any():
        ax.fill_between(x, (mean - sd).to_numpy(), (mean + sd).to_numpy(), color=colour, alpha=0.1, linewidth=0)


def _cut(ax: Any, rows: pd.DataFrame) -> None:
    """Fit the frame to the last two thirds of many epochs: the first climb would hide the rest."""
    if rows["epoch"].nunique() < FEW:
        return
    first = rows["epoch"].min()
    late = rows[rows["epoch"] >= first + (rows["epoch"].max() - first) / 3]["score"].dropna()
    if len(late) and late.max() > late.min():
        room = 0.08 * (late.max() - late.min())
        ax.set_ylim(late.min() - room, late.max() + room)


def by_method(histories: pd.DataFrame) -> Picture | None:
    """A panel per method, a line per task: validation score minus that of none, above 0 better, by share of epochs."""
    if histories.empty or "none" not in set(histories["method"]):
        return None
    score = statistics.score(histories, "validation") * histories["metric"].map(statistics.sense)
    means = score.groupby([histories[name] for name in ("task", "method", "epoch")]).mean().unstack("method")
    methods = [name for name in statistics.ordered(means.columns) if name != "none" and means[name].notna().any()]
    differences = means[methods].sub(means["none"], axis=0)
    looks = of_tasks(sorted(set(histories["task"])))
    groups = [Group(name, [_over_tasks(name, differences[name].dropna(), looks)]) for name in methods]
    return Picture(groups, looks) if groups else None


def _over_tasks(method: str, differences: pd.Series, looks: dict[str, Look]) -> Panel:
    last = differences.groupby("task").last()
    ends = "; ".join(f"{task} {tables.number(value, '.3f', '+')}" for task, value in last.items())
    alt = (
        f"Validation score of {method} minus that of none by share of the epochs, a line per task. At the end: {ends}."
    )
    return Panel(partial(_tasks, differences=differences, looks=looks), alt)


def _tasks(ax: Any, differences: pd.Series, looks: dict[str, Look]) -> None:
    ax.axhline(0, color=LIGHT["soft"], linewidth=0.9)
    late = []
    for task, own in differences.groupby("task"):
        epochs = own.index.get_level_values("epoch").to_numpy(dtype=float)
        colour, _, dashes = looks[str(task)]
        ax.plot(epochs / epochs.max(), own, color=colour, linestyle=dashes, linewidth=1.4)
        late += list(own[epochs > epochs.max() / 3])
    room = 0.1 * (max(late) - min(late)) if late else 0.0
    if room:
        ax.set_ylim(min(*late, 0.0) - room, max(*late, 0.0) + room)
    ax.set(xlabel="share of the epochs", ylabel="score − that of none")
    ax.yaxis.set_major_locator(MaxNLocator(5))
