"""What a shell needs to complete the command: `eval "$(bayesreg --print-completion bash)"`."""

from __future__ import annotations

from typing import Annotated, Any, Union

import tyro

from bayesreg.cli.baselines import Baselines
from bayesreg.cli.command import CONFIG
from bayesreg.cli.compare import Compare
from bayesreg.cli.data import Files
from bayesreg.cli.report import Report
from bayesreg.cli.run import options_of
from bayesreg.tasks import TASKS, kind


def show(shell: str) -> None:
    """Print the completion script of bash, zsh or tcsh, for all commands and tasks at once."""
    run = _one_of({name: options_of(kind(name)) for name in TASKS})
    every = _one_of({"compare": Compare, "run": run, "report": Report, "data": Files, "baselines": Baselines})
    tyro.cli(every, prog="bayesreg", args=["--tyro-print-completion", shell], config=CONFIG)


def _one_of(kinds: dict[str, Any]) -> Any:
    return Union[tuple(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in kinds.items())]  # noqa: UP007
