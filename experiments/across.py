"""`python -m experiments.across`: what holds over all tasks of several reports, from the tables beside their pages."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from bayesreg.cli.command import Verbosity, command, read, refused

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

REPORTS = Path(__file__).parents[1] / "reports"


@dataclass(frozen=True)
class Across(Verbosity):
    """Join the tasks of several reports, for the methods that all of them compare, and say what holds over these tasks:
    the sentence, the table and the pictures of one page. Nothing is trained, and no run directory is needed."""

    folders: Annotated[list[Path], tyro.conf.Positional] = field(
        default_factory=lambda: [REPORTS / "paper", REPORTS / "tables"]
    )
    """Folders of reports, each with selected.csv and differences.csv; a task that an earlier one has is left out."""
    output: Path = REPORTS / "across"
    """Where the page goes."""


def joined(folders: "list[Path]") -> "tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[str, str]]]":
    """The scores and the status by task and method, as `statistics.across` takes them; more is better.

    ValueError where a table is missing, or no method is in all of the folders.
    """
    tables = [(_table(folder, "selected"), _table(folder, "differences")) for folder in folders]
    methods = [set(differences["method"]) for _, differences in tables]
    common = set.intersection(*methods) if methods else set()
    if not common:
        raise ValueError(f"{', '.join(map(str, folders)) or 'nothing'}: no method is compared in all of these")
    scores: dict[str, dict[str, Any]] = {}
    status: dict[str, dict[str, str]] = {}
    for selected, differences in tables:
        for task, rows in differences[differences["method"].isin(common)].groupby("task", sort=False):
            if task in status:
                continue
            status[task] = dict(zip(rows["method"], rows["status"], strict=True))
            own = selected[(selected["task"] == task) & (selected["stage"] == "test")]
            done = [name for name, said in status[task].items() if said == "done"]
            by_seed = -own.groupby(["method", "seed"])["test_nll"].mean()
            scores[task] = {name: by_seed[name].to_numpy() for name in done}
    return scores, status


def _table(folder: Path, name: str) -> "pd.DataFrame":
    import pandas as pd

    path = folder / f"{name}.csv"
    if not path.is_file():
        raise ValueError(f"there is no {path}: make that report first, as by make reports NAME={folder.name}")
    return pd.read_csv(path)


def write(folders: "list[Path]", output: Path) -> Path:
    """The page, its pictures and its table; its path."""
    from bayesreg import statistics
    from bayesreg.report import across, figures, improvement, profile, ranks, style
    from bayesreg.report.page import replace
    from bayesreg.report.render import render
    from bayesreg.report.sheets import csv

    scores, status = joined(folders)
    found = statistics.across(scores, status)
    light, dark = style.variables(found.table["method"])
    drawn = {
        "improvement": improvement.improvement(found.table),
        "profile": profile.profile(found.profile),
        "ranks": ranks.ranks(found.ranks),
    }
    shown = figures.shown(drawn, light)
    context = {"light": light, "dark": dark, "pictures": shown, "together": across.section(found)}
    context |= {"tasks": list(status), "folders": [folder.name for folder in folders]}
    page = render("across.html", context)
    replace(output, figures.files(shown) | {"across.csv": csv(found.table), "index.html": page})
    return output / "index.html"


@command
def main() -> None:
    """Join, write, and print the sentence."""
    asked = read(Across, "python -m experiments.across")
    with refused():
        print(write(asked.folders, asked.output))


if __name__ == "__main__":
    main()
