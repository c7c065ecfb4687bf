"""What an option means for a comparison: declared on the option itself, read by everything else.

An option without a word tells runs apart and is recorded; one that only says where a run takes place is marked:

    epochs: int = 30
    threads: Annotated[int | None, WHERE] = None
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

WHERE = "where"  # the same run elsewhere, or looked at otherwise: not recorded


def recorded(options: Any) -> dict[str, Any]:
    """The options that tell runs apart, with their values."""
    return {name: getattr(options, name) for name, marks in _marks(type(options)).items() if WHERE not in marks}


def where(options: Any) -> dict[str, Any]:
    """The options that only say where a run takes place, with their values."""
    return {name: getattr(options, name) for name, marks in _marks(type(options)).items() if WHERE in marks}


def changed(options: Any) -> dict[str, Any]:
    """The options that have not their default."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    default = type(options)()
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def _marks(kind: type[Any]) -> dict[str, tuple[Any, ...]]:
    """What each option is annotated with."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: getattr(hints[field.name], "__metadata__", ()) for field in fields(kind)}
