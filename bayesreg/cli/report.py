"""The page of finished runs: `bayesreg report runs/wine`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bayesreg.cli.command import Positional, Verbosity, command, read, refused


@dataclass(frozen=True)
class Report(Verbosity):
    """Make the report of all runs below a directory, of a comparison or not: which method won, and by how much."""

    runs: Positional = Path("runs")
    """The directory below which the runs are."""
    output: Path | None = None
    """Where the report goes (index.html and its figures); None: report/ below the runs."""


@command
def main() -> None:
    """Print the table, write the page."""
    asked = read(Report, sys.argv[0])
    from bayesreg import report
    from bayesreg.comparison.folder import SETTINGS
    from bayesreg.study import Study

    to = asked.output or asked.runs / "report"
    with refused():
        if (asked.runs / SETTINGS).exists():
            study = Study.open(asked.runs)
            page, table = study.report(to), str(study)
        else:
            runs = report.load(asked.runs)
            page, table = report.write(asked.runs, to, runs), report.terminal(runs)
    print(table)
    print(page)
