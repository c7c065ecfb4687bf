"""The comparison of methods: the strength of each chosen on validation, the method reported on test, paired by seed.

A *task* is one thing that methods are compared on: data, a network and settings of training.
A *candidate* is one method at one strength. Its runs of stage "tune" tell on validation how good it is, those of stage
"test" are reported; a run without a stage does both. Where rows are divided into folds, each fold of each partition
is a *cell* with a choice of its own, by runs that have not seen its test rows; elsewhere a task is one cell.

    candidates(runs) → choose(runs) → select(runs) → by_seed(selected) → results(runs)
"""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from bayesreg.methods import TECHNIQUES
from bayesreg.metrics import METRICS
from bayesreg.priors import PRIORS

CELL = ["task", "partition", "fold"]
CANDIDATE = ["task", "method", "candidate"]
RUN = ["task", "candidate", "seed", "stage", "partition", "fold"]  # what identifies a run
DESCRIBED = ["strength", "tuned"]  # of a candidate: its first tuned term's strength, and all of them
FAILED = ("incomplete", "diverged", "refused")  # of several that say why a method has no result, the first
SELECT = "nll"  # what strengths are chosen by


def ordered(names: Iterable[str]) -> list[str]:
    """Methods in the order of every table and picture: as their first terms in PRIORS and TECHNIQUES, then by name."""
    known = [*PRIORS, *TECHNIQUES]

    def place(name: str) -> tuple[int, str]:
        first = re.split(r"[@+:(]", name)[0]
        return known.index(first) if first in known else len(known), name

    return sorted(set(names), key=place)


def sense(metric: str) -> int:
    """1 where more of a metric is better, −1 where less is."""
    return 1 if METRICS[metric].higher_is_better else -1


def score(runs: pd.DataFrame, split: str, metric: str | None = None) -> pd.Series:
    """A metric on one split, None for the one that each run names; NaN where it is absent or infinite."""
    found = pd.Series(np.nan, index=runs.index, dtype=float)
    for name, rows in runs.groupby(runs["metric"] if metric is None else pd.Series(metric, index=runs.index)):
        if f"{split}_{name}" in runs:
            found[rows.index] = rows[f"{split}_{name}"].astype(float)
    return found.where(np.isfinite(found))


def shared_seeds(task: pd.DataFrame) -> set[int]:
    """The seeds of a task: those that at least half of its methods ran.

    One stray run with a new seed must not turn every other method into one with a missing seed.
    """
    methods = task.groupby("seed")["method"].nunique()
    shared = methods[2 * methods >= task["method"].nunique()]
    return set(shared.index if len(shared) else methods.index)


def tuning(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that help to choose; of a method with none of stage "tune", as it has nothing to tune, those it has."""
    tune = runs["stage"].eq("tune")
    untuned = ~tune.groupby([runs["task"], runs["method"]]).transform("any")
    return runs[(tune | runs["stage"].isna() | untuned) & ~(runs["stage"].eq("test") & ~untuned)]


def candidates(runs: pd.DataFrame, select: str = SELECT) -> pd.DataFrame:
    """One row a candidate: `validation_mean` and `validation_sd` of the metric `select` over its runs, and `status`.

    `done` needs every repeat that others of the method have; one that diverged makes it `diverged`, one that is missing
    `incomplete`. One that has no meaning is `refused`, and `reason` says why. Columns of the test split are dropped
    before anything is computed.
    """
    return _candidates(runs, select, ["task"])


def _candidates(runs: pd.DataFrame, select: str, cell: list[str]) -> pd.DataFrame:
    runs = tuning(runs[[column for column in runs if not str(column).startswith("test_")]]).reset_index(drop=True)
    runs = runs.assign(score=score(runs, "validation", select).where(runs["status"] == "done"))
    runs = runs.assign(repeat=list(zip(runs["seed"], runs["partition"], runs["fold"], strict=True)))
    rows = []
    for _, task in runs.groupby(cell):
        for _, method in task.groupby("method"):
            wanted = _wanted(method, task)
            for _, group in method.groupby("candidate"):
                row = dict(group.iloc[0][[*dict.fromkeys([*cell, *CANDIDATE]), *DESCRIBED]])
                rows.append(row | _candidate(group, wanted))
    return pd.DataFrame(rows)


def _wanted(method: pd.DataFrame, task: pd.DataFrame) -> set[tuple]:
    """The repeats that each candidate of a method needs: those of its stage that half of the task's methods have."""
    alike = task[task["stage"].isin(set(method["stage"]))]
    seeds = shared_seeds(alike)
    return {repeat for repeat in set(alike["repeat"]) if repeat[0] in seeds}


def _candidate(group: pd.DataFrame, wanted: set[tuple]) -> dict[str, object]:
    group = group[group["repeat"].isin(wanted)].sort_values("seed")
    missing = wanted - set(group["repeat"])
    refused = group[group["status"] == "refused"]
    status = "diverged" if group["score"].isna().any() else "incomplete" if missing else "done"
    return {
        "status": "refused" if len(refused) else status,
        "reason": refused["message"].iloc[0] if len(refused) else None,
        "validation_mean": group["score"].mean(skipna=False) if len(group) else np.nan,
        "validation_sd": group["score"].std(ddof=1),
    }


def choose(runs: pd.DataFrame, select: str = SELECT) -> pd.DataFrame:
    """One row a cell and method: the candidate with the best mean of `select` on validation.

    Only candidates with every repeat done qualify; equal means go to the smaller strength. Where none
    qualifies, `status` says `incomplete` (a missing run could still change that), `diverged` or `refused`.
    `strengths` counts the candidates tried; `edge` says that the choice is the first or last strength of them.
    """
    groups = _candidates(runs, select, CELL).groupby([*CELL, "method"], sort=False)
    return _in_order(pd.DataFrame([_choice(group, select, CELL) for _, group in groups]))


def _choice(group: pd.DataFrame, select: str, cell: list[str]) -> dict[str, object]:
    row = dict(group.iloc[0][[*cell, "method"]])
    strengths = group["strength"].dropna().unique()
    row |= {"strengths": len(group), "candidate": None, "strength": np.nan, "tuned": (), "edge": False, "reason": None}
    done = group[group["status"] == "done"]
    if done.empty:
        worst = min(group.to_dict("records"), key=lambda row: FAILED.index(row["status"]))
        return row | {"status": worst["status"], "reason": worst["reason"]}
    # Rounded, so that two equal means do not differ by the order in which the seeds were added.
    ranked = done.assign(rank=-done["validation_mean"].round(12) * sense(select))
    best = ranked.sort_values(["rank", "strength", "candidate"]).iloc[0]
    edge = len(strengths) > 1 and best["strength"] in (strengths.min(), strengths.max())
    kept = ["status", "candidate", "strength", "tuned", "validation_mean", "validation_sd"]
    return row | dict(best[kept]) | {"edge": bool(edge)}


def select(runs: pd.DataFrame, metric: str = SELECT) -> pd.DataFrame:
    """The runs of the chosen candidates: the only ones whose test metrics are ever reported."""
    chosen = choose(runs, metric).query("status == 'done'")[[*CELL, "method", "candidate"]]
    tested = runs[runs["stage"].ne("tune")]
    wanted = {(task, seed) for task, group in tested.groupby("task") for seed in shared_seeds(group)}
    kept = tested[[pair in wanted for pair in zip(tested["task"], tested["seed"], strict=True)]]
    return _in_order(kept.merge(chosen, on=[*CELL, "method", "candidate"]), "seed", "fold")


def _in_order(frame: pd.DataFrame, *last: str) -> pd.DataFrame:
    rank = frame["method"].map(ordered(frame["method"]).index)
    return frame.assign(_=rank).sort_values(["task", "_", *last], ignore_index=True).drop(columns="_")


def by_seed(selected: pd.DataFrame) -> pd.DataFrame:
    """One row a task, method and seed: the means over its folds; only seeds with every fold."""
    numbers = [c for c in map(str, selected) if c.startswith(("test_", "validation_", "seconds_"))]
    kept = ["metric", "natural"]
    folds = selected.groupby(["task", "method", "seed"], sort=False)
    table = folds[numbers].mean().join(folds[[name for name in kept if name in selected]].first())
    table["folds"] = folds.size()
    complete = table["folds"] == table.groupby(["task"])["folds"].transform("max")
    return table[complete].reset_index()


def summarise(selected: pd.DataFrame) -> pd.DataFrame:
    """One row a task and method: mean and sd (ddof = 1; NaN with one seed) over its seeds.

    `score_mean`, `score_sd` are of the test headline metric; `<metric>_mean`, `<metric>_sd` of every test
    metric; `seconds_epoch_…` of the cost; `validation_<metric>_mean` of validation.
    """
    table = by_seed(selected)
    names = {c: c.removeprefix("test_") for c in map(str, table) if c.startswith(("test_", "seconds_", "validation_"))}
    values = table[list(names)].rename(columns=names).assign(score=score(table, "test"))
    rows = []
    for (task, method), group in table.groupby(["task", "method"], sort=False):
        row = {"task": task, "method": method, "seeds": len(group)}
        row |= {"natural": group["natural"].iloc[0]} if "natural" in group else {}
        part = values.loc[group.index, ["score", *names.values()]].astype(float)
        for name in part:
            row |= {f"{name}_mean": part[name].mean(skipna=False), f"{name}_sd": part[name].std(skipna=False)}
        rows.append(row)
    return pd.DataFrame(rows)


def results(runs: pd.DataFrame, metric: str = SELECT) -> pd.DataFrame:
    """What was chosen and what it gives on test: a row for every task and method, NaN where none qualified.

    candidate, strength: the best on validation over all cells; `strength_low` and `strength_high` the range of those
    that the cells chose. With the options of its task, `task.<name>`.
    """
    about = runs[["task", "metric", *(c for c in map(str, runs) if c.startswith("task."))]]
    whole = _candidates(runs, metric, ["task"]).groupby(["task", "method"], sort=False)
    chosen = _in_order(pd.DataFrame([_choice(group, metric, ["task"]) for _, group in whole]))
    chosen = chosen.merge(_range(choose(runs, metric)), on=["task", "method"])
    chosen = chosen.merge(about.drop_duplicates("task"), on="task")
    selected = select(runs, metric)
    if selected.empty:
        return chosen.assign(score_mean=np.nan, score_sd=np.nan, seeds=0)
    return chosen.merge(summarise(selected), on=["task", "method"], how="left").fillna({"seeds": 0})


def _range(chosen: pd.DataFrame) -> pd.DataFrame:
    """The strengths that the cells of each task and method chose, from the lowest to the highest."""
    strengths = chosen.assign(strength=chosen["strength"].astype(float)).groupby(["task", "method"])["strength"]
    return strengths.agg(strength_low="min", strength_high="max").reset_index()


def oriented(results: pd.DataFrame) -> pd.DataFrame:
    """Mean test scores as rows of tasks and columns of methods, NaN where there is none; negative where less is better.

    So the best of each row is its maximum.
    """
    senses = results.drop_duplicates("task").set_index("task")["metric"].map(sense)
    table = results.pivot(index="task", columns="method", values="score_mean")
    return table[ordered(table.columns)].mul(senses, axis=0)


def normalise(scores: pd.DataFrame) -> pd.DataFrame:
    """(s − min) / (max − min) in each row of oriented scores: the best method 1, the worst 0; all equal, all 1."""
    low, high = scores.min(axis=1), scores.max(axis=1)
    scaled = scores.sub(low, axis=0).div((high - low).where(high > low), axis=0)
    return scaled.fillna(1.0).where(scores.notna())


def average(normalised: pd.DataFrame) -> pd.Series:
    """The mean over tasks of each method's normalised score, over the tasks where it has one."""
    return normalised.mean(axis=0)


def paired(selected: pd.DataFrame, baseline: str = "none") -> pd.DataFrame:
    """Mean, sd (ddof = 1) and n of d_s = score_s(method) − score_s(baseline) on test, s the seeds of both."""
    rows = []
    table = by_seed(selected)
    for task, group in table.assign(score=score(table, "test")).groupby("task", sort=False):
        scores = group.pivot(index="seed", columns="method", values="score")
        for name in ordered(set(map(str, scores)) - {baseline}) if baseline in scores else []:
            d = (scores[name] - scores[baseline]).dropna()
            rows.append((task, name, d.mean(), d.std(ddof=1), len(d)))
    return pd.DataFrame(rows, columns=["task", "method", "mean", "sd", "n"])


def best(candidates: pd.DataFrame, metric: str = SELECT) -> dict[tuple[str, str], str]:
    """{(task, method): its best candidate on validation}, where one is done."""
    done = candidates[candidates["status"] == "done"] if len(candidates) else candidates
    found: dict[tuple[str, str], str] = {}
    for (task, method), group in done.groupby(["task", "method"]) if len(done) else ():
        ranked = group.assign(rank=-group["validation_mean"].round(12) * sense(metric))
        found[str(task), str(method)] = str(ranked.sort_values(["rank", "strength", "candidate"]).iloc[0]["candidate"])
    return found
