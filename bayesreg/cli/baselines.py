"""What a data set gives without a network, on the terminal: see `bayesreg.baselines`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from experiments.base import command, refuse
from experiments.stopping import stoppable


@dataclass(frozen=True)
class Baselines:
    """Print the baselines of a data set, judged on test."""

    name: Annotated[str, tyro.conf.Positional]
    """The data set."""
    data_dir: Path | None = None
    """Where the data files are; else $BAYESREG_DATA, else the user's cache."""


def main() -> None:
    """A line for each baseline."""
    asked = command(Baselines, "experiments.baselines")
    logging.basicConfig(level="WARNING", format="%(message)s")
    from bayesreg import datasets
    from bayesreg.baselines import baseline

    try:
        data = datasets.load(asked.name, asked.data_dir)
    except (ValueError, OSError) as error:
        refuse(error)
    for name, metrics in baseline(data).items():
        print(f"{name:22}" + "  ".join(f"{metric} {value:.4f}" for metric, value in metrics.items()))


if __name__ == "__main__":
    with stoppable():
        main()
