"""Variational inference by a Normal of low rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pyro.infer.autoguide import AutoLowRankMultivariateNormal
from torch.distributions import constraints

from bayesreg.guides.normal import Normal
from bayesreg.guides.start import Local, at_own_weights, locations, log_units
from bayesreg.model import Model
from bayesreg.priors.base import whole


class LowRankNormal(AutoLowRankMultivariateNormal):
    """q(θ) = Normal(m, diag s · (I + B Bᵀ) · diag s), of which log s is learned, as AutoNormal's."""

    scale_constraint = constraints.positive


class LocalLowRankNormal(Local, LowRankNormal):
    """q(θ, z | x) = Normal(m, …) q(z | x, θ), for a network with latents of each example."""


@dataclass(frozen=True)
class LowRank(Normal):
    """q(θ) = Normal(m, diag s · (I + B Bᵀ) · diag s), B [n, rank], over all unknowns together.

    Ong, Nott & Smith (2018); Pyro's AutoLowRankMultivariateNormal. A positive latent is Normal in its logarithm.
    init_scale: the standard deviations at the start, about; warm_up: as `Normal` has it. It has 2 + rank numbers for
    each unknown, and costs as many multiplications a step, with a Cholesky factor of [rank, rank].
    """

    name: ClassVar[str] = "lowrank"
    aliases: ClassVar[tuple[str, ...]] = ("low_rank",)

    rank: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("LowRank", rank=self.rank)

    def memory(self, model: Model) -> int:
        """Of m, log s and B, their gradient, Adam's two moments of it, and B diag s and its gradient."""
        return super().memory(model) // 2 * (2 + self.rank) + super().memory(model) // 4 * self.rank

    def create(self, model: Model) -> AutoLowRankMultivariateNormal:
        kind = LocalLowRankNormal if model.local else LowRankNormal
        guide = at_own_weights(kind, model, init_scale=float(self.init_scale), rank=int(self.rank))
        log_scales = dict(locations(guide, "loc", guide.get_parameter("scale_unconstrained").data))
        for site, log_unit in log_units(model):
            log_scales[site] += log_unit
        return guide
