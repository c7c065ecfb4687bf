"""What is compared: a method, priors and techniques with a guide, such as "l2", "ard@normal", "dropout+l2:1e-4"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import nn

from bayesreg import guides
from bayesreg.datasets import Data
from bayesreg.guides import DEFAULT, Guide, Own
from bayesreg.likelihoods import Likelihood
from bayesreg.methods import grid
from bayesreg.methods.base import Technique
from bayesreg.methods.term import Term, terms_of
from bayesreg.model import Model
from bayesreg.network import copied
from bayesreg.priors import Flat, Look, Prior

SUM = (0, (5, 1, 1, 1))  # the line of a sum of terms


@dataclass(frozen=True, init=False)
class Method:
    """Priors and techniques used together, and a guide.

    terms: texts without a guide ("l2:1e-4", "dropout"), `Prior` or `Technique` objects, or classes of one. A class, or
    a name without a number, is tuned over the grid that it declares; an object, or a name with a number, is used as it
    is. guide: a name in GUIDES or an alias, with options as in "normal:init_scale=0.1", or a `Guide`. Equal by value,
    hashable and picklable.

    ValueError for an unknown term or guide, with the nearest known, an invalid number, and a term that is there twice.
    """

    terms: tuple[Term, ...]
    guide: Guide

    def __init__(self, *terms: Any, guide: Any = DEFAULT) -> None:
        found = [term for value in terms for term in ([value] if isinstance(value, Term) else terms_of(value))]
        found = [term for term in found if term.kind is not Flat]  # the neutral element of the sum
        object.__setattr__(self, "terms", tuple(found))
        object.__setattr__(self, "guide", guides.as_guide(guide))
        if isinstance(self.guide, Own):
            raise ValueError(
                f"the guide {self.guide} has no name that tells its runs apart: make it a class of br.guides.Guide"
            )
        _refuse_repeats(self)

    @classmethod
    def parse(cls, text: str) -> Method:
        """The method of a text: terms joined by "+", tuned or with a strength after ":", then "@" and a guide."""
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is not a method: write it as 'l2+dropout:0.1@normal'")
        terms, at, guide = text.partition("@")
        return cls(terms.strip(), guide=guide.strip()) if at else cls(terms.strip())

    def __repr__(self) -> str:
        return f"Method({self.text!r})"

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Its text without the numbers that are tuned, which candidates share."""
        return self._joined([term.name for term in self.terms])

    @property
    def text(self) -> str:
        """Its text with every number."""
        return self._joined([term.text for term in self.terms])

    def _joined(self, parts: list[str]) -> str:
        return ("+".join(parts) or Flat.name) + ("" if self.guide == DEFAULT else f"@{self.guide}")

    # --- Tuning ---

    @property
    def _tuned(self) -> list[Term]:
        return [term for term in self.terms if term.tuned]

    @property
    def strength(self) -> float | None:
        """The strength of the first tuned term; None before it is chosen, and where nothing is tuned."""
        return self._tuned[0].strength if self._tuned else None

    def candidate(self) -> Method:
        """The method as a candidate of its name: each term with a grid at its number, else at its default."""
        return Method(*(term.on_grid() for term in self.terms), guide=self.guide)

    @property
    def candidates(self) -> tuple[Method, ...]:
        """One for each strength of the grid, weakest first; several tuned terms move along theirs together."""
        steps = list(zip(*(term.grid for term in self._tuned), strict=False))
        return tuple(map(self.at, steps)) or (self,)

    def at(self, strengths: Sequence[float]) -> Method:
        """The candidate with these strengths of the tuned terms, in their order."""
        chosen = iter(strengths)
        return Method(*(term.at(next(chosen)) if term.tuned else term for term in self.terms), guide=self.guide)

    def _strengths(self) -> tuple[float, ...]:
        found = tuple(term.strength for term in self._tuned if term.strength is not None)
        if len(found) < len(self._tuned):
            raise ValueError(f"{self!r} has no strength yet: one of its candidates must be used")
        return found

    def _ladders(self, tried: Sequence[Method], best: Method) -> list[tuple[Term, list[float], float]]:
        """Each tuned term with its strengths that were tried, and the best of them."""
        for method in (*tried, best):
            if method.name != self.name:
                raise ValueError(f"{method!r} is not a candidate of {self.name!r}")
        if best not in tried:
            raise ValueError(f"{best!r} is none of those tried: {[method.text for method in tried]}")
        columns = list(zip(*(method._strengths() for method in tried), strict=True))
        return [(t, list(c), b) for t, c, b in zip(self._tuned, columns, best._strengths(), strict=True)]

    def another(self, tried: Sequence[Method], best: Method) -> Method | None:
        """One more candidate; None where nothing is tuned, or nothing is left.

        Beyond the edge by the grid's own ratio, where `best` is the first or last of those `tried`; else the geometric
        mean between it and its neighbour on the wider side, so that all methods can have as many candidates. A strength
        that is bounded, such as dropout's below 1, continues by its odds.
        """
        found = [term.another(column, b) for term, column, b in self._ladders(tried, best)]
        strengths = [strength for strength in found if strength is not None]
        return self.at(strengths) if found and len(strengths) == len(found) else None

    def at_edge(self, tried: Sequence[Method], best: Method) -> bool:
        """Whether `best` is the weakest or the strongest of those `tried`; False where nothing is tuned."""
        return any(grid.at_edge(column, b) for _, column, b in self._ladders(tried, best)[:1])

    # --- What it makes of the network, the likelihood and the training ---

    def prior(self, size: int) -> Prior:
        """p(θ) for N = size data."""
        priors = (term.made(size) for term in self.terms if term.is_prior)
        return reduce(lambda sum, prior: sum + prior, priors, Flat())

    @property
    def techniques(self) -> tuple[Technique, ...]:
        """The terms that are not priors, at their strengths."""
        return tuple(term.made(1) for term in self.terms if not term.is_prior)

    def network(self, net: nn.Module) -> nn.Module:
        """The network that is trained: a copy, with the same names of the parameters; the user's stays as it is."""
        return reduce(lambda net, technique: technique.network(net), self.techniques, copied(net))

    def likelihood(self, likelihood: Likelihood) -> Likelihood:
        """The likelihood under which it is trained."""
        return reduce(lambda likelihood, technique: technique.likelihood(likelihood), self.techniques, likelihood)

    def training(self) -> dict[str, Any]:
        """Further options of `fit`. ValueError where two techniques want the same one."""
        options: dict[str, Any] = {}
        owner: dict[str, str] = {}
        for technique in self.techniques:
            for option, value in technique.training().items():
                if option in options:
                    raise ValueError(f"{self.name}: {owner[option]} and {technique.name} both need fit({option}=...)")
                options[option], owner[option] = value, technique.name
        return options

    def check(self, net: nn.Module, likelihood: Likelihood, data: Data) -> None:
        """Raise ValueError, with the reason, where the method has no meaning for the network, likelihood or data."""
        for technique in self.techniques:
            technique.check(net, likelihood, data, self.guide)
        self.training()
        size = len(data.train)
        guides.create(self.guide, Model(self.network(net), self.prior(size), self.likelihood(likelihood), size))

    # --- Records and pictures ---

    def record(self) -> dict[str, Any]:
        """What identifies the candidate, for JSON; the strength is the number itself."""
        own = [term.record() for term in self.terms if term.given is not None]
        strengths = [term.strength for term in self._tuned]
        made: dict[str, Any] = {"method": self.name, "text": self.text, "strengths": strengths}
        made |= {"guide": self.guide.name}
        made |= {"options of the guide": decides} if (decides := self.guide.record()) else {}
        return made | ({"given": own} if own else {})

    @property
    def look(self) -> Look:
        """How it is drawn: a sum has its first term's colour and its last one's marker, a guide a line of its own."""
        looks = [term.kind.look for term in self.terms] or [Flat.look]
        own = looks[0] if len(looks) == 1 else Look(looks[0].colour, looks[-1].marker, SUM)
        return own if self.guide.line is None else own._replace(line=self.guide.line)


def _refuse_repeats(method: Method) -> None:
    """A prior may be there twice where each object claims parameters of its own."""
    for term in method.terms:
        alike = [other for other in method.terms if _is_a(other, term)]
        if len(alike) > 1 and not all(other.is_prior and other.given is not None for other in alike):
            raise ValueError(f"{method.text!r} has {term.kind.name!r} twice: leave one of them out")


def _is_a(other: Term, term: Term) -> bool:
    """Whether it does what the other does: Monte Carlo dropout is dropout."""
    return other.kind is term.kind or (not term.is_prior and issubclass(other.kind, term.kind))
