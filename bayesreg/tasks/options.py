"""What an option means for a comparison: declared on the option itself, read by everything else.

An unmarked option is part of a run's identity and is recorded; one that only says where a run takes place is marked:

    epochs: int = 30
    threads: Annotated[int | None, WHERE] = None
"""

from __future__ import annotations

import io
import itertools
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from typing import Any, get_type_hints

WHERE = "where"  # the same run elsewhere, or shown differently: not recorded


def recorded(options: Any) -> dict[str, Any]:
    """The options that identify a run, with their values."""
    return {name: getattr(options, name) for name, marks in _marks(type(options)).items() if WHERE not in marks}


def changed(options: Any) -> dict[str, Any]:
    """The options that differ from their defaults."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    default = type(options)()
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def read(kind: type[Any], arguments: list[str], text: str) -> Any:
    """The options in a text. ValueError, in one line, where the command line would print a box and exit."""
    import tyro

    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            return tyro.cli(kind, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as end:
        why = _first_block(said.getvalue()) if end.code else "--help is not an option of a task"
        raise ValueError(f"{text!r}: {why}; bayesreg run {kind.name} --help says which options there are") from None


def _first_block(box: str) -> str:
    """The text in a box between its title and the next rule, in one line."""
    lines = itertools.dropwhile(_is_rule, box.splitlines()[1:])
    return " ".join(line.strip("│ ") for line in itertools.takewhile(lambda line: not _is_rule(line), lines))


def _is_rule(line: str) -> bool:
    return not line.strip("│├┤╰╯─- ")


def _marks(kind: type[Any]) -> dict[str, tuple[Any, ...]]:
    """What each option is annotated with."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: getattr(hints[field.name], "__metadata__", ()) for field in fields(kind)}
