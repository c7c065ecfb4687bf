"""The log-uniform prior: no scale of a weight is likelier than another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pyro
import torch
from pyro.distributions import Normal
from torch import Tensor
from torch.nn.functional import softplus

from bayesreg.priors.base import Look, On, WeightPrior
from bayesreg.priors.vector import FlatVector

K1, K2, K3 = 0.63576, 1.87320, 1.48695  # fitted by Molchanov, Ashukha & Vetrov (2017)


@dataclass(frozen=True)
class LogUniform(WeightPrior):
    """p(|θ|) ∝ 1/|θ|: log p(θ) = −Σ log |θ|, improper (Kingma, Salimans & Welling, 2015).

    Flat in log |θ|, whatever the unit of θ. It grows without bound at 0, so it has no MAP estimate, and the posterior
    itself is improper (Hron, Matthews & Ghahramani, 2018). It is the prior of sparse variational dropout, the guide
    variational_dropout, which needs no more of it than KL(q ‖ p).
    """

    name: ClassVar[str] = "log_uniform"
    look: ClassVar[Look] = Look("#F0E442", "8")
    on: On = "weights"

    def check_map(self) -> None:
        raise ValueError(
            "LogUniform has no MAP estimate: its density grows without bound as θ → 0; take the guide "
            "variational_dropout (--prior log_uniform@variational_dropout)"
        )

    def sample(self, site: str, initial: Tensor) -> dict[str, Tensor]:
        return {site: pyro.sample(site, LogUniformVector(partial(_itself, initial), initial.numel()))}


class LogUniformVector(FlatVector):
    """p(θ) = Π_j 1/|θ_j| for n numbers, improper; a draw from it has no meaning."""

    def log_prob(self, value: Tensor) -> Tensor:
        return -value.abs().clamp_min(torch.finfo(value.dtype).tiny).log().sum(-1)

    def expand(self, batch_shape: tuple[int, ...], _instance: object = None) -> LogUniformVector:
        return LogUniformVector(self.at, self.event_shape[0], batch_shape)

    @staticmethod
    def kl(q: Normal) -> Tensor:
        """KL(q ‖ p) of q = Π_j Normal(m_j, s_j) [n] in nats, up to the constant of p, for which it is 0 as α → ∞.

        Σ_j k1 (1 − sigmoid(k2 + k3 log α_j)) + ½ log(1 + 1/α_j), α = s²/m², the approximation of Molchanov, Ashukha &
        Vetrov (2017, eq. 14), within 0.01 nats a weight.
        """
        log_alpha = log_ratio(q)
        return (K1 * torch.sigmoid(-K2 - K3 * log_alpha) + softplus(-log_alpha) / 2).sum()


def log_ratio(q: Normal) -> Tensor:
    """log α = log (s²/m²) of each number."""
    return 2 * q.scale.log() - (q.loc**2 + torch.finfo(q.loc.dtype).tiny).log()


def _itself(value: Tensor) -> Tensor:
    return value
