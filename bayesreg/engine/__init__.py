"""Where the runs of a comparison take place: one small file per engine."""

from __future__ import annotations

from typing import Any

from bayesreg.engine.base import Engine, Job, Killed, Outcome, TimedOut
from bayesreg.engine.local import Local
from bayesreg.engine.ray import Ray
from bayesreg.engine.slurm import Slurm

ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (Local, Ray, Slurm)}

__all__ = ["ENGINES", "Engine", "Job", "Killed", "Local", "Outcome", "Ray", "Slurm", "TimedOut", "as_engine"]


def as_engine(engine: str | Engine, **options: Any) -> Engine:
    """The engine of that name with these options, without those that are None; an instance as it is.

    ValueError for an unknown name, and for an option that the engine does not have.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(engine, Engine):
        if given:
            raise ValueError(f"{', '.join(given)} with an instance of an engine: give them to {type(engine).__name__}")
        return engine
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    kind = ENGINES[engine]
    if foreign := [name for name in given if name not in kind.options()]:
        raise ValueError(f"{foreign[0]} {given[foreign[0]]} has no effect: the {engine} engine has no such option")
    return kind(**given)
