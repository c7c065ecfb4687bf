"""Does the comparison claim differences that are not there, and does it find those that are?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import tyro
from matplotlib.figure import Figure

import bayesreg as br
from bayesreg import statistics
from bayesreg.files import write_atomically
from bayesreg.metrics import METRICS
from bayesreg.report.style import svg
from benchmarks import simulated

TASKS, NAMES, SEEDS = ("digits", "synthetic"), 6, 8  # of the real A/A grids


@dataclass(frozen=True)
class Calibration:
    """Measure false claims and power of the comparison on simulated grids, and write reports/statistics/."""

    grids: int = 1000
    """Simulated grids of each shape."""
    real: bool = False
    """Also train one method under several names on digits and synthetic: a few minutes."""
    study: Path | None = None
    """A folder of a comparison: print the spread of its differences, from which the shapes are taken."""
    output: Path = Path("reports/statistics")
    """Where the tables and the picture go."""


def spread(path: Path) -> pd.DataFrame:
    """A row per task and metric: the standard deviations by seed, by row and of the rest, medians over the methods."""
    rows = []
    for task, scores in br.Study.open(path).scores.items():
        for metric, tables in scores.items():
            known = [statistics.difference(own, tables["none"]) for name, own in tables.items() if name != "none"]
            if metric in METRICS and known:
                sds = np.median([np.sqrt(one.components) for one in known], axis=0)
                where = {"task": task, "metric": metric, "seeds": known[0].seeds, "rows": known[0].examples}
                rows.append(where | dict(zip(("by seed", "by row", "rest"), sds.tolist(), strict=True)))
    return pd.DataFrame(rows)


def real(output: Path, grids: int = 200) -> pd.DataFrame:
    """One row per task and metric: one method under six names, each with eight seeds of its own, dealt again each time.

    All grids share 48 runs and their test rows, so they are effectively fewer, and no interval is given.
    """
    study = br.compare(tasks=list(TASKS), methods=["none"], seeds=NAMES * SEEDS, folds=1, output=output)
    rng, rows = np.random.default_rng(0), []
    for task, scores in study.scores.items():
        for metric in ("nll", "accuracy", "brier", "ece"):
            every = scores.get(metric, {}).get("none")
            if every is not None:
                dealt = (rng.permutation(len(every)).reshape(NAMES, SEEDS) for _ in range(grids))
                wrong = sum(simulated.claimed(every[seeds]) for seeds in dealt)
                where = {"task": task, "metric": metric, "rows": every.shape[1]}
                rows.append(where | {"grids": grids, "share": wrong / grids})
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the tables and the picture."""
    options = tyro.cli(Calibration, prog="python -m benchmarks.statistics", args=arguments)
    if options.study is not None:
        print(table(spread(options.study)))
        return
    torch.set_num_threads(1)  # the arrays are small
    half = max(options.grids // 2, 1)
    parts: dict[str, Callable[[], pd.DataFrame]] = {
        "false": partial(simulated.false_claims, options.grids),
        "metrics": partial(simulated.false_by_metric, options.grids),
        "power": partial(simulated.power, half),
        "tasks": partial(simulated.over_tasks, options.grids),
    }
    parts |= {"real": partial(real, Path("runs/statistics"))} if options.real else {}
    tables = {}
    for name, measured in parts.items():
        print(f"{name}.csv", file=sys.stderr)
        tables[name] = measured()
        _write(options.output / f"{name}.csv", tables[name].to_csv(index=False).encode())
    _write(options.output / "power.svg", svg(picture(tables["power"])))
    _write(options.output / "README.md", page(tables, options.grids).encode())
    print((options.output / "README.md").read_text())


def picture(power: pd.DataFrame) -> Figure:
    """How often a difference is found by its size, a panel per task, a line per number of seeds."""
    panels = {"figsize": (12, 3), "sharey": True, "squeeze": False, "layout": "constrained"}
    figure, ((*axes,),) = plt.subplots(1, power["task"].nunique(), **panels)
    for axis, (task, own) in zip(axes, power.groupby("task", sort=False), strict=True):
        for seeds, line in own.groupby("seeds"):
            axis.plot(line["difference"], line["found"], marker="o", markersize=3, label=f"{seeds} seeds")
        axis.axhline(0.8, color="0.6", linewidth=0.8, linestyle=":")
        axis.set(title=task, xscale="log", xlabel="true difference, nats", ylim=(-0.02, 1.02))
        sizes = sorted(set(own["difference"]))
        axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axis.minorticks_off()
    axes[0].set_ylabel("share found")
    axes[0].legend(frameon=False)
    plt.close(figure)
    return figure


def table(frame: pd.DataFrame) -> str:
    """The table in Markdown: four digits, "" for NaN."""

    def text(value: Any) -> str:
        if isinstance(value, float):
            return "" if value != value else f"{value:.4g}"
        return str(value)

    rows = [[text(value) for value in row] for row in frame.itertuples(index=False)]
    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def page(tables: Mapping[str, pd.DataFrame], grids: int) -> str:
    """The tables and the picture as one page of Markdown."""
    power = tables["power"].pivot(index=["task", "rows", "seeds", "detectable"], columns="difference", values="found")
    worst = tables["false"].loc[tables["false"]["share"].idxmax()]
    answer = (
        f"**Where five methods do not differ from none, the comparison claims a difference in at most "
        f"{100 * worst['share']:.1f} % of {grids:,} grids**, beside 5 % that are allowed; it is the largest of "
        f"{len(tables['false'])} shares, of {worst['task']} with {worst['tails']} tails, and known to lie between "
        f"{100 * worst['low']:.1f} and {100 * worst['high']:.1f} %. The mean share is "
        f"{100 * tables['false']['share'].mean():.1f} %."
    )
    parts = ["# What the comparison claims, and what it finds", "", answer, "", INTRODUCTION, ""]
    parts += ["## False claims", "", FALSE, "", table(tables["false"]), "", METRIC, "", table(tables["metrics"]), ""]
    if "real" in tables:
        parts += ["## One method under six names, trained", "", REAL, "", table(tables["real"]), ""]
    parts += ["## Power", "", "![Share of differences found, by their size.](power.svg)", "", POWER, ""]
    parts += [table(power.reset_index()), "", "## Over tasks", "", OVER, "", table(tables["tasks"]), ""]
    return "\n".join(parts)


INTRODUCTION = """`python -m benchmarks.statistics` wrote this, `--real` with grids that are trained. The spreads by
seed, by test row and of the rest are those of real runs; `--study FOLDER` prints them for any comparison."""
FALSE = """*share* is how often at least one of five methods was said to be better or worse than none, after Holm's
correction and with no region of equivalence, where no two differ; *low* to *high* is its exact interval, at 95 %."""
METRIC = """The same of predictions of four unequal classes and of numbers, metric by metric. Those that are no means
over examples are expanded in the weights of the examples."""
REAL = """48 runs without a prior a task, their seeds dealt to six names 200 times. The differences by row are zero in
truth, and the interval allows for them: it is conservative here."""
POWER = """How often a true difference in NLL is found *better* than none, beyond 0.01 nats, at the first of Holm's
steps over five methods, heavy tails. *detectable* is what `bayesreg.statistics.detectable` says is found in 80 %."""
OVER = """Five methods that do not differ from none over tasks, heavy tails: how often Wilcoxon's exact test with Holm's
correction claims one (*share*), and how often the two-level interval of 95 % of one of them lacks its true mean
(*missed*). With three tasks nothing can be claimed."""


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, partial(Path.write_bytes, data=content))


if __name__ == "__main__":
    main()
