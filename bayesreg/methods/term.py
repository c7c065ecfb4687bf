"""One term of a method: a prior or a technique, taken as it is or tuned over the grid that its class declares."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from bayesreg.checkpoint import told_apart
from bayesreg.methods import grid
from bayesreg.methods.base import Technique
from bayesreg.methods.techniques import known
from bayesreg.priors import Flat, FunctionPrior, Prior


@dataclass(frozen=True)
class Term:
    """A class with a strength (None: not chosen yet, or it has none), or an object of the user's own, `given`."""

    kind: type[Any]
    strength: float | None = None
    tuned: bool = False
    given: Any = field(default=None, hash=False)  # its equals have the same kind; `on` may be a list

    @property
    def is_prior(self) -> bool:
        return issubclass(self.kind, Prior)

    @property
    def grid(self) -> tuple[float, ...]:
        """The strengths that the class declares, weakest first; () where the term is taken as it is."""
        return tuple(sorted(s for s in self.kind.grid if s is not None)) if self.tuned else ()

    @property
    def name(self) -> str:
        """Without the strength that is tuned."""
        return self.kind.name if self.tuned else self.text

    @property
    def text(self) -> str:
        """With every number: "l2:0.0001"; of an object given "l2(scale=0.1)", which can't be parsed."""
        if self.is_prior and self.given is not None and self.given.choice:
            return f"{self.kind.name}:{self.given.choice}"
        if self.given is not None:
            return f"{self.kind.name}({', '.join(f'{k}={_short(v)}' for k, v in self._options().items())})"
        return self.kind.name if self.strength is None else f"{self.kind.name}:{self.strength!r}"

    def made(self, size: int) -> Any:
        """The prior or technique itself, for N = size data, at its default strength where none is chosen."""
        if self.given is not None:
            return self.given
        return self.kind.from_strength(self.kind.default_strength if self.strength is None else self.strength, size)

    def at(self, strength: float) -> Term:
        return replace(self, strength=strength)

    def on_grid(self) -> Term:
        """The term as a point of its class's grid, where that has one: at its strength, or at the default one."""
        strength = self.kind.default_strength if self.strength is None else self.strength
        tuned = self.given is None and strength is not None and _of_class(self.kind).tuned
        return replace(self, strength=strength, tuned=tuned)

    def another(self, tried: list[float], best: float) -> float | None:
        return grid.another(self.grid, tried, best, getattr(self.kind, "most", math.inf))

    def record(self) -> dict[str, Any]:
        """What an object of the user's own is made of, in JSON."""
        natural = self.given.natural() if self.is_prior else vars(self.given)
        return {"name": self.kind.name} | {k: told_apart(v) if callable(v) else v for k, v in natural.items()}

    def _options(self) -> dict[str, Any]:
        made = self.given.natural() if self.is_prior else vars(self.given)
        return {name: value for name, value in made.items() if (name, value) != ("on", "weights")}


def terms_of(value: Any) -> Iterator[Term]:
    """The terms of a text without a guide, of a prior or technique, or of a class of one."""
    if isinstance(value, str):
        for part in re.split(r"(?<![\d.][eE])\+", value):
            yield _parsed(part.strip(), value)
    elif isinstance(value, Prior):
        yield from (_given(term) for term in value.terms)
    elif isinstance(value, Technique):
        yield _given(value)
    elif isinstance(value, type) and issubclass(value, Prior | Technique):
        yield _of_class(value)
    else:
        raise ValueError(
            f"{value!r} is no part of a method: write a text as 'l2:1e-4', a prior, a technique, or a class of one"
        )


def _parsed(part: str, text: str) -> Term:
    name, colon, number = part.partition(":")
    kind = known(name, text)
    if not colon:
        return _of_class(kind)
    named = kind.named if issubclass(kind, Prior) else {}
    if number in named:
        return Term(kind, given=kind(**named[number]))
    try:
        strength = float(number)
    except ValueError:
        words = "".join(f" or {name}:{word}" for word in named)
        raise ValueError(f"{part!r}: the strength {number!r} is not a number, as in {name}:0.1{words}") from None
    term = Term(kind, strength)
    try:
        term.made(size=1)
    except ValueError as error:
        raise ValueError(f"{part!r}: {error}") from None
    return term


def _of_class(kind: type[Any]) -> Term:
    return Term(kind, tuned=any(strength is not None for strength in kind.grid))


def _given(value: Any) -> Term:
    """An object; one that is its class at a strength, whatever the data, is the same as its text."""
    kind = type(value)
    if isinstance(value, Flat):
        return Term(kind)
    strength = getattr(value, "strength", None) if isinstance(value, FunctionPrior | Technique) else None
    plain = isinstance(value, Technique) or strength is not None
    same = plain and value == kind.from_strength(strength, 1)
    return Term(kind, None if strength is None else float(strength)) if same else Term(kind, given=value)


def _short(value: Any) -> str:
    return getattr(value, "__qualname__", None) or repr(value)
