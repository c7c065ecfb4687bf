"""What was measured so far, as tables; and the files that hold it, rewritten after every case."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bayesreg.report.page import replace
from benchmarks import bars
from benchmarks.contestants import BAYESREG, HAND, Key, Ready
from benchmarks.measure import spread
from benchmarks.memory import PARTS

WIDTH_PRIORS = ("none", "l2")


def _pathless(text: str) -> str:
    """An error may name a file of this machine; the page is read on others."""
    return re.sub(r"\S*[/\\]\S+", "…", text)[:300]


@dataclass
class Results:
    """machine: name → text. rates: threads → FLOP/s of a matrix product. rises, epochs: as measured, by contestant."""

    command: str
    machine: dict[str, str]
    rates: dict[int, float] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    ratios: list[dict[str, Any]] = field(default_factory=list)
    rises: dict[Key, dict[str, float]] = field(default_factory=dict)
    epochs: dict[Key, dict[str, float]] = field(default_factory=dict)
    profiles: dict[Key, dict[str, float]] = field(default_factory=dict)

    def add(self, times: Mapping[Key, list[float]], ready: Mapping[Key, Ready], threads: int, flop: float) -> None:
        """One case at one width. flop: floating-point operations per step."""
        for key, taken in times.items():
            median, low, high = (1e3 * seconds for seconds in spread(taken))
            row = {"median_ms": median, "q25_ms": low, "q75_ms": high, "rounds": len(taken)}
            made = {"prepare_s": ready[key].seconds, "threads": threads, "flop": flop, "how": _pathless(ready[key].how)}
            self.steps.append(key._asdict() | row | made)
        self.ratios += bars.of_times(times)

    def bars(self) -> pd.DataFrame:
        """Every ratio; those with a limit are the bars."""
        rows = self.ratios + bars.of_memory(self.rises) + bars.of_epochs(self.epochs)
        return pd.DataFrame(rows, columns=bars.COLUMNS)

    def memory(self) -> pd.DataFrame:
        """MiB that the process held before, and how far it rose above."""
        rows = [
            key._asdict() | {f"{part}_mib": rises[part] / 2**20 for part in PARTS} for key, rises in self.rises.items()
        ]
        return pd.DataFrame(rows, columns=[*Key._fields, *(f"{part}_mib" for part in PARTS)])

    def profile(self) -> pd.DataFrame:
        """Milliseconds per step, one operation per row."""
        rows = [
            key._asdict() | {"operation": name.removeprefix("aten::"), "ms": ms, "share": ms / sum(times.values())}
            for key, times in self.profiles.items()
            for name, ms in times.items()
        ]
        return pd.DataFrame(rows, columns=[*Key._fields, "operation", "ms", "share"])

    def epoch(self) -> pd.DataFrame:
        rows = [key._asdict() | measured for key, measured in self.epochs.items()]
        return pd.DataFrame(rows, columns=[*Key._fields, "epoch", "batching", "share"])

    def widths(self) -> pd.DataFrame:
        """Achieved FLOP/s, and their share of the matrix product's with as many threads."""
        rows = [
            {name: row[name] for name in (*Key._fields, "median_ms", "threads", "flop")}
            | {"flop_per_s": (rate := row["flop"] / row["median_ms"] * 1e3), "share": rate / self.rates[row["threads"]]}
            for row in self.steps
            if row["contestant"] in (BAYESREG, HAND) and row["prior"] in WIDTH_PRIORS and row["guide"] == "delta"
        ]
        names = [*Key._fields, "median_ms", "threads", "flop", "flop_per_s", "share"]
        cases = list(dict.fromkeys(row["case"] for row in rows))
        return pd.DataFrame(rows, columns=names).sort_values("case", key=lambda c: c.map(cases.index), kind="stable")

    def write(self, output: Path) -> None:
        """The tables, from which the page is made."""
        tables = {
            "step_time": pd.DataFrame(self.steps),
            "ratios": self.bars(),
            "memory": self.memory(),
            "epoch": self.epoch(),
            "profile": self.profile(),
            "widths": self.widths(),
        }
        machine = self.machine | {"matrix product, FLOP/s by threads": self.rates, "command": self.command}
        files = {f"{name}.csv": table.to_csv(index=False).encode() for name, table in tables.items()}
        files["machine.json"] = json.dumps(machine, indent=2, ensure_ascii=False).encode() + b"\n"
        replace(output, files)
