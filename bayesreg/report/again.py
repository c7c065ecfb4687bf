"""The command that reproduces a cell of the tables: a method on a task, at the chosen strength, with the same seeds."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from bayesreg import statistics
from bayesreg.report import outside
from bayesreg.tasks import TASKS, as_task, kind
from bayesreg.tasks.options import recorded

MORE, SEEDS = ("none", "l2", "dropout"), 8  # for a comparison that says more: other methods, and seeds


def commands(selected: pd.DataFrame, select: str = statistics.SELECT) -> pd.DataFrame:
    """One row per task and method that has a result: task, method, command.

    A registered task is run from the command line, one of the user's own by `br.compare`. Where folds chose different
    strengths, they are chosen again.
    """
    rows = []
    for (task, method), runs in selected.groupby(["task", "method"], sort=False):
        rows.append({"task": task, "method": method, "command": _command(str(task), str(method), runs, select)})
    return pd.DataFrame(rows, columns=["task", "method", "command"])


def _command(task: str, method: str, runs: pd.DataFrame, select: str) -> str:
    text, first = registered(_options(runs["path"].iloc[0])), runs.iloc[0]
    if first["stage"] != "test":
        one = f"bayesreg run {text} --prior {shlex.quote(first['candidate'])} --seed {first['seed']}"
        return one if text else f"a run of {task} on its own: {first['candidate']}, seed {first['seed']}"
    chosen = list(dict.fromkeys(runs["candidate"]))
    seeds, folds = runs["seed"].nunique(), int(first["folds"])
    compared = chosen[0] if len(chosen) == 1 else method
    by = "" if len(chosen) == 1 or select == statistics.SELECT else select
    if text is None:
        by = f", select={by!r}" * bool(by)
        return f"br.compare(tasks=[{task!r}, as you made it], methods=[{compared!r}], seeds={seeds}, folds={folds}{by})"
    by = f" --select {by}" * bool(by)
    return f"bayesreg compare {_quoted(text)} --methods {shlex.quote(compared)} --seeds {seeds} --folds {folds}{by}"


def instead(selected: pd.DataFrame) -> str | None:
    """A comparison that would say more, on the first task that the command line knows."""
    for path in selected.drop_duplicates("task")["path"]:
        text = registered(_options(path))
        if text:
            methods = statistics.ordered({*selected["method"], *MORE})
            return f"bayesreg compare {_quoted(text)} --methods {shlex.join(methods)} --seeds {SEEDS}"
    return None


def _options(path: str) -> dict[str, Any]:
    return outside.table(outside.read_json(Path(path) / "config.json")["task"], "task")


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def registered(options: dict[str, Any]) -> str | None:
    """The text that names a task of these options, such as "beijing --net transformer"; None where none does."""
    name = options.get("experiment")
    if name not in TASKS:
        return None
    usual = recorded(kind(name)())
    changed = {option: options.get(option) for option in usual if options.get(option) != usual[option]}
    text = " ".join([name, *(_option(option, value) for option, value in changed.items())])
    try:
        return text if as_task(text).record() == options else None
    except (ValueError, TypeError):
        return None


def _option(name: str, value: Any) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {shlex.quote(str(value))}"
