"""What an option of an experiment means for a comparison: declared on the option itself, read by everything else.

An option without a word is one of the task, so that runs that differ in a new one are never taken as repeats:

    epochs: int = 30
    seed: Annotated[int, REPLICATE] = 0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from inspect import signature
from typing import Any, get_type_hints


class Role(StrEnum):
    """What two runs are that differ in the option; the name of its group in config.json."""

    TASK = "task"
    CANDIDATE = "candidate"
    REPLICATE = "replicate"
    WHERE = "where"


TASK = Role.TASK  # other tasks
CANDIDATE = Role.CANDIDATE  # other candidates for one task
REPLICATE = Role.REPLICATE  # repeats of one candidate
WHERE = Role.WHERE  # the same run elsewhere, or looked at otherwise: not recorded
GRID = "grid"  # beside a role: a comparison sets the option for all its runs alike


@dataclass(frozen=True)
class Ard:
    """Hyperparameters of the ARD prior, α ~ Gamma(a, b)."""

    a: float = 1.0
    """Shape a of the Gamma; above 0.5 under MAP."""
    b: float = 1.0
    """Rate b of the Gamma."""


@dataclass(frozen=True)
class Smoothness:
    """How the smoothness prior is estimated while training, without bias."""

    fraction: float | None = None
    """The share of each batch that it is computed from; None takes a sixteenth, but at least 8 examples."""
    every: int = 4
    """On every so many steps, and weighted by as much."""
    coordinates: int | None = None
    """Along so many coordinates of each example, drawn at random; None takes all of at most 32, else one."""


def annotated(kind: type[Any]) -> dict[str, tuple[Any, ...]]:
    """What each option is annotated with: {name: (role, ...)}."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: getattr(hints[field.name], "__metadata__", ()) for field in fields(kind)}


def role(own: tuple[Any, ...]) -> Role:
    """The role among the annotations of an option."""
    return next((one for one in own if isinstance(one, Role)), TASK)


def with_role(options: Any, wanted: Role) -> dict[str, Any]:
    """The options of that role, with their values."""
    return {name: getattr(options, name) for name, own in annotated(type(options)).items() if role(own) is wanted}


def of_the_grid(kind: type[Any]) -> list[str]:
    """The options that no experiment of a comparison chooses for itself."""
    return [name for name, own in annotated(kind).items() if GRID in own]


def of_priors(options: Any) -> dict[str, Any]:
    """The options that belong to one prior alone, by its name."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return {name: value for name, value in values.items() if is_dataclass(value)}


def changed(options: Any) -> dict[str, Any]:
    """The options that have not their default."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    default = type(options)()
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def taken_by(function: Callable[..., Any], options: Any) -> dict[str, Any]:
    """The options that a function takes under the same names."""
    names = {field.name for field in fields(options)}
    return {name: getattr(options, name) for name in signature(function).parameters if name in names}


def refuse_unused(options: Any, text: str, names: Sequence[str]) -> None:
    """Raise ValueError for an option of a prior that is not among `names`, those of the prior `text`."""
    for prior, own in of_priors(options).items():
        if prior not in names and (given := changed(own)):
            name, value = next(iter(given.items()))
            raise ValueError(
                f"--{prior}.{name} {value} beside --prior {text} plays no part: leave it out, or take --prior {prior}"
            )
