"""What a prior costs: the page of `reports/performance`, from the tables that `benchmarks.step_time` wrote there."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from bayesreg.report.phrases import several
from bayesreg.report.tables import NOTHING, Table, number
from benchmarks.cases import CASES
from benchmarks.contestants import BAYESREG, COMPILED, HAND, Key
from benchmarks.memory import PARTS
from benchmarks.pages import page
from benchmarks.pages.cost import cost, relative
from benchmarks.pages.smoothness import at
from benchmarks.pages.widths import widths
from benchmarks.settings import DEFAULT, text

TABLES = ("step_time", "ratios", "memory", "epoch", "profile", "widths")
KEY = list(Key._fields)
KINDS = {  # of ratios that have a limit, in words; others are said as they are written
    "naive Pyro / bayesreg": "naive Pyro’s step takes {} times bayesreg’s",
    "bayesreg / hand-written": "a step takes {} times the same step by hand",
    "peak memory: bayesreg / hand-written": "peak memory is {} times that of the same step by hand",
}
BESIDE = (f"{BAYESREG} / {HAND} (", ", delta)")  # what stands before and after the prior in the names of ratios
ADDED = ("", f" / none (delta, {BAYESREG})")
WORK = {"median_ms": "ms a step", "flop": "GFLOP a step", "flop_per_s": "GFLOP/s", "share": "of the matrix product"}
UNITS = {f"{part}_mib": f"{part}, MiB" for part in PARTS}


def write(folder: Path) -> Path:
    """The page beside its tables; its path."""
    steps, ratios, memory, epoch, profiles, work = (pd.read_csv(folder / f"{name}.csv") for name in TABLES)
    held = promises(ratios)
    rates = page.machine(folder)["matrix product, FLOP/s by threads"]
    context = {
        "answer": answer(steps, ratios),
        "smoothness": smoothness(folder.parent / "smoothness"),
        "missed": missed(ratios),
        "met": int((held["verdict"] == "met").sum()),
        "bars": page.table(held, list(held["verdict"] == "missed")),
        "beside": by_prior(ratios, *BESIDE),
        "added": by_prior(ratios, *ADDED),
        "networks": [(name, case.about, case.size) for name, case in CASES.items() if name in set(steps["case"])],
        "steps": by_contestant(steps, _cells("{}\n{}–{}", steps[["median_ms", "q25_ms", "q75_ms"]].map(number))),
        "prepared": by_contestant(steps, [number(seconds) for seconds in steps["prepare_s"]]),
        "unusual": unusual(steps),
        "memory": page.table(memory.rename(columns=UNITS)),
        "epoch": page.table(epoch.rename(columns={"epoch": "epoch, s", "batching": "batching, s"})),
        "widths": page.table(work.assign(**work[["flop", "flop_per_s"]] / 1e9).rename(columns=WORK)),
        "profile": profile(profiles),
    }
    pictures = {"cost": cost(steps), "widths": widths(work, {int(threads): rate for threads, rate in rates.items()})}
    return page.write(folder, "performance.html", pictures, context)


def answer(steps: pd.DataFrame, ratios: pd.DataFrame) -> list[str]:
    """What a step of MAP takes beside one by hand, over all networks at their own width; not compiled."""
    known = relative(steps[(steps["width"] == 1) & (steps["contestant"].isin([BAYESREG, HAND]))])
    ours = known[known["contestant"] == BAYESREG]
    same = _named(ratios[ratios["width"] == 1], *BESIDE)["ratio"]
    found = []
    if len(ours):
        number_of = ours["case"].nunique()
        networks = f"over {number_of} network{'s' * (number_of > 1)}"
        each = [f"{prior} {page.from_to(rows['ratio'])}" for prior, rows in ours.groupby("prior", sort=False)]
        found.append(
            f"On this machine a training step of bayesreg takes {page.from_to(ours['ratio'])} times a hand-written "
            f"PyTorch step without a prior, {networks}: {', '.join(each)}."
        )
    if len(same):
        found.append(f"It takes {page.from_to(same)} times as long as the same prior written by hand.")
    return found


def smoothness(folder: Path) -> str:
    """What the smoothness prior takes, where it was measured, beside a step without a prior; else nothing."""
    if not (folder / "cost.csv").exists():
        return ""
    default = at(pd.read_csv(folder / "cost.csv"), text(DEFAULT))
    return page.from_to(default["ratio"]) if len(default) else ""


def missed(ratios: pd.DataFrame) -> list[str]:
    """A line a promise that does not hold: where, how far, and what was promised."""
    rows = ratios[ratios["verdict"] == "missed"]
    rows = rows.assign(kind=[bar.partition(" (")[0] for bar in rows["bar"]])
    lines = []
    for (kind, side, limit), some in rows.groupby(["kind", "limit_is", "limit"], sort=False):
        far = KINDS.get(kind, f"{kind} is {{}}").format(page.from_to(some["ratio"], ".3f"))
        lines.append(f"{several(list(dict.fromkeys(some['case'])))}: {far}, where {side} {limit:g} was promised")
    return lines


def promises(ratios: pd.DataFrame) -> pd.DataFrame:
    """Those ratios that have a limit; what was missed comes first."""
    held = ratios[ratios["verdict"].isin(["met", "missed"])]
    rows = held.sort_values("verdict", key=lambda verdict: verdict != "missed", kind="stable")
    known = [f"{low:.3f}–{high:.3f}" * (low < high) for low, high in zip(rows["q25"], rows["q75"], strict=True)]
    shown = rows[["bar", "case", "batch", "width", "pair"]].rename(columns={"bar": "ratio"})
    shown = shown.assign(promised=_cells("{} {:g}", rows[["limit_is", "limit"]]), measured=rows["ratio"])
    return shown.assign(quartiles=known, verdict=rows["verdict"])


def by_prior(ratios: pd.DataFrame, before: str, after: str) -> Table:
    """A row a network, a column a prior: the ratio that is named `before` prior `after`, and its quartiles."""
    rows = _named(ratios, before, after)
    cells = _cells("{:.2f}\n{:.2f}–{:.2f}", rows[["ratio", "q25", "q75"]])
    prior = rows["bar"].str.removeprefix(before).str.removesuffix(after)
    return _wide(rows.assign(prior=prior, cell=cells), ["case", "batch", "width"], "prior")


def _named(ratios: pd.DataFrame, before: str, after: str) -> pd.DataFrame:
    """Those of MAP, not compiled, whose name is `before` prior `after`."""
    named = ratios["bar"].astype(str).str.fullmatch(rf"{re.escape(before)}[^ (/]+{re.escape(after)}")
    return ratios[named & (ratios["pair"] == "uncompiled")]


def by_contestant(steps: pd.DataFrame, cells: list[str]) -> Table:
    """A row a case, width, prior and guide; a column a contestant."""
    return _wide(steps.assign(cell=cells), KEY[:-1], "contestant")


def profile(rows: pd.DataFrame) -> Table:
    """A row a case and contestant; the operations in the order of their time."""
    where = ["case", "batch", "contestant"]
    places = rows.groupby(where, sort=False).cumcount() + 1
    cells = _cells("{}\n{:.3g} ms, {:.0%}", rows[["operation", "ms", "share"]])
    return _wide(rows.assign(cell=cells, place=places.astype(str)), where, "place")


def _cells(form: str, columns: pd.DataFrame) -> list[str]:
    return [form.format(*row) for row in columns.itertuples(index=False)]


def _wide(rows: pd.DataFrame, where: list[str], across: str) -> Table:
    """A row for each of `where`, a column for each of `across`, both in the order in which they come."""
    found = [
        dict(zip(where, name, strict=True)) | dict(zip(some[across], some["cell"], strict=True))
        for name, some in rows.groupby(where, sort=False)
    ]
    return page.table(pd.DataFrame(found, columns=None if found else where).fillna(NOTHING))


def unusual(steps: pd.DataFrame) -> list[str]:
    """What did not run as its name says: plain where it should be captured, captured where compiled."""
    found = []
    for row in steps[steps["contestant"].str.startswith(BAYESREG)].to_dict("records"):
        expected = "compiled" if row["contestant"] in COMPILED else "captured"
        if not row["how"].startswith(expected):
            names = (row["contestant"], row["case"], f"width {row['width']}", row["prior"], row["guide"])
            found.append(f"{', '.join(names)}: {row['how']}")
    return found
