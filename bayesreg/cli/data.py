"""The files of the data sets: fetch them beforehand, or verify those that are there."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from bayesreg.cli.command import Verbosity, command, read, refused

HELP_ACTION = (
    "fetch: get what is missing or corrupt, resuming; verify: say who vouches for each file, exit status 1 if one is "
    "missing or corrupt."
)
MANY = 20  # files of a folder: more are shown as one line


@dataclass(frozen=True)
class Files(Verbosity):
    """Fetch the published files of a data set into the data root, or verify those that are there."""

    action: Annotated[Literal["fetch", "verify"], tyro.conf.Positional, tyro.conf.arg(help=HELP_ACTION)] = "verify"
    name: Annotated[str, tyro.conf.Positional] = "all"
    """The data set, or all."""
    data_dir: Path | None = None
    """Where the data files are; None: $BAYESREG_DATA, else the user's cache."""

    def names(self) -> list[str]:
        """The data sets meant. ValueError for one that is not read from files, or is unknown."""
        from bayesreg.datasets import SOURCES

        if self.name != "all" and self.name not in SOURCES:
            raise ValueError(f"no data set of files is called {self.name!r}: all, or one of {', '.join(SOURCES)}")
        return list(SOURCES) if self.name == "all" else [self.name]


def fetch(name: str, root: Path) -> None:
    """Fetch the files of a data set below the root."""
    from bayesreg.datasets import SOURCES
    from bayesreg.datasets.download import fetch as fetch_source

    for source in SOURCES[name]:
        fetch_source(source, root)


def verify(name: str, root: Path) -> tuple[list[str], list[str]]:
    """A line for each file of a data set and who vouches for it, and a message for each that nobody vouches for."""
    from bayesreg.datasets import SOURCES
    from bayesreg.datasets.files import find, read_sums
    from bayesreg.progress import bar

    vouched, problems, sums = {}, [], read_sums(root)
    for source in SOURCES[name]:
        for file, checksum in bar(source.files(root).items(), desc=f"verifying {source.name}"):
            try:
                vouched[file] = find(root, file, url=source.url, checksum=checksum, sums=sums).provenance
            except (FileNotFoundError, ValueError) as error:
                problems.append(str(error))
    return list(lines(vouched)), problems


def lines(vouched: dict[str, str]) -> Iterator[str]:
    """ "file: who vouches for it", or one line for a folder of many files."""
    folders = Counter((str(Path(file).parent), by) for file, by in vouched.items())
    for file, by in vouched.items():
        if folders[str(Path(file).parent), by] <= MANY:
            yield f"{file}: {by}"
    for (folder, by), size in folders.items():
        if size > MANY:
            yield f"{folder}/ ({size} files): {by}"


@command
def main() -> None:
    """Fetch, then verify. Exit status 2 for bad input, 1 where a file is missing or corrupt."""
    asked = read(Files, sys.argv[0], usual="INFO")
    from bayesreg.datasets.files import data_root

    with refused():
        names, root = asked.names(), data_root(asked.data_dir)
    failed = False
    for name in names:
        try:
            if asked.action == "fetch":
                fetch(name, root)
            good, bad = verify(name, root)
        except (ValueError, OSError) as error:
            good, bad = [], [str(error)]
        print("\n".join(good), end="\n" if good else "")
        for message in bad:
            print(f"error: {message}", file=sys.stderr)
        failed = failed or bool(bad)
    sys.exit(1 if failed else 0)
