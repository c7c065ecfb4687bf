"""What a prior is: p(θ), or any factor of it. Priors add: log p(θ) is the sum of their terms."""

from __future__ import annotations

import fnmatch
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn

from bayesreg.likelihoods import Likelihood
from bayesreg.priors.batch import Batch, Factor

On = str | list[str] | Callable[[str, Tensor], bool]


def positive(owner: str, **values: Any) -> None:
    """Raise ValueError unless every value is a finite number above 0."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{owner}({name}={value!r}): {name} must be a number")
        if not (math.isfinite(value) and value > 0):
            raise ValueError(
                f"{owner}({name}={value}): {name} must be finite and above 0; for no prior at all use none, Flat()"
            )


def whole(owner: str, least: int = 1, most: int | None = None, **values: Any) -> None:
    """Raise ValueError unless every value is a whole number of at least `least`, and of at most `most`."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise ValueError(f"{owner}({name}={value!r}): {name} must be a whole number of at least {least}")
        if int(value) < least or (most is not None and int(value) > most):
            bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise ValueError(f"{owner}({name}={value}): {name} must be a whole number {bounds}")


LEAST, MOST = 1e-30, 1e30  # λ: further out single precision has no digits for the density


def on_data_set(owner: str, strength: Any, size: int) -> float:
    """λ = N·strength. ValueError unless it is a number that a density can be computed with."""
    positive(owner, strength=strength, size=size)
    if not LEAST <= size * strength <= MOST:
        raise ValueError(
            f"{owner}(strength={strength}): {size} × strength = {size * strength:.3g} is out of the reach of single "
            f"precision; take one with N × strength from {LEAST:g} to {MOST:g}"
        )
    return size * strength


def shortest(near: float, gives: Callable[[float], bool]) -> float:
    """Of the numbers at `near` up to rounding for which `gives` holds, the one of fewest digits; `near` without any.

    Of a strength a density keeps what it needs, as σ = (N·strength)^−½, and 1/(N σ²) is the strength but for its last
    digits. So it is said as what gives this very σ: 1e-4 comes back as 1e-4, and any other within 16 units of its last
    place.
    """
    rounded = [float(f"{near:.{digits}g}") for digits in range(1, 18)]
    unit = math.ulp(near)
    beside = [near + sign * places * unit for places in range(1, 17) for sign in (1, -1)]
    return next((float(number) for number in [*rounded, *beside] if gives(number)), float(near))


class Look(NamedTuple):
    """What tells a prior from the others in a picture, with colour and without: matplotlib's colour, marker and line.

    The colours are those of Okabe & Ito (2008), told apart by readers of every kind of colour vision.
    """

    colour: str
    marker: str
    line: str | tuple = "-"


class Prior(ABC):
    """A term of log p(θ) on the scale of the whole data set.

    Subclass `FunctionPrior` and define `log_factor` for a term that depends on the network's function, or
    `WeightPrior` and its `sample` for a density on the weights; TypeError where a class is made that lacks it. `name`
    is what the command line calls it, `default_strength` what it takes without a number, `grid` the strengths that a
    comparison tries (None: the default one), `look` how its lines are drawn, `named` what a word in a strength's place
    stands for: the other arguments by that word, as "ard:sparse".
    """

    name: ClassVar[str]
    default_strength: ClassVar[float | None] = None
    grid: ClassVar[tuple[float | None, ...]] = (None,)
    look: ClassVar[Look] = Look("#7F7F7F", "X")
    named: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = vars(cls).get("name", cls.__name__.lower())

    def __new__(cls, *args: Any, **options: Any) -> Self:
        for method in sorted(cls.__abstractmethods__):
            what = " ".join((inspect.getdoc(getattr(cls, method)) or "").partition(".\n")[0].split())
            raise TypeError(f"{cls.__name__} is no whole prior: define {method}({_arguments(cls, method)}): {what}")
        return super().__new__(cls)

    @classmethod
    def from_strength(cls, strength: float | None, size: int, **options: Any) -> Self:
        """The prior of that coefficient in loss = mean NLL + strength × penalty, for N = size data.

        options: its other arguments. A prior without a strength, as this one unless it defines it, takes None alone.
        """
        if strength is not None:
            raise ValueError(f"{cls.name} has no strength, got {strength}: leave the number out")
        return cls(**options)

    def per_datum(self, size: int) -> float | None:
        """The strength for which `from_strength` gives this very prior, if there is one. None: it has no strength."""
        return None

    @property
    def choice(self) -> str | None:
        """The word in `named` that stands for this very prior, if there is one."""
        return next((word for word, options in self.named.items() if self == type(self)(**options)), None)

    @property
    def terms(self) -> tuple[Prior, ...]:
        """The priors of which this one is the sum."""
        return (self,)

    def __add__(self, other: Prior) -> Prior:
        if not isinstance(other, Prior):
            return NotImplemented
        terms = tuple(t for t in (*self.terms, *other.terms) if not isinstance(t, Flat))
        return terms[0] if len(terms) == 1 else Sum(terms) if terms else Flat()

    @abstractmethod
    def log_factor(self, batch: Batch) -> Tensor | float | None:
        """The term's value, a scalar estimated from the batch without bias; None: it has no factor."""

    @property
    def turns(self) -> tuple[Factor, ...]:
        """What stands for `log_factor` at the steps of training, in turn: estimates of which it is the mean."""
        return (self.log_factor,)

    def check(self, net: nn.Module, likelihood: Likelihood) -> None:  # noqa: B027  (most refuse nothing)
        """Raise ValueError where this prior has no meaning for the network or the likelihood."""

    def check_map(self) -> None:  # noqa: B027  (or none at all)
        """Raise ValueError where this prior has no MAP estimate."""

    def natural(self) -> dict[str, Any]:
        """The natural parameters by name, enough to build the prior again."""
        return dict(vars(self))

    def describe(self, size: int) -> dict[str, Any]:
        """The record of a run: name, natural parameters, strength per datum and λ = N·strength on the data set."""
        strength = self.per_datum(size)
        return {
            "name": self.name,
            "natural": self.natural(),
            "strength": strength,
            "lambda": None if strength is None else size * strength,
            "size": size,
        }


def _arguments(cls: type[Prior], method: str) -> str:
    return ", ".join(inspect.signature(getattr(cls, method)).parameters)


class Sum(Prior):
    """log p(θ) = Σ_t log p_t(θ): priors on weights, on outputs and on curvature together."""

    def __init__(self, terms: tuple[Prior, ...]) -> None:
        self._terms = terms

    @property
    def terms(self) -> tuple[Prior, ...]:
        return self._terms

    def log_factor(self, batch: Batch) -> Tensor | float | None:
        factors = [factor for term in self._terms if (factor := term.log_factor(batch)) is not None]
        return sum(factors[1:], factors[0]) if factors else None

    def __repr__(self) -> str:
        return " + ".join(map(repr, self._terms))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and self._terms == other._terms

    def __hash__(self) -> int:
        return hash(self._terms)


@dataclass(frozen=True)
class Flat(Prior):
    """The prior "none": log p(θ) = 0, an improper flat density. Under MAP it is maximum likelihood."""

    name: ClassVar[str] = "none"
    look: ClassVar[Look] = Look("#000000", "o", (0, (4, 2)))

    def log_factor(self, batch: Batch) -> None:
        return None


@dataclass(frozen=True)
class FunctionPrior(Prior):
    """A factor on the network's function, with one number: its strength, the coefficient per datum (λ = N·strength)."""

    strength: float

    def __post_init__(self) -> None:
        positive(type(self).__name__, strength=self.strength)

    @classmethod
    def from_strength(cls, strength: float | None, size: int, **options: Any) -> Self:
        on_data_set(cls.__name__, strength, size)
        assert strength is not None
        return cls(strength, **options)

    def per_datum(self, size: int) -> float:
        return float(self.strength)

    @abstractmethod
    def log_factor(self, batch: Batch) -> Tensor:
        """The factor's log, on the scale of the whole data set: strength × N × the mean over the batch."""


class Latent(NamedTuple):
    """What a weight prior has of its own beside the weights θ [n]: the site "<name>.<site>", as "precision.weights".

    shape: its own, () for a scalar; None: one a weight, named after the parameters, as "precision.fc1.weight".
    start: θ -> where inference starts. profile: θ -> its maximum given θ, where that has a closed form; MAP then ends
    exactly there.
    """

    name: str
    shape: tuple[int, ...] | None
    start: Callable[[Tensor], Tensor | float]
    profile: Callable[[Tensor], Tensor] | None = None


class WeightPrior(Prior):
    """A density on the parameters that `on` claims, one flat vector and one Pyro site a prior.

    on: "weights" (tensors of two or more dimensions; the default), "all", a glob of parameter names such
    as "head.*", a list of globs, or a callable of (name, parameter).
    """

    on: On = "weights"

    @abstractmethod
    def sample(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        """The Pyro sample statements for one vector shaped as `initial`, and for the `latents`: {site: value, ...}."""

    @property
    def latents(self) -> tuple[Latent, ...]:
        """What `sample` draws beside the weights."""
        return ()

    def log_factor(self, batch: Batch) -> None:
        """None: what `sample` says is all."""
        return None

    def constant(self, size: int) -> float:
        """What is the same for every θ of log p(θ), in nats, for n = size parameters: no part of the penalty."""
        return 0.0

    def claims(self, name: str, parameter: Tensor) -> bool:
        """Whether this prior is the density of that parameter of the network."""
        if callable(self.on):
            return bool(self.on(name, parameter))
        if self.on == "weights":
            return parameter.dim() >= 2
        patterns = [self.on] if isinstance(self.on, str) else self.on
        return any(p == "all" or fnmatch.fnmatchcase(name, p) for p in patterns)


def from_natural(known: Mapping[str, type[Any]], record: Mapping[str, Any]) -> Prior:
    """The prior of one `Prior.describe` record, by the classes in `known`."""
    name = record["name"]
    if name not in known:
        raise ValueError(f"prior {name!r} is not registered in PRIORS: pass prior=... yourself, or register it")
    return known[name](**record["natural"])
