"""The pictures of the report, without pyplot's global state. One method, one look, everywhere."""

import math
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter

from bayesreg import statistics
from bayesreg.report import tables
from bayesreg.report.style import ink, lines, look, verbatim

CMAP = matplotlib.colormaps["viridis"]
INK, FAINT = "#222222", "#dddddd"


@verbatim
def heatmap(results: pd.DataFrame) -> Figure:
    """Figure 1: rows of tasks, columns of methods; colour the normalised score, text mean ± sd on test.

    Where tasks have baselines, they stand in a column of their own, and what does not beat its own has a dashed frame.
    """
    scaled = statistics.normalise(statistics.oriented(results))
    table = tables.scores(results, joint="\n± ")
    columns = table.header[2:]
    coloured = pd.concat([scaled, statistics.average(scaled).to_frame().T]).reindex(columns=columns)
    rows = list(coloured.to_numpy())
    height, width = len(rows), len(columns)
    figure = Figure(figsize=(2.6 + 1.25 * width, 1.2 + 0.72 * height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    places = [*range(height - 1), height - 0.82]  # the average stands a little apart
    for y, values, cells in zip(places, rows, table.rows, strict=True):
        for x, (value, cell) in enumerate(zip(values, cells[2:], strict=True)):
            _cell(axes, x, y, float(value), cell)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(places[-1] + 0.5, -0.5))
    names = [f"{lines(row[0].text)}\ntest {row[1].text}" for row in table.rows[:-1]] + ["average\nnormalised score"]
    axes.set_yticks(places, names)
    axes.set_xticks(range(width), [lines(name, 14) for name in columns], fontweight="bold")
    axes.tick_params(length=0, labelcolor=INK, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), CMAP), ax=axes, ticks=[0, 0.5, 1], aspect=28, pad=0.02)
    bar.ax.set_yticklabels(["worst 0", "0.5", "best 1"])
    bar.outline.set_visible(False)
    return figure


def _cell(axes: Any, x: float, y: float, value: float, cell: tables.Cell) -> None:
    colour = CMAP(value) if math.isfinite(value) else (0.94, 0.94, 0.94, 1.0)
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=2))
    if cell.unbeaten:
        frame = Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, fill=False, edgecolor=ink(colour[:3]), linestyle=(0, (3, 2)))
        axes.add_patch(frame)
    weight = "bold" if cell.marked else "normal"
    text = cell.text.replace(" (", "\n(") + tables.DAGGER * cell.unbeaten
    text = "\n".join(lines(line, 14) for line in text.split("\n"))
    axes.text(x, y, text, ha="center", va="center", fontsize=9, color=ink(colour[:3]), fontweight=weight)


def panels(count: int) -> tuple[Figure, list[Any]]:
    """A figure of `count` panels, three in a row, or two by two."""
    columns = 2 if count == 4 else min(3, count)
    rows = math.ceil(count / columns)
    size = (max(5.5, 3.6 * columns), 3.0 * rows + 0.6)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def legend(figure: Figure, axes: list[Any]) -> None:
    """One legend below all panels, in the order of the tables."""
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    names = statistics.ordered(handles)
    figure.legend(
        [handles[name] for name in names],
        [lines(name) for name in names],
        loc="outside lower center",
        ncols=max(1, min(6, len(names))),
        frameon=False,
    )


@verbatim
def curves(histories: pd.DataFrame, over: str = "epoch") -> Figure | None:
    """Figure 2: validation headline metric by epoch, or over the "seconds" of training; mean over seeds, ±1 sd."""
    if histories.empty:
        return None
    elapsed = histories.groupby("path")["seconds"].cumsum() if over == "seconds" else histories["epoch"]
    histories = histories.assign(score=statistics.score(histories, "validation"), elapsed=elapsed)
    tasks = sorted(set(histories["task"]))
    figure, axes = panels(len(tasks))
    for ax, task in zip(axes, tasks, strict=True):
        rows = histories[histories["task"] == task]
        for method in statistics.ordered(rows["method"]):
            epochs = rows[rows["method"] == method].groupby("epoch")
            x = epochs["elapsed"].mean()
            _line(ax, method, epochs["score"].mean().set_axis(x), epochs["score"].std(ddof=1).set_axis(x))
        label = "epoch" if over == "epoch" else "seconds of training"
        ax.set(title=lines(task), xlabel=label, ylabel=f"validation {tables.metric_of(rows, task)}")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=over == "epoch"))
        ax.margins(x=0.02)
        _cut(ax, rows)
    legend(figure, axes)
    return figure


def _line(ax: Any, method: str, mean: pd.Series, sd: pd.Series) -> None:
    colour, marker, line = look(method)
    x = mean.index.to_numpy(dtype=float)
    every = max(1, len(x) // 6)
    style: dict[str, Any] = {
        "color": colour,
        "marker": marker,
        "linestyle": line,
        "markersize": 5,
        "linewidth": 1.6,
    }
    ax.plot(x, mean.to_numpy(), label=method, markevery=every, **style)
    if sd.notna().any():
        ax.fill_between(x, (mean - sd).to_numpy(), (mean + sd).to_numpy(), color=colour, alpha=0.13, linewidth=0)


def _cut(ax: Any, rows: pd.DataFrame) -> None:
    """Frame the last two thirds of the epochs: the first climb would hide the rest."""
    first = rows["epoch"].min()
    late = rows[rows["epoch"] >= first + (rows["epoch"].max() - first) / 3]["score"].dropna()
    if len(late) and late.max() > late.min():
        room = 0.08 * (late.max() - late.min())
        ax.set_ylim(late.min() - room, late.max() + room)


@verbatim
def strengths(candidates: pd.DataFrame, results: pd.DataFrame, select: str = statistics.SELECT) -> Figure | None:
    """The metric on validation that chose, by strength; a ring marks the chosen one, a cross one that diverged."""
    known = (candidates["strength"] > 0) & (candidates["status"] == "done")
    tasks = sorted(set(candidates.loc[known, "task"]))
    if not tasks:
        return None
    figure, axes = panels(len(tasks))
    for ax, task in zip(axes, tasks, strict=True):
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set(title=lines(task), xlabel="strength", ylabel=f"validation {select}")
        rows = candidates[candidates["task"] == task]
        for method in statistics.ordered(rows["method"]):
            _strengths(ax, method, rows[rows["method"] == method].sort_values("strength"))
        for row in results[(results["task"] == task) & (results["strength"] > 0)].to_dict("records"):
            ring: dict[str, Any] = {
                "markerfacecolor": "none",
                "markeredgecolor": look(row["method"]).colour,
            }
            ax.plot(row["strength"], row["validation_mean"], "o", markersize=13, markeredgewidth=1.8, **ring)
    legend(figure, axes)
    return figure


def _strengths(ax: Any, method: str, rows: pd.DataFrame) -> None:
    done = rows[rows["status"] == "done"]
    colour, _, line = look(method)
    for value in done.loc[done["strength"].isna(), "validation_mean"]:
        ax.axhline(value, color=colour, linestyle=line, linewidth=1.4, label=method)
    done = done[done["strength"].notna()].set_index("strength")
    if len(done):
        _line(ax, method, done["validation_mean"], done["validation_sd"])
    failed = rows.loc[(rows["status"] == "diverged") & rows["strength"].notna(), "strength"]
    # Data coordinates across, the frame's own coordinates upwards: the crosses stand on the axis.
    if len(failed):
        ax.plot(failed, [0.03] * len(failed), "x", color=colour, transform=ax.get_xaxis_transform())
