"""Guides q(θ), how a posterior is inferred: each defines how q is made, trained, finished and drawn from.

A Pyro user calls `delta(model)` or `normal(model)` and has a guide of Pyro's own, at the network's own weights.
"""

from __future__ import annotations

import difflib
from typing import Any

from pyro.infer.autoguide import AutoDelta, AutoGuide, AutoNormal

from bayesreg.guides.base import Guide
from bayesreg.guides.delta import Delta
from bayesreg.guides.ensemble import Ensemble
from bayesreg.guides.laplace import Laplace
from bayesreg.guides.lowrank import LowRank
from bayesreg.guides.normal import Normal
from bayesreg.guides.nuts import Nuts
from bayesreg.guides.own import Own
from bayesreg.guides.start import at_own_weights
from bayesreg.guides.swag import Swag
from bayesreg.guides.variational_dropout import VariationalDropout
from bayesreg.model import Model

__all__ = ["DEFAULT", "GUIDES", "HELD", "PAIRED", "Delta", "Ensemble", "Guide", "Laplace", "LowRank", "Normal", "Nuts"]
__all__ += ["Own", "Swag", "VariationalDropout", "as_guide", "at_own_weights", "create", "delta", "known", "normal"]

GUIDES: dict[str, type[Guide]] = {kind.name: kind for kind in (Delta, Normal, Ensemble, Laplace, Swag, LowRank)}
PAIRED: dict[str, type[Guide]] = {kind.name: kind for kind in (VariationalDropout,)}  # each for one prior only
HELD: dict[str, type[Guide]] = {kind.name: kind for kind in (Nuts,)}  # not made by a fit, but by `bayesreg.nuts`
DEFAULT: Guide = Delta()


def known() -> dict[str, type[Guide]]:
    """Every guide by name: GUIDES, which go with any prior, PAIRED and HELD."""
    return GUIDES | PAIRED | HELD


def as_guide(value: Any) -> Guide:
    """A guide from a name in GUIDES or an alias, with options as "normal:init_scale=0.1", an object or a Pyro guide.

    ValueError for an unknown name, with the nearest known, and for what is not a guide.
    """
    if isinstance(value, Guide):
        return value
    if isinstance(value, type) and issubclass(value, Guide):
        return value()
    if not isinstance(value, str) and callable(value):
        return Own(value)
    name, _, options = str(value).partition(":")
    every = {alias: kind for kind in GUIDES.values() for alias in kind.aliases} | known()
    kind = every.get(name.strip().lower())
    if kind is None:
        near = difflib.get_close_matches(name.lower(), every, n=1, cutoff=0.4) if isinstance(value, str) else []
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"unknown guide {value!r}{hint} Guides: {', '.join(known())}")
    return kind.parse(options) if options.strip() else kind()


def create(guide: Any, model: Model) -> AutoGuide:
    """q(θ) of the model, by a guide or what `as_guide` takes. ValueError where it has no meaning there."""
    guide = as_guide(guide)
    guide.check(model)
    return guide.create(model)


def delta(model: Model) -> AutoDelta:
    """q(θ) = δ(θ − θ̂) for Pyro's SVI: see `Delta`."""
    return create(Delta(), model)


def normal(model: Model, init_scale: float = 0.01) -> AutoNormal:
    """q(θ) = Π_j Normal(m_j, s_j) for Pyro's SVI: see `Normal`."""
    return create(Normal(init_scale=init_scale), model)
