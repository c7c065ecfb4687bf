"""The tables of one run of the benchmark: for the terminal, and as one page that reads without anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd

from bayesreg.report import style
from benchmarks.contestants import COMPILED, Key
from benchmarks.memory import PARTS


class Table(NamedTuple):
    header: list[str]
    rows: list[list[str]]


def render(tables: Mapping[str, pd.DataFrame], machine: Mapping[str, Any], pictures: Sequence[str]) -> bytes:
    folders = [Path(__file__).parent, Path(style.__file__).parent]  # the style sheet is that of the reports
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    steps, ratios = tables["step_time"], tables["ratios"]
    held = ratios["limit"].notna()
    context = {
        "light": style.LIGHT,
        "dark": style.DARK,
        "answer": answer(ratios),
        "machine": {name: _text(value) for name, value in machine.items()},
        "met": int((ratios["verdict"] == "met").sum()),
        "bars": ratio_table(ratios[held]),
        "others": ratio_table(ratios[~held]),
        "steps": _grid(steps, lambda row: f"{_number(row['median_ms'])}\n{_range(row, 'q25_ms', 'q75_ms')}"),
        "prepared": _grid(steps, lambda row: _number(row["prepare_s"])),
        "unusual": _unusual(steps),
        "memory": _table(tables["memory"], {f"{part}_mib": f"{part}, MiB" for part in PARTS}),
        "epoch": _table(tables["epoch"], {"epoch": "epoch, s", "batching": "batching, s", "share": "share"}),
        "widths": _table(tables["widths"], {"median_ms": "ms a step", "threads": "threads"} | _WORK),
        "profile": _profile(tables["profile"]),
        "pictures": pictures,
    }
    return environment.get_template("page.html").render(context).encode()


def answer(ratios: pd.DataFrame) -> list[str]:
    """What a step costs, and what a prior adds to it, over all networks at their own width: MAP, not compiled."""
    own = ratios[(ratios["width"] == 1) & (ratios["pair"] == "uncompiled")]
    alone = own.loc[own["bar"] == "bayesreg / hand-written (none, delta)", "ratio"]
    priors = {bar.split(" / ")[0]: rows["ratio"] for bar, rows in own.groupby("bar", sort=False) if PRIOR in bar}
    found = [f"A step takes {_from_to(alone)} times one that is written by hand in PyTorch."] if len(alone) else []
    if priors:
        parts = [f"with {prior} {_from_to(ratio)}" for prior, ratio in priors.items()]
        found.append(f"Under a prior it takes, as a multiple of a step without one: {', '.join(parts)}.")
    return found


def _from_to(ratio: pd.Series) -> str:
    low, high = f"{ratio.min():.2f}", f"{ratio.max():.2f}"
    return low if low == high else f"{low} to {high}"


PRIOR = " / none (delta, bayesreg)"  # in the name of a ratio
_WORK = {"flop": "FLOP a step", "flop_per_s": "FLOP/s", "share": "of the matrix product"}


def ratio_table(ratios: pd.DataFrame) -> Table:
    """The bars, or the other ratios; what was missed comes first."""
    header = ["ratio", "case", "batch", "width", "pair", "measured", "quartiles", "limit", ""]
    rows = [
        [
            *(str(row[name]) for name in ("bar", "case", "batch", "width", "pair")),
            f"{row['ratio']:.3f}",
            _range(row, "q25", "q75") if row["q25"] < row["q75"] else "",
            f"{row['limit_is']} {row['limit']:g}" if row["limit_is"] else "",
            row["verdict"],
        ]
        for row in sorted(_records(ratios), key=lambda row: row["verdict"] != "missed")
    ]
    return Table(header, rows)


def terminal(ratios: pd.DataFrame) -> str:
    """The bars, as lines of equal columns."""
    table = ratio_table(ratios[ratios["limit"].notna()])
    rows = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "─" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def _grid(steps: pd.DataFrame, cell: Any) -> Table:
    """A row a case, width, prior and guide; a column a contestant."""
    contestants = list(dict.fromkeys(steps["contestant"]))
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for row in _records(steps):
        name = tuple(str(row[part]) for part in Key._fields[:5])
        cells.setdefault(name, {})[row["contestant"]] = cell(row)
    rows = [[*name, *(found.get(c, "–") for c in contestants)] for name, found in cells.items()]
    return Table([*Key._fields[:5], *contestants], rows)


def _table(frame: pd.DataFrame, columns: Mapping[str, str]) -> Table:
    rows = [
        [*(str(row[part]) for part in Key._fields), *(_number(row[name]) for name in columns)]
        for row in _records(frame)
    ]
    return Table([*Key._fields, *columns.values()], rows)


def _profile(profile: pd.DataFrame) -> Table:
    """A row a case and contestant; the operations in the order of their time."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for row in _records(profile):
        cell = f"{row['operation']}\n{_number(row['ms'])} ms, {row['share']:.0%}"
        rows.setdefault((row["case"], str(row["batch"]), row["contestant"]), []).append(cell)
    most = max(map(len, rows.values()), default=0)
    cells = [[*name, *found, *[""] * (most - len(found))] for name, found in rows.items()]
    return Table(["case", "batch", "contestant", *[""] * most], cells)


def _unusual(steps: pd.DataFrame) -> list[str]:
    """What did not run as its name says: plain where it should be captured, captured where compiled."""
    found = []
    for row in _records(steps[steps["contestant"].str.startswith("bayesreg")]):
        expected = "compiled" if row["contestant"] in COMPILED else "captured"
        if not row["how"].startswith(expected):
            names = (row["contestant"], row["case"], f"width {row['width']}", row["prior"], row["guide"])
            found.append(f"{', '.join(names)}: {row['how']}")
    return found


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _number(value: Any) -> str:
    if isinstance(value, int):
        return str(value)
    if abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _range(row: Mapping[str, Any], low: str, high: str) -> str:
    return f"{_number(row[low])}–{_number(row[high])}"


def _text(value: Any) -> str:
    """A setting; the matrix-product rates by threads."""
    if isinstance(value, dict):
        return "; ".join(f"{rate / 1e9:.0f} GFLOP/s with {threads}" for threads, rate in value.items())
    return str(value)
