"""What a data set gives without a network, on the terminal: see `bayesreg.baselines`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bayesreg.cli.command import Verbosity, command, read, refused


@dataclass(frozen=True)
class Baselines(Verbosity):
    """Print the baselines of a data set, judged on test."""

    name: Annotated[str, tyro.conf.Positional] = "digits"
    """The data set."""
    data_dir: Path | None = None
    """Where the data files are; None: $BAYESREG_DATA, else the user's cache."""


@command
def main() -> None:
    """A line for each baseline."""
    asked = read(Baselines, sys.argv[0])
    from bayesreg import datasets
    from bayesreg.baselines import baseline

    with refused():
        data = datasets.load(asked.name, asked.data_dir)
    for name, metrics in baseline(data).items():
        print(f"{name:22}" + "  ".join(f"{metric} {value:.4f}" for metric, value in metrics.items()))
