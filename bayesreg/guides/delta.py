"""MAP: the guide that is a point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pyro.infer.autoguide import AutoDelta
from pyro.infer.autoguide.utils import deep_setattr
from torch import Tensor

from bayesreg.guides.base import Guide
from bayesreg.guides.start import Local, at_own_weights, local_parameters
from bayesreg.model import Model, Parameters

if TYPE_CHECKING:
    from bayesreg.datasets import Dataset
    from bayesreg.posterior import Posterior


class LocalDelta(Local, AutoDelta):
    """q(θ, z | x) = δ(θ − θ̂) q(z | x, θ), for a network with latents of each example."""


@dataclass(frozen=True)
class Delta(Guide):
    """q(θ) = δ(θ − θ̂): MAP, in the space where the density is defined, with no Jacobian."""

    name: ClassVar[str] = "delta"
    aliases: ClassVar[tuple[str, ...]] = ("map",)
    point: ClassVar[bool] = True
    copies: ClassVar[int] = 4
    line: ClassVar[Any] = None

    def check(self, model: Model) -> None:
        for term in model.prior.terms:
            term.check_map()
        super().check(model)

    def create(self, model: Model) -> AutoDelta:
        return at_own_weights(LocalDelta if model.local else AutoDelta, model)

    def finish(self, posterior: Posterior, train: Dataset) -> None:
        """Put the latents of prior and likelihood exactly at their maximum given θ, where Adam has only come near it.

        The noise scale is then the root mean square of the residuals, with the network in eval mode. Where the network
        has latents z of each example it is left alone: its maximum is that of an expectation over z.
        """
        model, guide = posterior.model, posterior.guide
        with local_parameters(), torch.no_grad():
            sites = guide.median()
            found: Parameters = {}
            for block in model.blocks:
                found |= block.profile(sites[block.site])
            if model.start and not model.local:
                found |= model.likelihood.profile(posterior.outputs(train.x), train.y)
            for site, value in found.items():
                _write(guide, site, value)


def _write(guide: AutoDelta, site: str, value: Tensor) -> None:
    """Write in place: the step, its graph and the checkpoint hold this tensor, which Pyro would replace by another."""
    parameter = guide.get_parameter(f"{site}_unconstrained")
    held = parameter.data
    deep_setattr(guide, site, value)
    parameter.data = held.copy_(parameter.data)
