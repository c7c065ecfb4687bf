"""Whether a posterior under a flat prior can be integrated, as far as the density along some rays tells."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from bayesreg.potential import Potential

FAR, FARTHER, STEPS = 1e4, 1e8, 300


def check_proper(potential: Potential) -> None:
    """Raise ValueError where the density does not fall faster than 1/t on one of the rays: its integral is infinite.

    What has a proper prior needs no look.
    """
    for name, direction in _rays(potential):
        far, farther = (float(potential(potential.start + t * direction)[0]) for t in (FAR, FARTHER))
        if farther - far <= math.log(FARTHER / FAR):
            raise ValueError(
                f"the posterior is improper: {name} has a flat prior, and the data do not bound it, so that there is "
                'nothing to draw from. Give it a prior, as br.L2(scale=1.0, on="all")'
            )


def _rays(potential: Potential) -> Iterator[tuple[str, Tensor]]:
    """Of what has a flat prior: each axis, a shift of all units of a layer alike, and where the likelihood rises."""
    places = potential.split(torch.arange(len(potential.start)))
    flat = [block for block in potential.model.blocks if block.prior is None]
    for name, index in ((name, index) for block in flat for name, index in block.unpack(places[block.site]).items()):
        units = index.reshape(len(index), -1) if index.dim() else index.reshape(1, 1)
        for some in (*units.reshape(-1, 1), *units.T):
            ray = torch.zeros_like(potential.start).index_fill(0, some, 1.0)
            yield from ((name, ray), (name, -ray))
    for block in flat:
        yield f"all of {', '.join(block.shapes)}", _rise(potential, places[block.site])


def _rise(potential: Potential, own: Tensor) -> Tensor:
    """Where some steps of Adam lead these numbers: to a boundary that parts the classes, where there is one."""
    u = potential.start.clone()
    part = u[own].requires_grad_()
    adam = torch.optim.Adam([part], lr=0.1)
    for _ in range(STEPS):
        u[own] = part.detach()
        part.grad = potential(u)[1][own]
        adam.step()
    return torch.zeros_like(u).index_put((own,), part.detach() - potential.start[own])
