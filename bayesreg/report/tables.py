"""Tables of mean ± sd over seeds, as cells."""

import math
from typing import NamedTuple

import pandas as pd

from bayesreg import statistics
from bayesreg.metrics import METRICS

NOTHING = "–"
DAGGER = "†"  # stands behind a score that does not beat the baseline


class Cell(NamedTuple):
    """The text of a cell, whether it stands out (the best, or larger than its sd), and does not beat a baseline.

    tint: of a heatmap, from −1, clearly worse than none, to 1, clearly better.
    """

    text: str
    marked: bool = False
    below_baseline: bool = False
    tint: float = 0.0


class Table(NamedTuple):
    """A header, and rows whose first cell is their name."""

    header: list[str]
    rows: list[list[Cell]]


def shape(value: float) -> str:
    """How to write a number: 0.957, 0.0042, 12.34, 2917; what is out of hand as 2.1e+07 or 4.2e-08."""
    power = math.floor(math.log10(abs(value))) if value else 0
    if not -6 < power < 5:
        return ".1e"
    return f".{max(0, 3 - power) if power > 0 else max(3, 1 - power)}f"


def number(value: float, form: str | None = None, sign: str = "") -> str:
    """A number in the form given, or in its own; without a sign where that leaves 0; a dash where there is none."""
    if not math.isfinite(value):
        return NOTHING
    text = f"{value:{sign}{form or shape(value)}}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")


def spread(mean: float, sd: float, sign: str = "", joint: str = " ± ") -> str:
    """mean ± sd with equal decimals; the mean alone where one seed leaves no spread."""
    if not math.isfinite(mean) or not math.isfinite(sd):
        return number(mean, sign=sign)
    size = max(abs(mean), sd)
    form = ".4f" if sign and size < 10 else shape(size)  # a column of differences in one form
    return number(mean, form, sign) + joint + number(sd, form)


def status(row: dict) -> str:
    """What stands in place of a number: why the method has none on this task."""
    return NOTHING if not isinstance(row.get("status"), str) or row["status"] == "done" else row["status"]


def matrix(results: pd.DataFrame) -> tuple[list[str], list[str], dict[tuple[str, str], dict]]:
    """Tasks, methods, and the row of the results for each pair that was run."""
    rows = {(row["task"], row["method"]): row for row in results.to_dict("records")}
    return sorted(set(results["task"])), statistics.ordered(results["method"]), rows


def scores(results: pd.DataFrame, joint: str = " ± ") -> Table:
    """Test headline metric by task and method, the best marked; last the average normalised score.

    Where a task has a baseline, the third column holds its score and, below, its name.
    """
    tasks, methods, rows = matrix(results)
    ranked = statistics.oriented(results)
    best = ranked.max(axis=1)
    body = []
    for task in tasks:
        cells = [Cell(task), Cell(metric_of(results, task))]
        for method in methods:
            row = rows.get((task, method), {})
            value = row.get("score_mean", math.nan)
            text = spread(value, row["score_sd"], joint=joint) if math.isfinite(value) else status(row)
            cells.append(Cell(text, bool(ranked.loc[task, method] == best[task]), bool(row.get("below_baseline"))))
        body.append(cells)
    average = [Cell("average"), Cell("scaled"), *(Cell(text) for text in averages(ranked))]
    table = Table(["", "metric", *methods], [*body, average])
    return with_baselines(table, [baseline(results, task) for task in tasks])


def with_baselines(table: Table, texts: list[str]) -> Table:
    """The table of scores with a third column; as it is where no task has a baseline."""
    if set(texts) <= {NOTHING}:
        return table
    rows = [[*row[:2], Cell(text), *row[2:]] for row, text in zip(table.rows, [*texts, ""], strict=True)]
    return Table([*table.header[:2], "baseline", *table.header[2:]], rows)


def baseline(results: pd.DataFrame, task: str) -> str:
    """The score of a task's best baseline, and below it its name."""
    row = results[results["task"] == task].iloc[0]
    known = math.isfinite(row.get("baseline_score", math.nan))
    return f"{number(row['baseline_score'])}\n{row['baseline']}" if known else NOTHING


def averages(ranked: pd.DataFrame) -> list[str]:
    """The average normalised score of each method; with the number of tasks where some are missing."""
    scaled = statistics.normalise(ranked)
    pairs = zip(statistics.average(scaled), scaled.notna().sum(), strict=True)
    return [
        NOTHING if not n else f"{mean:.2f}" if n == len(scaled) else f"{mean:.2f} ({n}/{len(scaled)})"
        for mean, n in pairs
    ]


def metric_of(runs: pd.DataFrame, task: str) -> str:
    """The headline metric of a task."""
    return str(runs.loc[runs["task"] == task, "metric"].iloc[0])


def seeds(results: pd.DataFrame) -> str:
    """3 seeds, 8 seeds × 5 folds, or 1 seed on a, 3 seeds on b where tasks differ; of what has a result."""
    done = results[results["seeds"] > 0]
    by_task = {task: _seeds(group) for task, group in done.groupby("task")}
    texts = list(dict.fromkeys(by_task.values()))
    if len(texts) < 2:
        return texts[0] if texts else "no seed yet"
    return ", ".join(f"{text} on {', '.join(t for t in by_task if by_task[t] == text)}" for text in texts)


def _seeds(task: pd.DataFrame) -> str:
    low, high, folds = int(task["seeds"].min()), int(task["seeds"].max()), int(task["folds"].max())
    text = f"{low} to {high} seeds" if low < high else f"{high} seed{'' if high == 1 else 's'}"
    return f"{text} × {folds} folds" if folds > 1 else text


def metrics(results: pd.DataFrame, task: str, baselines: pd.DataFrame) -> Table:
    """Every test metric of one task, with the chosen strength in both conventions; last its baselines."""
    rows, others = results[results["task"] == task], baselines[baselines["task"] == task]
    names = [c.removesuffix("_mean") for c in map(str, rows) if c.endswith("_mean") and rows[c].notna().any()]
    names = [name for name in names if name in METRICS]
    names.sort(key=[metric_of(rows, task), *METRICS].index)
    body = []
    for row in rows.to_dict("records"):
        cells = [row["method"], strength(row), row.get("natural") or NOTHING, f"{row['seeds']:.0f}"]
        if row["status"] != "done":
            cells[1:3] = [row["status"], NOTHING]
        body.append([Cell(str(text)) for text in cells] + [_metric(rows, row, name, others) for name in names])
    for own in others.to_dict("records"):
        values = [Cell(number(own.get(name, math.nan))) for name in names]
        body.append([Cell(f"baseline {own['baseline']}"), *[Cell(NOTHING)] * 3, *values])
    return Table(["method", "strength", "natural", "seeds", *names], body)


def _metric(rows: pd.DataFrame, row: dict, name: str, baselines: pd.DataFrame) -> Cell:
    mean, column = row[f"{name}_mean"], rows[f"{name}_mean"]
    best = column.max() if METRICS[name].higher_is_better else column.min()
    references: list[float] = list(baselines[name].dropna()) if name in baselines and math.isfinite(mean) else []
    below_baseline = any(not METRICS[name].beats(mean, reference) for reference in references)
    return Cell(spread(mean, row[f"{name}_sd"]), bool(mean == best), below_baseline)


def strength(row: dict, joint: str = "\n") -> str:
    """The strength that was chosen; with several folds, the range of theirs; nothing for a method without one."""
    if not math.isfinite(row["strength"]):
        return NOTHING
    low, high = row.get("strength_low", math.nan), row.get("strength_high", math.nan)
    return f"{row['strength']:.3g}" + (f"{joint}({low:.3g} to {high:.3g})" if low < high else "")


def verdicts(table: pd.DataFrame) -> Table:
    """Differences to none by task, metric and method as a study concludes them, the clearly better ones marked.

    Of each task first the NLL, then its headline metric.
    """
    names = list(dict.fromkeys(["nll", *table["metric"]]))
    methods = [name for name in statistics.ordered(table["method"]) if name != "none"]
    rows = {(row["task"], row["method"]): row for row in table.to_dict("records")}
    body = [
        [Cell(task), Cell(name), *(_verdict(rows.get((task, method), {}), name) for method in methods)]
        for task in sorted(set(table["task"]))
        for name in names
        if table.loc[table["task"] == task, f"{name}_difference"].notna().any()
    ]
    return Table(["", "metric", *methods], body)


def _verdict(row: dict, name: str) -> Cell:
    values = [row.get(f"{name}_{part}", math.nan) for part in ("difference", "low", "high")]
    if not all(map(math.isfinite, values)):
        return Cell(status(row))
    mean, low, high = (number(value, None if abs(value) >= 10 else ".3f", "+") for value in values)
    return Cell(f"{mean} [{low}, {high}]\n{row[f'{name}_verdict']}", row[f"{name}_verdict"] == "better")


def differences(paired: pd.DataFrame) -> Table:
    """Paired differences to none by task and method; those larger than their sd are marked."""
    rows = {(row["task"], row["method"]): row for row in paired.to_dict("records")}
    methods = statistics.ordered(paired["method"])
    body = []
    for task in sorted(set(paired["task"])):
        found = [rows.get((task, method)) for method in methods]
        cells = [Cell(difference(row), clear(row)) if row else Cell(NOTHING) for row in found]
        body.append([Cell(task), *cells])
    return Table(["", *methods], body)


def difference(row: dict) -> str:
    """+0.012 ± 0.003, and below it the number of pairs."""
    return f"{spread(row['mean'], row['sd'], sign='+')}\nn = {row['n']}"


def clear(row: dict) -> bool:
    """Whether a difference is larger than its sd over seeds; unknown, so no, with one seed."""
    return bool(abs(row["mean"]) > row["sd"])


def seconds(results: pd.DataFrame) -> Table:
    """Seconds an epoch after warm-up by task and method, and the ratio to none."""
    tasks, methods, rows = matrix(results)
    body = []
    for task in tasks:
        none = rows.get((task, "none"), {}).get("seconds_epoch_mean", math.nan)
        body.append([Cell(task), *(_seconds(rows.get((task, method), {}), none) for method in methods)])
    return Table(["", *methods], body)


def _seconds(row: dict, none: float) -> Cell:
    mean = row.get("seconds_epoch_mean", math.nan)
    if not math.isfinite(mean):
        return Cell(status(row))
    ratio = f"\n{mean / none:.2f}×" if math.isfinite(none) and none > 0 else ""
    return Cell(spread(mean, row["seconds_epoch_sd"]) + ratio)


def budget(results: pd.DataFrame) -> Table:
    """Candidates tried × seeds reported, by task and method."""
    tasks, methods, rows = matrix(results)
    pairs = [[rows.get((task, method)) for method in methods] for task in tasks]
    cells = [[Cell(f"{row['strengths']} × {row['seeds']:.0f}" if row else NOTHING) for row in p] for p in pairs]
    return Table(["", *methods], [[Cell(task), *row] for task, row in zip(tasks, cells, strict=True)])
