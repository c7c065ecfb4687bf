"""A report of runs that are done: figures, tables, one page."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from experiments.base import Positional, command, refuse
from experiments.stopping import stoppable


@dataclass(frozen=True)
class Report:
    """Make the report of all runs below a directory: which prior won, by how much, at what cost."""

    runs: Positional
    """The directory below which the runs are."""
    output: Path | None = None
    """Where the report goes, index.html and its pictures; None takes report/ below the runs."""


def main() -> None:
    """Print the table, write the page."""
    asked = command(Report, "experiments.report")
    logging.basicConfig(level="WARNING", format="%(message)s")

    from bayesreg import report

    try:
        runs = report.load(asked.runs)
        page = report.write(asked.runs, asked.output or asked.runs / "report", runs)
    except (ValueError, OSError) as error:
        refuse(error)
    print(report.terminal(runs))
    print(page)


if __name__ == "__main__":
    with stoppable():
        main()
