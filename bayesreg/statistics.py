"""The comparison of priors: each chosen on validation, reported on test, paired by seed.

A *task* is one thing that priors are compared on: a data set, network and guide with the same settings.
A *candidate* is one prior at one strength on one task, with a run for every seed.

    candidates(runs) → choose(runs) → select(runs) → summarise(selected) → results(runs)
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

PRIORS = ("none", "l1", "l2", "ard", "entropic", "smoothness")
TASK: tuple[str, ...] = ("dataset", "net", "guide", "experiment", "metric", "train_size", "imbalance", "epochs")
TASK += ("batch_size", "lr", "words", "length", "image_size", "latent")
TASK += ("width", "hidden", "noise", "heteroscedastic", "augment")
CANDIDATE = ["task", "prior_name", "prior", "strength"]
HIGHER = ("accuracy", "macro_f1", "r2")
LOWER = ("nll", "brier", "ece", "rmse", "mse")
FAILED = ("incomplete", "diverged", "refused")  # of several that say why a prior has no result, the first


def ordered(names: Iterable[str]) -> list[str]:
    """Priors in the order of every table and picture: none, the known ones, then sums by name."""
    return sorted(set(names), key=lambda name: (PRIORS.index(name) if name in PRIORS else len(PRIORS), name))


def tasks(runs: pd.DataFrame) -> pd.Series:
    """A label for the task of each run: the data set, and what tells it from others on the same data."""
    keys = [column for column in TASK if column in runs]
    values = runs[keys].astype(object).where(runs[keys].notna(), None)
    rows = list(values.itertuples(index=False, name=None))
    labels: dict[tuple, str] = {}
    for dataset in {row[0] for row in rows}:
        labels |= _labels(keys, {row for row in rows if row[0] == dataset})
    return pd.Series([labels[row] for row in rows], index=runs.index, dtype=object)


def _labels(keys: list[str], rows: set[tuple]) -> dict[tuple, str]:
    labels = {row: str(row[0]) for row in rows}
    for i, key in enumerate(keys):
        if len(set(labels.values())) == len(rows):
            break
        if len({row[i] for row in rows}) > 1:
            word = "" if key in TASK[1:4] else f"{key} "
            text = {row: f"{v:g}" if isinstance(v := row[i], float) else v for row in rows}
            labels |= {row: f"{labels[row]} · {word}{text[row]}" for row in rows if row[i] is not None}
    return labels


def labelled(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with their `task`, kept where it is already there: a part of the runs keeps its labels."""
    task = runs["task"] if "task" in runs else tasks(runs)
    return runs.assign(task=task, strength=runs["strength"].astype(float))


def sense(metric: str) -> int:
    """1 where more of a metric is better, −1 where less is."""
    return -1 if metric in LOWER else 1


def beats(metric: str, score: float, other: float) -> bool:
    """Whether a score is better than another one of the same metric; equal is not better."""
    return sense(metric) * score > sense(metric) * other


def headline(runs: pd.DataFrame, split: str) -> pd.Series:
    """The metric that each run names in `metric`, on one split; NaN where it is absent or infinite."""
    score = pd.Series(np.nan, index=runs.index, dtype=float)
    for metric, rows in runs.groupby("metric"):
        if f"{split}_{metric}" in runs:
            score[rows.index] = rows[f"{split}_{metric}"].astype(float)
    return score.where(np.isfinite(score))


def seeds(task: pd.DataFrame) -> set[int]:
    """The seeds of a task: those that at least half of its priors ran.

    One stray run with a new seed must not turn every other prior into one with a missing seed.
    """
    priors = task.groupby("seed")["prior_name"].nunique()
    shared = priors[2 * priors >= task["prior_name"].nunique()]
    return set(shared.index if len(shared) else priors.index)


def candidates(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a candidate: `validation_mean` and `validation_sd` over the seeds of its task, and `status`.

    `done` needs every seed; one that diverged makes it `diverged`, one that is missing `incomplete`. One that
    has no meaning is `refused`, and `reason` says why.
    Columns of the test split are dropped before anything is computed.
    """
    runs = labelled(runs)
    runs = runs[[column for column in runs if not str(column).startswith("test_")]].reset_index(drop=True)
    runs = runs.assign(score=headline(runs, "validation").where(runs["status"] == "done"))
    rows = []
    for _, task in runs.groupby("task"):
        wanted, metric = seeds(task), task["metric"].iloc[0]
        for key, group in task.groupby(CANDIDATE, dropna=False):
            rows.append(dict(zip(CANDIDATE, key, strict=True)) | {"metric": metric} | _candidate(group, wanted))
    return pd.DataFrame(rows)


def _candidate(group: pd.DataFrame, wanted: set[int]) -> dict[str, object]:
    group = group[group["seed"].isin(wanted)].sort_values(["seed", "path"] if "path" in group else ["seed"])
    missing = wanted - set(group["seed"])
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
    row |= {"strengths": len(group), "prior": None, "strength": np.nan, "edge": False, "reason": None}
    done = group[group["status"] == "done"]
    if done.empty:
        worst = min(group.to_dict("records"), key=lambda row: FAILED.index(row["status"]))
        return row | {"status": worst["status"], "reason": worst["reason"]}
    # Rounded, so that two equal means do not differ by the order in which the seeds were added.
    ranked = done.assign(rank=-done["validation_mean"].round(12) * done["metric"].map(sense))
    best = ranked.sort_values(["rank", "strength", "prior"]).iloc[0]
    edge = len(strengths) > 1 and best["strength"] in (strengths.min(), strengths.max())
    kept = ["status", "prior", "strength", "validation_mean", "validation_sd"]
    return row | dict(best[kept]) | {"edge": bool(edge)}


def select(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the chosen candidates: the only ones whose test metrics are ever reported."""
    runs = labelled(runs)
    chosen = choose(runs).query("status == 'done'")[CANDIDATE]
    wanted = {(task, seed) for task, group in runs.groupby("task") for seed in seeds(group)}
    kept = runs[[pair in wanted for pair in zip(runs["task"], runs["seed"], strict=True)]]
    return _in_order(kept.merge(chosen, on=CANDIDATE), "seed")


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
    for key, group in selected.groupby(CANDIDATE, dropna=False, sort=False):
        row = dict(zip(CANDIDATE, key, strict=True)) | {"seeds": len(group)}
        row |= {"natural": group["natural"].iloc[0]} if "natural" in group else {}
        part = values.loc[group.index, ["score", *names.values()]].astype(float)
        for name in part:
            row |= {f"{name}_mean": part[name].mean(skipna=False), f"{name}_sd": part[name].std(skipna=False)}
        rows.append(row)
    return pd.DataFrame(rows)


def results(runs: pd.DataFrame) -> pd.DataFrame:
    """`choose` and `summarise` side by side: a row for every task and prior, NaN where none qualified."""
    runs = labelled(runs)
    about = runs[[c for c in ("task", "dataset", "net", "guide", "metric") if c in runs]]
    chosen, selected = choose(runs).merge(about.drop_duplicates("task"), on="task"), select(runs)
    if selected.empty:
        return chosen.assign(score_mean=np.nan, score_sd=np.nan)
    summary = summarise(selected).drop(columns=["prior", "strength", "seeds"])
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
        table = group.pivot(index="seed", columns="prior_name", values="score")
        for name in ordered(set(map(str, table)) - {baseline}) if baseline in table else []:
            d = (table[name] - table[baseline]).dropna()
            rows.append((task, name, d.mean(), d.std(ddof=1), len(d)))
    return pd.DataFrame(rows, columns=["task", "prior_name", "mean", "sd", "n"])
