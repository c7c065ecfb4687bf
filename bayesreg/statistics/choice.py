"""The comparison of priors: each chosen on validation, reported on test, paired by seed.

A *task* is one thing that priors are compared on: a data set, network and guide with the same settings.
A *candidate* is one prior at one strength, with the same options of its own, on one task, with a run for every seed.
Which options make tasks, candidates and seeds (*replicates*) is declared on the options and said in the labels `task`,
`candidate` and `replicate` of a run. `variant` is the candidate without its strength.

    candidates(runs) → choose(runs) → select(runs) → summarise(selected) → results(runs)
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from bayesreg.metrics import METRICS
from bayesreg.priors import PRIORS

RUN = ["task", "candidate", "replicate"]  # the labels that identify a run
CANDIDATE = ["task", "candidate"]
DESCRIBED = ["prior_name", "variant", "prior", "strength"]  # what a candidate's label is made from
FAILED = ("incomplete", "diverged", "refused")  # of several that say why a prior has no result, the first


def ordered(names: Iterable[str]) -> list[str]:
    """Priors in the order of every table and picture: that of PRIORS, then sums by name."""
    known = list(PRIORS)
    return sorted(set(names), key=lambda name: (known.index(name) if name in known else len(known), name))


def sense(metric: str) -> int:
    """1 where more of a metric is better, −1 where less is."""
    return 1 if METRICS[metric].higher_is_better else -1


def headline(runs: pd.DataFrame, split: str) -> pd.Series:
    """The metric that each run names in `metric`, on one split; NaN where it is absent or infinite."""
    score = pd.Series(np.nan, index=runs.index, dtype=float)
    for metric, rows in runs.groupby("metric"):
        if f"{split}_{metric}" in runs:
            score[rows.index] = rows[f"{split}_{metric}"].astype(float)
    return score.where(np.isfinite(score))


def seeds(task: pd.DataFrame) -> set[str]:
    """The seeds of a task: those that at least half of its priors ran.

    One stray run with a new seed must not turn every other prior into one with a missing seed.
    """
    priors = task.groupby("replicate")["prior_name"].nunique()
    shared = priors[2 * priors >= task["prior_name"].nunique()]
    return set(shared.index if len(shared) else priors.index)


def candidates(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a candidate: `validation_mean` and `validation_sd` over the seeds of its task, and `status`.

    `done` needs every seed; one that diverged makes it `diverged`, one that is missing `incomplete`. One that
    has no meaning is `refused`, and `reason` says why.
    Columns of the test split are dropped before anything is computed.
    """
    runs = runs[[column for column in runs if not str(column).startswith("test_")]].reset_index(drop=True)
    runs = runs.assign(score=headline(runs, "validation").where(runs["status"] == "done"))
    rows = []
    for _, task in runs.groupby("task"):
        wanted, metric = seeds(task), task["metric"].iloc[0]
        for _, group in task.groupby("candidate"):
            row = dict(group.iloc[0][[*CANDIDATE, *DESCRIBED]])
            rows.append(row | {"metric": metric} | _candidate(group, wanted))
    return pd.DataFrame(rows)


def _candidate(group: pd.DataFrame, wanted: set[str]) -> dict[str, object]:
    group = group[group["replicate"].isin(wanted)].sort_values("replicate")
    missing = wanted - set(group["replicate"])
    refused = group[group["status"] == "refused"]
    status = "diverged" if group["score"].isna().any() else "incomplete" if missing else "done"
    return {
        "status": "refused" if len(refused) else status,
        "reason": refused["message"].iloc[0] if len(refused) else None,
        "seeds": len(wanted),
        "validation_mean": group["score"].mean(skipna=False) if len(group) else np.nan,
        "validation_sd": group["score"].std(ddof=1),
    }


def choose(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a task and prior: the candidate with the best mean validation headline metric.

    Only candidates with every seed done qualify; equal means go to the smaller strength. Where none
    qualifies, `status` says `incomplete` (a missing run could still change that), `diverged` or `refused`.
    `strengths` counts the candidates tried; `edge` says that the choice is the grid's first or last.
    """
    groups = candidates(runs).groupby(["task", "prior_name"], sort=False)
    return _in_order(pd.DataFrame([_choice(group) for _, group in groups]))


def _choice(group: pd.DataFrame) -> dict[str, object]:
    row = dict(group.iloc[0][["task", "prior_name", "seeds"]])
    strengths = group["strength"].dropna().unique()
    row |= {
        "strengths": len(group),
        "candidate": None,
        "prior": None,
        "strength": np.nan,
        "edge": False,
        "reason": None,
    }
    done = group[group["status"] == "done"]
    if done.empty:
        worst = min(group.to_dict("records"), key=lambda row: FAILED.index(row["status"]))
        return row | {"status": worst["status"], "reason": worst["reason"]}
    # Rounded, so that two equal means do not differ by the order in which the seeds were added.
    ranked = done.assign(rank=-done["validation_mean"].round(12) * done["metric"].map(sense))
    best = ranked.sort_values(["rank", "strength", "candidate"]).iloc[0]
    edge = len(strengths) > 1 and best["strength"] in (strengths.min(), strengths.max())
    kept = ["status", "candidate", "variant", "prior", "strength", "validation_mean", "validation_sd"]
    return row | dict(best[kept]) | {"edge": bool(edge)}


def select(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the chosen candidates: the only ones whose test metrics are ever reported."""
    chosen = choose(runs).query("status == 'done'")[CANDIDATE]
    wanted = {(task, seed) for task, group in runs.groupby("task") for seed in seeds(group)}
    kept = runs[[pair in wanted for pair in zip(runs["task"], runs["replicate"], strict=True)]]
    return _in_order(kept.merge(chosen, on=CANDIDATE), "seed", "replicate")


def _in_order(frame: pd.DataFrame, *last: str) -> pd.DataFrame:
    rank = frame["prior_name"].map(ordered(frame["prior_name"]).index)
    return frame.assign(_=rank).sort_values(["task", "_", *last], ignore_index=True).drop(columns="_")


def summarise(selected: pd.DataFrame) -> pd.DataFrame:
    """One row a task and prior: mean and sd (ddof = 1; NaN with one seed) over its seeds.

    `score_mean`, `score_sd` are of the test headline metric; `<metric>_mean`, `<metric>_sd` of every test
    metric; `seconds_epoch_…` of the cost.
    """
    names = {c: c.removeprefix("test_") for c in map(str, selected) if c.startswith(("test_", "seconds_"))}
    values = selected[list(names)].rename(columns=names).assign(score=headline(selected, "test"))
    rows = []
    for _, group in selected.groupby(CANDIDATE, sort=False):
        row = dict(group.iloc[0][[*CANDIDATE, *DESCRIBED]]) | {"seeds": len(group)}
        row |= {"natural": group["natural"].iloc[0]} if "natural" in group else {}
        part = values.loc[group.index, ["score", *names.values()]].astype(float)
        for name in part:
            row |= {f"{name}_mean": part[name].mean(skipna=False), f"{name}_sd": part[name].std(skipna=False)}
        rows.append(row)
    return pd.DataFrame(rows)


def results(runs: pd.DataFrame) -> pd.DataFrame:
    """`choose` and `summarise` side by side: a row for every task and prior, NaN where none qualified.

    With the options of its task, `task.<name>`.
    """
    about = runs[["task", "metric", *(c for c in map(str, runs) if c.startswith("task."))]]
    chosen, selected = choose(runs).merge(about.drop_duplicates("task"), on="task"), select(runs)
    if selected.empty:
        return chosen.assign(score_mean=np.nan, score_sd=np.nan)
    summary = summarise(selected).drop(columns=["candidate", "variant", "prior", "strength", "seeds"])
    return chosen.merge(summary, on=["task", "prior_name"], how="left")


def oriented(results: pd.DataFrame) -> pd.DataFrame:
    """Mean test scores as rows of tasks and columns of priors, NaN where there is none; negative where less is better.

    So the best of each row is its maximum.
    """
    senses = results.drop_duplicates("task").set_index("task")["metric"].map(sense)
    table = results.pivot(index="task", columns="prior_name", values="score_mean")
    return table[ordered(table.columns)].mul(senses, axis=0)


def normalise(scores: pd.DataFrame) -> pd.DataFrame:
    """(s − min) / (max − min) in each row of oriented scores: the best prior 1, the worst 0; all equal, all 1."""
    low, high = scores.min(axis=1), scores.max(axis=1)
    scaled = scores.sub(low, axis=0).div((high - low).where(high > low), axis=0)
    return scaled.fillna(1.0).where(scores.notna())


def average(normalised: pd.DataFrame) -> pd.Series:
    """The mean over tasks of each prior's normalised score, over the tasks where it has one."""
    return normalised.mean(axis=0)


def paired(selected: pd.DataFrame, baseline: str = "none") -> pd.DataFrame:
    """Mean, sd (ddof = 1) and n of d_s = score_s(prior) − score_s(baseline) on test, s the seeds of both."""
    rows = []
    for task, group in selected.assign(score=headline(selected, "test")).groupby("task", sort=False):
        table = group.pivot(index="replicate", columns="prior_name", values="score")
        for name in ordered(set(map(str, table)) - {baseline}) if baseline in table else []:
            d = (table[name] - table[baseline]).dropna()
            rows.append((task, name, d.mean(), d.std(ddof=1), len(d)))
    return pd.DataFrame(rows, columns=["task", "prior_name", "mean", "sd", "n"])
