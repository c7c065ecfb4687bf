"""What a prior is: p(θ), or any factor of it. Priors add: log p(θ) is the sum of their terms."""

from __future__ import annotations

import fnmatch
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn
from torch.distributions import Distribution

from bayesreg.curvature import Share
from bayesreg.likelihoods import Likelihood

On = str | list[str] | Callable[[str, Tensor], bool]


def positive(owner: str, **values: float) -> None:
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


@dataclass(frozen=True)
class Batch:
    """What a factor of the prior may look at, all at one value of θ.

    x: the inputs [B, ...]; network: x -> outputs [B, ...]; predictive: p(y | x, θ), batch shape [B];
    size: N, the number of data on whose scale the log joint is. curvature: d(x) of a share of the examples [b],
    where the prior asks for it by `Prior.share`.
    """

    x: Tensor
    network: Callable[[Tensor], Tensor]
    predictive: Distribution
    size: int
    curvature: Tensor | None = None


class Look(NamedTuple):
    """What tells a prior from the others in a picture, with colour and without: matplotlib's colour, marker and line.

    The colours are those of Okabe & Ito (2008), told apart by readers of every kind of colour vision.
    """

    colour: str
    marker: str
    line: str | tuple = "-"


class Prior:
    """A term of log p(θ) on the scale of the whole data set.

    Subclass `FunctionPrior` and define `log_factor` for a term that depends on the network's function, or
    `WeightPrior` and its `sample` for a density on the weights. `name` is what the command line calls it, `grid` the
    strengths that a comparison tries (None: the default one), `look` how its lines are drawn.
    """

    name: ClassVar[str]
    default_strength: ClassVar[float | None] = None
    grid: ClassVar[tuple[float | None, ...]] = (None,)
    look: ClassVar[Look] = Look("#56B4E9", "X")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = vars(cls).get("name", cls.__name__.lower())

    @property
    def terms(self) -> tuple[Prior, ...]:
        """The priors of which this one is the sum."""
        return (self,)

    def __add__(self, other: Prior) -> Prior:
        if not isinstance(other, Prior):
            return NotImplemented
        terms = tuple(t for t in (*self.terms, *other.terms) if not isinstance(t, Flat))
        return terms[0] if len(terms) == 1 else Sum(terms) if terms else Flat()

    def log_factor(self, batch: Batch) -> Tensor | None:
        """The term's value, a scalar estimated from the batch without bias; None: it has no factor."""
        return None

    @property
    def period(self) -> int:
        """The factor is evaluated on every so many steps of training, and weighted by as much."""
        return 1

    def share(self, training: bool) -> Share | None:
        """The share of a batch of which the factor needs the curvature; None: it needs none."""
        return None

    def check(self, net: nn.Module, likelihood: Likelihood) -> None:
        """Raise ValueError where this prior has no meaning for the network or the likelihood."""

    def check_map(self) -> None:
        """Raise ValueError where this prior has no MAP estimate."""

    def per_datum(self, size: int) -> float | None:
        """The strength: the coefficient in loss = mean NLL + strength × penalty. None: it has none."""
        return None

    def natural(self) -> dict[str, Any]:
        """The natural parameters by name, enough to build the prior again."""
        return dict(vars(self))

    def describe(self, size: int) -> dict[str, Any]:
        """The record of a run: name, natural parameters, strength per datum and λ = N·strength on the data set."""
        strength = self.per_datum(size)
        rounded = None if strength is None else float(f"{strength:.9g}")  # 1/(N σ²) of a σ made from 1e-4
        on_data_set = None if rounded is None else size * rounded
        return {
            "name": self.name,
            "natural": self.natural(),
            "strength": rounded,
            "lambda": on_data_set,
            "size": size,
        }


class Sum(Prior):
    """log p(θ) = Σ_t log p_t(θ): priors on weights, on outputs and on curvature together."""

    def __init__(self, terms: tuple[Prior, ...]) -> None:
        self._terms = terms

    @property
    def terms(self) -> tuple[Prior, ...]:
        return self._terms

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

    @classmethod
    def from_strength(cls, strength: float | None = None, size: int = 1) -> Self:
        if strength is not None:
            raise ValueError(f"none has no strength, got {strength}: leave the number out")
        return cls()


@dataclass(frozen=True)
class FunctionPrior(Prior):
    """A factor on the network's function, with one number: its strength, the coefficient per datum (λ = N·strength)."""

    strength: float

    def __post_init__(self) -> None:
        positive(type(self).__name__, strength=self.strength)

    @classmethod
    def from_strength(cls, strength: float, size: int, **options: Any) -> Self:
        return cls(strength, **options)

    def per_datum(self, size: int) -> float:
        return self.strength

    @abstractmethod
    def log_factor(self, batch: Batch) -> Tensor:
        """The factor's log, on the scale of the whole data set: strength × N × the mean over the batch."""


class WeightPrior(Prior):
    """A density on the parameters that `on` claims, one flat vector and one Pyro site a prior.

    on: "weights" (tensors of two or more dimensions; the default), "all", a glob of parameter names such
    as "head.*", a list of globs, or a callable of (name, parameter).
    """

    on: On

    @abstractmethod
    def sample(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        """The Pyro sample statements for one vector shaped as `initial`: {site: value, ...}.

        A latent of its own is named "<latent>.<site>", as "precision.weights".
        """

    def initial(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        """Where inference starts: the network's own weights, and the prior's own latents given them."""
        return {site: initial}

    def profile(self, site: str, weights: Tensor) -> dict[str, Tensor]:
        """The maximum of the prior's own latents given θ, where it has a closed form: {site: value, ...}."""
        return {}

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
        raise ValueError(f"prior {name!r} is not registered in PRIORS: register it, or pass prior=... yourself")
    return known[name](**record["natural"])
