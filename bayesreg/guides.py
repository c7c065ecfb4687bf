"""Guides q(θ): Pyro's own automatic guides, started at the network's own weights."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro.infer.autoguide import AutoDelta, AutoGuide, AutoNormal, init_to_value
from torch.distributions import constraints

from bayesreg.model import Model
from bayesreg.randomness import random_state_kept

_numbers = itertools.count()


class _Local:
    """Beside θ, the network's own q(z | x, θ) at it, wherever data are given; called with none, θ alone."""

    _of: tuple[Model]  # in a tuple, as Pyro keeps its model: the network's parameters are no parameters of the guide

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        sites = super().forward(*args, **kwargs)  # type: ignore[misc]  # of the guide that it is mixed into
        if args or kwargs:
            (model,) = self._of
            model.guide(model.unpack(sites), *args, **kwargs)
        return sites


class LocalDelta(_Local, AutoDelta):
    """q(θ, z | x) = δ(θ − θ̂) q(z | x, θ), for a network with latents of each example."""


class LocalNormal(_Local, AutoNormal):
    """q(θ, z | x) = Π_j Normal(m_j, s_j) q(z | x, θ), for a network with latents of each example."""


def delta(model: Model) -> AutoDelta:
    """q(θ) = δ(θ − θ̂): MAP, in the space where the density is defined, with no Jacobian."""
    for term in model.prior.terms:
        term.check_map()
    return _start(LocalDelta if model.local else AutoDelta, model)


def normal(model: Model, init_scale: float = 0.01) -> AutoNormal:
    """q(θ) = Π_j Normal(m_j, s_j), mean-field variational inference (Blundell et al., 2015).

    A positive latent such as a precision is Normal in its logarithm. init_scale: s_j at the start, small
    beside a network's own weights; in the unit of those parameters that y has given one. What is learned is log s_j,
    of which a step is the same in every unit.
    """
    guide = _start(LocalNormal if model.local else AutoNormal, model, init_scale=init_scale)
    own = dict(model.net.named_parameters())
    for block in model.blocks if model.units else ():  # or a vector of ones for every weight would be made
        units = {name: torch.ones_like(own[name]) * model.units.get(name, 1.0) for name in block.shapes}
        log_scales = guide.get_parameter(f"scales.{block.site}_unconstrained")
        log_scales.data += block.pack(units).log()
    return guide


GUIDES: dict[str, Callable[[Model], AutoGuide]] = {"delta": delta, "normal": normal}
ALIASES = {"map": "delta", "vi": "normal", "mean_field": "normal"}  # what the field calls the inference by them


def create(name: str, model: Model) -> AutoGuide:
    """The guide of that name. ValueError for an unknown one, with the nearest known."""
    return GUIDES[named(name)](model)


def named(name: str) -> str:
    """The name in GUIDES, of an alias too. ValueError for an unknown one, with the nearest known."""
    known = ALIASES.get(str(name).lower(), str(name).lower())
    if known not in GUIDES:
        near = difflib.get_close_matches(known, GUIDES, n=1, cutoff=0.4) if isinstance(name, str) else []
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"unknown guide {name!r}{hint} Guides: {', '.join(GUIDES)}")
    return known


def _start(guide_class: type[AutoGuide], model: Model, **options: Any) -> Any:
    """A guide of the model's latents alone.

    They need no data, so its parameters exist at once, and the network is never run to find them: that
    would move BatchNorm's running statistics. The random state comes back too. A name of its own keeps two
    guides apart in Pyro's global parameter store.
    """
    with (
        random_state_kept(next(model.net.parameters()).device),
        pyro.settings.context(module_local_params=True),
        pyro.poutine.block(),
    ):
        start = model.initial()
        guide = guide_class(model.latents, init_loc_fn=init_to_value(values=start), **options)
        if isinstance(guide, AutoNormal):
            guide.scale_constraint = constraints.positive  # log s is learned; large s take long in Pyro's softplus
        if isinstance(guide, _Local):
            guide._of = (model,)
        guide._pyro_name = f"{guide_class.__name__}{next(_numbers)}"
        guide()
        start.clear()  # or the guide would hold these values, too, for as long as it lives
    return guide
