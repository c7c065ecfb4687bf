"""Mean-field variational inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pyro.infer.autoguide import AutoNormal

from bayesreg.guides.base import Guide, positive, shares
from bayesreg.guides.start import Local, at_own_weights, log_units
from bayesreg.model import Model


class LocalNormal(Local, AutoNormal):
    """q(θ, z | x) = Π_j Normal(m_j, s_j) q(z | x, θ), for a network with latents of each example."""


@dataclass(frozen=True)
class Normal(Guide):
    """q(θ) = Π_j Normal(m_j, s_j), mean-field variational inference (Blundell et al., 2015).

    A positive latent such as a precision is Normal in its logarithm. init_scale: s_j at the start, small
    beside a network's own weights; in the unit of those parameters that y has given one. What is learned is log s_j,
    of which a step is the same in every unit.

    warm_up: the share of training, at most half, in which the weight of the KL term rises linearly from 0 to 1. The
    history's loss is −ELBO/N all the same, with the weight beside it as `kl_weight`.

    log s_j has a long way to go: in the epochs that suffice for a point, at its rate, it stays near the start, so that
    the ELBO is far from its maximum, and predictions are nearly those of a point. A warm-up and six times the rate
    bring the ELBO much nearer, and made predictions worse on the small tables where that was tried; so neither is the
    default.
    """

    name: ClassVar[str] = "normal"
    aliases: ClassVar[tuple[str, ...]] = ("vi", "mean_field")
    line: ClassVar[Any] = (0, (1, 1.5))

    init_scale: float = 0.01
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        positive(self, "init_scale")
        shares(self, "warm_up")

    def create(self, model: Model) -> AutoNormal:
        guide = at_own_weights(LocalNormal if model.local else AutoNormal, model, init_scale=float(self.init_scale))
        for site, log_unit in log_units(model):
            guide.get_parameter(f"scales.{site}_unconstrained").data += log_unit
        return guide
