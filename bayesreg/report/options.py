"""The settings of runs as a page lists them: each with its values and, where tasks differ, the tasks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def options(runs: pd.DataFrame, group: str) -> list[tuple[str, str]]:
    """(name, values) of each column that begins with `group`, such as "task."."""
    columns = [column for column in map(str, runs) if column.startswith(group)]
    return [(column.removeprefix(group), text) for column in columns if (text := _values(runs, column))]


def _values(runs: pd.DataFrame, column: str) -> str:
    values: dict[str, set[str]] = {}
    for value, task in runs[[column, "task"]].drop_duplicates().itertuples(index=False):
        text = _text(value)
        # Where this machine keeps its files is not a setting of the comparison.
        if text and not Path(text).is_absolute():
            values.setdefault(text, set()).add(task)
    if len(values) == 1 or all(tasks == {text} for text, tasks in values.items()):
        return next(iter(values)) if len(values) == 1 else ""
    return "; ".join(f"{text} ({', '.join(sorted(tasks))})" for text, tasks in values.items())


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:g}"
    return "" if value is None else str(value)
