"""The comparison of methods: the strength of each chosen on validation, the method reported on test, paired by seed.

A *task* is what methods are compared on: data, a network and settings of training. A *candidate* is one method at one
strength. Its runs of stage "tune" judge it on validation, those of stage "test" are reported; runs without a stage, of
a method that has no others, do both. Where rows are divided into folds, each fold of each partition is a *cell* with
its own choice, by runs that have not seen its test rows; elsewhere a task is one cell.

    candidates(runs) → choose(runs) → select(runs) → results(runs)
"""

import numpy as np
import pandas as pd

from bayesreg.statistics.scores import METHOD, ordered, score, sense, summarise

CELL = ["task", "partition", "fold"]
REPEAT = [
    "seed",
    "folds",
    "partition",
    "fold",
]  # without folds: 1, −1 and −1, since missing values would not be grouped
RUN = ["task", "candidate", "stage", *REPEAT]  # what identifies a run
STATUS = ("done", "incomplete", "diverged", "refused")  # a method has the first of these that one of its candidates has
SELECT = "nll"  # the metric by which strengths are chosen


def _has(runs: pd.DataFrame, flag: pd.Series) -> pd.Series:
    """Whether the method of each run has a run with the flag on its task."""
    return flag.groupby([runs["task"], runs["method"]]).transform("any")


def tested(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that are judged on test: of stage "test", or without a stage where the method has none with one."""
    return runs[runs["stage"].eq("test") | ~_has(runs, runs["stage"].notna())]


def _repeats(runs: pd.DataFrame, place: list[str]) -> pd.DataFrame:
    """One row per repeat that every method should have: those that at least half of the methods at the place have.

    One stray run with a new seed must not turn every other method into one with a missing seed.
    """
    ran, keys = runs[runs["status"] != "refused"], list(dict.fromkeys([*place, *REPEAT]))
    found = ran.groupby(keys)["method"].nunique().reset_index(name="have")
    of = ran.groupby(place)["method"].nunique().reset_index(name="of")
    found = found.merge(of, on=place)
    shared = 2 * found["have"] >= found["of"]
    none = ~shared.groupby([found[name] for name in place]).transform("any")
    return found.loc[shared | none, keys]


def _counted(runs: pd.DataFrame, repeats: pd.DataFrame, place: list[str]) -> pd.DataFrame:
    """The runs with `counts`, whether their repeat is one of these, and `needed`, how many there are at their place."""
    needed = repeats.groupby(place).size().reset_index(name="needed")
    found = runs.merge(repeats.assign(counts=1), how="left", on=list(repeats)).merge(needed, how="left", on=place)
    return found.assign(counts=found["counts"].eq(1), needed=found["needed"].fillna(1))


def candidates(runs: pd.DataFrame, select: str = SELECT) -> pd.DataFrame:
    """One row per candidate: `validation_mean` and `validation_sd` of the metric `select` over its runs, and `status`.

    The runs of stage "tune" count; for a method without any, since it has nothing to tune, those that are reported.
    `done` needs every repeat that others have; one that diverged makes it `diverged`, one that is missing `incomplete`.
    A candidate without a meaning is `refused`, and `reason` says why. Columns of the test split are dropped before
    anything is computed.
    """
    return _candidates(runs, select, ["task"])


def _candidates(runs: pd.DataFrame, select: str, place: list[str]) -> pd.DataFrame:
    runs = _telling(runs[[name for name in runs if not str(name).startswith("test_")]], place)
    known = score(runs, "validation", select).where((runs["status"] == "done") & runs["counts"])
    refused = runs["status"] == "refused"
    runs = runs.assign(
        score=known, failed=runs["counts"] & known.isna(), refused=refused, reason=runs["message"].where(refused)
    )
    groups = runs.groupby([*place, "method", "candidate"])
    found = groups[["strength", "tuned", "reason"]].first()
    lacking = groups["counts"].sum() < groups["needed"].max()
    states = {"refused": groups["refused"].any(), "diverged": groups["failed"].any(), "incomplete": lacking}
    found["status"] = np.select(list(states.values()), list(states), "done")
    found["validation_mean"] = groups["score"].mean().where(found["status"] == "done")
    found["validation_sd"] = groups["score"].std(ddof=1)
    return found.reset_index()


def _telling(runs: pd.DataFrame, place: list[str]) -> pd.DataFrame:
    """The runs by which candidates are chosen, with `counts` and `needed`."""
    tune = runs["stage"].eq("tune")
    tuned, judged = _has(runs, tune), tested(runs)
    parts = [_counted(runs[tune], _repeats(runs[tune], place), place)]
    parts += [_counted(judged[~tuned[judged.index]], _repeats(judged, place), place)]
    return pd.concat([part for part in parts if len(part)]).sort_values(REPEAT, ignore_index=True)


def choose(runs: pd.DataFrame, select: str = SELECT) -> pd.DataFrame:
    """One row per cell and method: the candidate with the best mean of `select` on validation.

    Only candidates with every repeat done qualify; of equal means the smaller strength is chosen. Where none qualifies,
    `status` says `incomplete` (a missing run could still change that), `diverged` or `refused`. `strengths` counts the
    candidates tried; `edge`: whether the choice is the first or last strength of them.
    """
    return _choose(_candidates(runs, select, CELL), select, CELL)


def _choose(candidates: pd.DataFrame, select: str, place: list[str]) -> pd.DataFrame:
    groups = candidates.groupby([*place, "method"])
    low, high, several = (groups["strength"].transform(how) for how in ("min", "max", "nunique"))
    ranked = candidates.assign(
        state=candidates["status"].map(STATUS.index),
        # Rounded, so that two equal means do not differ by the order in which the seeds were added.
        rank=-candidates["validation_mean"].round(12) * sense(select),
        strengths=groups["candidate"].transform("size"),
        edge=(several > 1) & ((candidates["strength"] == low) | (candidates["strength"] == high)),
    )
    ranked = ranked.sort_values([*place, "method", "state", "rank", "strength", "candidate"])
    first = ranked.drop_duplicates([*place, "method"]).drop(columns=["state", "rank"])
    return _in_order(_without(first, first["status"] != "done"), [])


def _without(chosen: pd.DataFrame, failed: pd.Series) -> pd.DataFrame:
    """The choices, with nothing in place of those that failed."""
    empty = {"candidate": failed, "reason": chosen["status"] != "refused"}
    texts = {name: chosen[name].astype(object).mask(gone, None) for name, gone in empty.items()}
    tuned = [() if gone else tuned for tuned, gone in zip(chosen["tuned"], failed, strict=True)]
    numbers = {name: chosen[name].mask(failed) for name in ("strength", "validation_mean", "validation_sd")}
    return chosen.assign(**texts, **numbers, tuned=tuned, edge=chosen["edge"] & ~failed)


def best(candidates: pd.DataFrame, select: str = SELECT) -> dict[tuple[str, str], str]:
    """{(task, method): its best candidate on validation}, where one is done."""
    if candidates.empty:
        return {}
    done = _choose(candidates, select, ["task"]).query("status == 'done'")
    return dict(zip(zip(done["task"], done["method"], strict=True), done["candidate"], strict=True))


def select(runs: pd.DataFrame, metric: str = SELECT) -> pd.DataFrame:
    """The runs of the chosen candidates: the only ones whose test metrics are ever reported.

    Only seeds with every fold, and methods that have every run there.
    """
    return _outcome(runs, metric)[1]


def _outcome(runs: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was chosen for each task and method, with the status after its runs on test; and these runs."""
    chosen, cells = _choose(candidates(runs, metric), metric, ["task"]), choose(runs, metric)
    judged = tested(runs)
    repeats = _repeats(judged, ["task"])
    folds = repeats.groupby(["task", "seed", "folds", "partition"])["fold"].transform("nunique")
    judged = _counted(judged, repeats[folds == repeats["folds"]], ["task"]).query("counts")
    judged = judged.merge(cells.loc[cells["status"] == "done", [*CELL, "method", "candidate"]])
    groups = judged.assign(failed=judged["status"] != "done").groupby(METHOD)
    state = pd.DataFrame({"have": groups.size(), "needed": groups["needed"].max(), "failed": groups["failed"].any()})
    chosen = chosen.merge(state.reset_index(), how="left", on=METHOD)
    states = [chosen["status"] != "done", chosen["failed"].eq(True), ~(chosen["have"] >= chosen["needed"])]
    chosen["status"] = np.select(states, [chosen["status"], "diverged", "incomplete"], "done")
    chosen = chosen.merge(_range(cells), on=METHOD).drop(columns=list(state))
    kept = judged.merge(chosen.loc[chosen["status"] == "done", METHOD]).drop(columns=["counts", "needed"])
    return chosen, _in_order(kept, REPEAT)


def _range(cells: pd.DataFrame) -> pd.DataFrame:
    """The strengths that the cells of each task and method chose, from the lowest to the highest."""
    strengths = cells.assign(strength=cells["strength"].astype(float)).groupby(METHOD)["strength"]
    return strengths.agg(strength_low="min", strength_high="max").reset_index()


def _in_order(frame: pd.DataFrame, last: list[str]) -> pd.DataFrame:
    rank = frame["method"].map(ordered(frame["method"]).index)
    return frame.assign(_=rank).sort_values(["task", "_", *last], ignore_index=True).drop(columns="_")


def results(runs: pd.DataFrame, metric: str = SELECT) -> pd.DataFrame:
    """What was chosen and its results on test: a row for every task and method, NaN where none qualified.

    candidate, strength: the best on validation over all cells; `strength_low` and `strength_high`: the range of those
    that the cells chose. Includes the options of its task, `task.<name>`.
    """
    about = runs[["task", "metric", *(c for c in map(str, runs) if c.startswith("task."))]]
    chosen, selected = _outcome(runs, metric)
    chosen = chosen.merge(about.drop_duplicates("task"), on="task")
    return chosen.merge(summarise(selected), on=METHOD, how="left").fillna({"seeds": 0})
