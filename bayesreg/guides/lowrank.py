"""Variational inference by a Normal of low rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pyro.infer.autoguide import AutoLowRankMultivariateNormal
from torch.distributions import constraints

from bayesreg.guides.base import Guide, positive, shares
from bayesreg.guides.start import Local, at_own_weights, locations, log_units
from bayesreg.model import Model
from bayesreg.priors.base import whole


class LowRankNormal(AutoLowRankMultivariateNormal):
    """q(θ) = Normal(m, diag s · (I + B Bᵀ) · diag s), of which log s is learned, as AutoNormal's."""

    scale_constraint = constraints.positive


class LocalLowRankNormal(Local, LowRankNormal):
    """q(θ, z | x) = Normal(m, …) q(z | x, θ), for a network with latents of each example."""


@dataclass(frozen=True)
class LowRank(Guide):
    """q(θ) = Normal(m, diag s · (I + B Bᵀ) · diag s), B [n, rank], over all unknowns together.

    Ong, Nott & Smith (2018); Pyro's AutoLowRankMultivariateNormal. A positive latent is Normal in its logarithm.
    init_scale: the standard deviations at the start, about, and warm_up: the share of training in which the weight of
    the KL term rises, both as `Normal` has them. There are 2 + rank numbers for each unknown, as many multiplications a
    step, and a Cholesky factor of [rank, rank].
    """

    name: ClassVar[str] = "lowrank"
    aliases: ClassVar[tuple[str, ...]] = ("low_rank",)
    smaller: ClassVar[str] = "a smaller rank, "
    line: ClassVar[Any] = (0, (1, 1.5, 3, 1.5, 3, 1.5))

    rank: int = 10
    init_scale: float = 0.01
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        whole("LowRank", rank=self.rank)
        positive(self, "init_scale")
        shares(self, "warm_up")

    def memory(self, model: Model) -> int:
        """Of m, log s and B, their gradient, Adam's two moments of it, and B diag s and its gradient."""
        return super().memory(model) // self.copies * (4 * (2 + self.rank) + 2 * self.rank)

    def create(self, model: Model) -> AutoLowRankMultivariateNormal:
        kind = LocalLowRankNormal if model.local else LowRankNormal
        guide = at_own_weights(kind, model, init_scale=float(self.init_scale), rank=int(self.rank))
        log_scales = dict(locations(guide, "loc", guide.get_parameter("scale_unconstrained").data))
        for site, log_unit in log_units(model):
            log_scales[site] += log_unit
        return guide
