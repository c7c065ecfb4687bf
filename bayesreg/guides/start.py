"""Pyro's automatic guides, started at the network's own weights; and what each of their parameters stands for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyro
import torch
from pyro.infer.autoguide import AutoContinuous, AutoGuide, AutoNormal, init_to_value
from torch import Tensor
from torch.distributions import constraints

from bayesreg.model import Model
from bayesreg.randomness import random_state_kept

_numbers = itertools.count()


class Local:
    """θ and, given data, the network's own q(z | x, θ) at it; without data θ alone.

    Mixed into a guide of Pyro's, for a network with latents of each example.
    """

    _of: tuple[Model]  # in a tuple, as Pyro keeps its model: the network's parameters are not parameters of the guide

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        sites = super().forward(*args, **kwargs)  # type: ignore[misc]  # of the guide that it is mixed into
        if args or kwargs:
            (model,) = self._of
            model.guide(model.unpack(sites), *args, **kwargs)
        return sites


def local_parameters() -> Any:
    """Within, a guide of Pyro's keeps its parameters to itself, not in the global store."""
    return pyro.settings.context(module_local_params=True)


def at_own_weights(kind: type[AutoGuide], model: Model, **options: Any) -> Any:
    """A Pyro guide of that class, such as AutoMultivariateNormal, over the model's latents alone.

    They need no data, so its parameters exist at once, and the network is never run to find them: that would update
    BatchNorm's running statistics. The random state is restored too. A unique name keeps two guides apart in Pyro's
    global parameter store.
    """
    with (
        random_state_kept(next(model.net.parameters()).device),
        local_parameters(),
        pyro.poutine.block(),
    ):
        start = model.initial()
        guide = kind(model.latents, init_loc_fn=init_to_value(values=start), **options)
        if isinstance(guide, AutoNormal):
            guide.scale_constraint = (
                constraints.positive
            )  # log s is learned; large s would take long in Pyro's softplus
        if isinstance(guide, Local):
            guide._of = (model,)
        guide._pyro_name = f"{kind.__name__}{next(_numbers)}"
        guide()
        start.clear()  # or the guide would keep these values too, as long as it lives
    return guide


def log_units(model: Model) -> Iterator[tuple[str, Tensor]]:
    """The logarithm of the unit that y has given each parameter, by site; of no site where it has given none."""
    own = dict(model.net.named_parameters())
    for block in model.blocks if model.units else ():  # or a vector of ones for every weight would be made
        units = {name: torch.ones_like(own[name]) * model.units.get(name, 1.0) for name in block.shapes}
        yield block.site, block.pack(units).log()


def locations(guide: AutoGuide, path: str, vector: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The parts, by site, of a vector like the guide's parameter at that path that hold the location of a site's q.

    AutoDelta has the site itself, AutoNormal "locs.<site>", the guides of one vector for all sites "loc".
    """
    if path == "loc" and isinstance(guide, AutoContinuous):
        sizes = [shape.numel() for shape in guide._unconstrained_shapes.values()]
        yield from zip(guide._unconstrained_shapes, vector.split(sizes), strict=True)
    else:
        yield path.removeprefix("locs.").removesuffix("_unconstrained"), vector
