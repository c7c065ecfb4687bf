"""What the pages have in common: tables of text, ranges as text, and the files of a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bayesreg.report import figures, style
from bayesreg.report.page import replace
from bayesreg.report.panels import Picture
from bayesreg.report.render import render
from bayesreg.report.tables import Cell, Table, number

HERE = Path(__file__).parent


def write(folder: Path, name: str, pictures: Mapping[str, Picture | None], context: dict[str, Any]) -> Path:
    """The page by the template `name` into the folder of its tables, with its pictures; its path."""
    light, dark = style.variables(())
    shown = figures.shown(pictures, light)
    known = {"light": light, "dark": dark, "pictures": shown, "machine": machine(folder)}
    page = render(name, known | context, HERE)
    replace(folder, figures.files(shown) | {"index.html": page})
    return folder / "index.html"


def machine(folder: Path) -> dict[str, Any]:
    """What was measured where and when, as recorded then."""
    return json.loads((folder / "machine.json").read_text(encoding="utf-8"))


def table(frame: pd.DataFrame, marked: Sequence[bool] = ()) -> Table:
    """The cells of a frame as text, numbers in their own form; rows that are marked are bold."""
    marks = list(marked) or [False] * len(frame)
    rows = [
        [Cell(_text(value), bool(mark)) for value in row]
        for row, mark in zip(frame.itertuples(index=False), marks, strict=True)
    ]
    return Table([str(name) for name in frame.columns], rows)


def _text(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def from_to(values: pd.Series, form: str = ".2f", unit: str = "") -> str:
    """The smallest and the largest value, as text."""
    low, high = f"{values.min():{form}}{unit}", f"{values.max():{form}}{unit}"
    return low if low == high else f"{low} to {high}"
