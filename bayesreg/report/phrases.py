"""The answer in words, made from the numbers: who came first, and whether the spread over seeds allows it."""

import pandas as pd

from bayesreg import statistics
from bayesreg.report import tables


def answer(results: pd.DataFrame, selected: pd.DataFrame) -> tuple[str, list[tuple[str, str]]]:
    """A first paragraph, and one (task, sentence) for each task."""
    scored = results[results["score_mean"].notna()]
    found = {str(task): _winner(group) for task, group in scored.groupby("task")}
    others = {task: _leads(selected, task, name) for task, name in found.items()}
    sentences = [
        (task, _sentence(scored[scored["task"] == task], found[task], others[task]))
        if task in found
        else (task, "no method finished every seed, so there is nothing to report yet.")
        for task in sorted(set(results["task"]))
    ]
    return _overall(scored, found, others), sentences


def _winner(task: pd.DataFrame) -> str:
    """The best mean test score; the earlier method of two equals, and none before all."""
    ranked = task["score_mean"] * task["metric"].map(statistics.sense)
    return statistics.ordered(task.loc[ranked == ranked.max(), "method"])[0]


def _leads(selected: pd.DataFrame, task: str, winner: str) -> list[dict]:
    """The lead of the winner over every other method, paired by seed, the smallest first."""
    runs = selected[selected["task"] == task]
    paired, sense = statistics.paired(runs, winner), statistics.sense(runs["metric"].iloc[0])
    rows = [row | {"mean": 0.0 - sense * row["mean"]} for row in paired.to_dict("records") if row["n"]]
    return sorted(rows, key=lambda row: row["mean"])


def _overall(scored: pd.DataFrame, found: dict[str, str], others: dict[str, list[dict]]) -> str:
    compared = {task: name for task, name in found.items() if others[task]}
    if not compared:
        return "Nothing is compared yet: no task here has two methods that finished every seed."
    names = statistics.ordered(compared.values())
    wins = {name: [task for task, winner in compared.items() if winner == name] for name in names}
    order = sorted(names, key=lambda name: -len(wins[name]))
    first = several([f"to {name} on {several(wins[name])}" for name in order])
    text = f"The best test score went {first}. {_clearly(compared, others)}"
    return text if len(compared) < 2 else f"{text} {_average(scored)}"


def _clearly(compared: dict[str, str], others: dict[str, list[dict]]) -> str:
    if all(row["n"] < 2 for task in compared for row in others[task]):
        return "With one seed there is no spread to judge the leads by."
    clear = [task for task in compared if all(tables.clear(row) for row in others[task])]
    if not clear:
        return "No lead over the others is larger than its own standard deviation over seeds: no clear winner."
    larger = "larger than its own standard deviation over seeds."
    if len(clear) < len(compared):
        return f"Only on {several(clear)} is the lead over every other method {larger}"
    return f"{'Each time' if len(clear) > 1 else 'There'} the lead over every other method is {larger}"


def _average(scored: pd.DataFrame) -> str:
    ranked = statistics.oriented(scored)
    # Only methods with a score on every task: an average over other tasks is not comparable.
    averages = statistics.average(statistics.normalise(ranked))[ranked.notna().all()]
    if len(averages) < 2:
        return ""
    (first, best), (second, next_) = list(averages.sort_values(ascending=False, kind="stable").items())[:2]
    if f"{best:.2f}" == f"{next_:.2f}":
        return f"Averaged over all of them, {first} and {second} share the highest normalised score, {best:.2f}."
    return (
        f"Averaged over all of them, {first} has the highest normalised score, {best:.2f} "
        f"(1 is the best method everywhere, 0 the worst), and {second} the next, {next_:.2f}."
    )


def _sentence(task: pd.DataFrame, winner: str, others: list[dict]) -> str:
    best = task[task["method"] == winner].iloc[0]
    text = f"{winner} came first with {best['metric']} {tables.spread(best['score_mean'], best['score_sd'])}"
    if not others:
        return f"{text}; no other method finished every seed. {_against_baseline(best)}".strip()
    close = [row for row in others if not tables.clear(row)]
    if all(row["n"] < 2 for row in others):
        text += f", then {_behind(others[0])}; one seed leaves open whether that is chance."
    elif close:
        are = "is" if len(close) == 1 else "are"
        text += f", but {several([_behind(row) for row in close])} {are} within one standard deviation of it."
    else:
        text += f", then {_behind(others[0])}."
    return " ".join(filter(None, [text, _against_none(winner, others), _against_baseline(best)]))


def _against_baseline(best: pd.Series) -> str:
    if not best.get("below_baseline"):
        return ""
    score = tables.number(best["baseline_score"])
    return f"{best['method']} does not beat the baseline without a network, {best['baseline']} with {score}."


def _against_none(winner: str, others: list[dict]) -> str:
    if winner == "none":
        return "No method did better than none."
    none = [row for row in others if row["method"] == "none" and tables.clear(row)]
    return f"Its gain over none is {tables.spread(none[0]['mean'], none[0]['sd'])}." if none else ""


def _behind(row: dict) -> str:
    return f"{row['method']} ({tables.spread(row['mean'], row['sd'])} behind)"


def refusals(results: pd.DataFrame) -> list[str]:
    """Why each method that was refused has no meaning where: one line a reason."""
    refused = results[results["status"] == "refused"]
    named = refused.assign(cell=refused["method"] + " on " + refused["task"]).groupby("reason", sort=False)["cell"]
    return [f"{', '.join(cells)}: {reason}" for reason, cells in named]


def unconverged(selected: pd.DataFrame) -> list[str]:
    """Which of the reported runs are not known to have converged when they ended: one line a method and task."""
    rows = []
    for (task, method), runs in selected.groupby(["task", "method"], sort=False):
        open_ = runs[runs["converged"].eq(False)]
        most = open_["falling"].max()
        if len(open_):
            of = f"{method} on {task}: {len(open_)} of {len(runs)} runs"
            falling = (
                f"still falling by up to {tables.number(most)} nats an epoch" if most == most else "too short to tell"
            )
            rows.append(f"{of}, {falling}")
    return rows


def repeat(run: dict) -> str:
    """Which run of its candidate: seed 0, fold 1 of 5; whether it only helped to choose."""
    fold = f", fold {run['fold'] + 1} of {run['folds']}" if run["folds"] > 1 else ""
    return f"seed {run['seed']}{fold}{', tuning' if run['stage'] == 'tune' else ''}"


def several(items: list[str]) -> str:
    """One, two and three."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
