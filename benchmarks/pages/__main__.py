"""Make the pages again from the tables beside them, in seconds; nothing is measured.

python -m benchmarks.pages [performance] [smoothness] [--reports reports]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from bayesreg.cli.command import refused
from benchmarks.pages import performance, smoothness

PAGES = {"performance": performance.write, "smoothness": smoothness.write}


@dataclass(frozen=True)
class Pages:
    """Make the pages again from the tables beside them; nothing is measured."""

    names: Annotated[list[str], tyro.conf.Positional] = field(default_factory=lambda: list(PAGES))
    """Which: performance, smoothness."""
    reports: Path = Path("reports")
    """Where their folders are."""


def main(arguments: list[str] | None = None) -> None:
    """Write the pages, and print where. Exit status 2 for an unknown one."""
    asked = tyro.cli(Pages, prog="python -m benchmarks.pages", args=arguments)
    with refused((ValueError, OSError)):
        unknown = [name for name in asked.names if name not in PAGES]
        if unknown:
            raise ValueError(f"unknown page {unknown[0]!r}; there are {', '.join(PAGES)}")
        for name in asked.names:
            print(PAGES[name](asked.reports / name))


if __name__ == "__main__":
    main()
