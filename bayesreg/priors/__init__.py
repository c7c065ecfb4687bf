"""Priors p(θ), by name and by text: "none", "l2:1e-4", "l2:1e-4+entropic:0.1"."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

from bayesreg.priors.ard import ARD
from bayesreg.priors.base import Flat, FunctionPrior, Latent, Look, Prior, Sum, WeightPrior, from_natural
from bayesreg.priors.batch import Batch
from bayesreg.priors.elastic_net import ElasticNet
from bayesreg.priors.entropic import Entropic
from bayesreg.priors.l1 import L1
from bayesreg.priors.l2 import L2
from bayesreg.priors.log_uniform import LogUniform
from bayesreg.priors.smoothness import Smoothness

PRIORS: dict[str, type[Any]] = {
    "none": Flat,
    "l1": L1,
    "l2": L2,
    "elastic_net": ElasticNet,
    "smoothness": Smoothness,
    "entropic": Entropic,
    "ard": ARD,
}
PAIRED: dict[str, type[Any]] = {"log_uniform": LogUniform}  # with no MAP estimate: for a guide of their own

__all__ = [
    "ARD",
    "L1",
    "L2",
    "PAIRED",
    "PRIORS",
    "Batch",
    "ElasticNet",
    "Entropic",
    "Flat",
    "FunctionPrior",
    "Latent",
    "LogUniform",
    "Look",
    "Prior",
    "Smoothness",
    "Sum",
    "WeightPrior",
]
__all__ += ["as_prior", "from_records", "known", "made", "parse", "split", "text"]


def known() -> dict[str, type[Any]]:
    """Every prior by name: PRIORS, which go with any guide, and PAIRED."""
    return PRIORS | PAIRED


def split(text: str) -> list[tuple[str, float | str | None]]:
    """[(name, strength, word or None), ...] of "l2:1e-4+ard:sparse".

    ValueError for an unknown name, with the nearest known one, and for a strength that is not a number.
    """
    return [_term(part.strip(), text) for part in re.split(r"(?<![\d.][eE])\+", text)]


def _term(part: str, text: str) -> tuple[str, float | str | None]:
    name, colon, number = part.partition(":")
    if name not in known():
        near = difflib.get_close_matches(name.lower(), known(), n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"unknown prior {name!r} in {text!r}{hint} Priors: {', '.join(known())}")
    if number in known()[name].named:
        return name, number
    try:
        return name, float(number) if colon else None
    except ValueError:
        words = "".join(f" or {name}:{word}" for word in known()[name].named)
        raise ValueError(f"prior {part!r}: the strength {number!r} is not a number, as in {name}:1e-4{words}") from None


def parse(text: str, size: int, **options: dict[str, Any]) -> Prior:
    """The prior of a text such as "l2:1e-4+entropic:0.1" for N = size data.

    A number is the strength, per datum; without one the prior's default strength holds (ARD: untempered). A word is one
    of the prior's own, `named`. options: further arguments by prior name, as ard={"a": 2.0}.
    """
    return made(split(text), size, **options)


def made(terms: Iterable[tuple[str, float | str | None]], size: int, **options: dict[str, Any]) -> Prior:
    """The prior of terms (name, strength or word), as `split` reads them from a text, for N = size data."""
    prior: Prior = Flat()
    for name, strength in terms:
        kind, own = known()[name], options.get(name, {})
        if isinstance(strength, str):
            prior = prior + kind(**kind.named[strength] | own)
        else:
            prior = prior + kind.from_strength(kind.default_strength if strength is None else strength, size, **own)
    return prior


def as_prior(value: Prior | str, size: int) -> Prior:
    """A prior by itself or by its text, for N = size data. ValueError for anything else."""
    if isinstance(value, str):
        return parse(value, size)
    if not isinstance(value, Prior):
        raise ValueError(
            f'Model(prior={value!r}): not a prior; write br.L2(scale=1.0), its text as "l2:1e-4", or br.Flat() for none'
        )
    return value


def text(prior: Prior, size: int) -> str:
    """The text of a prior, from which `parse` makes the very same; options that are no strength are not in it."""
    return "+".join(_written(term, size) for term in prior.terms)


def _written(term: Prior, size: int) -> str:
    """With every digit that tells the strength from its neighbours."""
    if term.choice:
        return f"{term.name}:{term.choice}"
    strength = term.per_datum(size)
    return term.name if strength is None else f"{term.name}:{strength!r}".removesuffix(".0")


def from_records(records: Iterable[dict[str, Any]]) -> Prior:
    """The sum of the priors that `Prior.describe` recorded."""
    prior: Prior = Flat()
    for record in records:
        prior = prior + from_natural(known(), record)
    return prior
