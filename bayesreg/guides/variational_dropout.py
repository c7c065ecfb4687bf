"""Sparse variational dropout."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

import pyro
import torch
from pyro.distributions import Delta, Independent, Normal
from pyro.infer.autoguide import AutoDelta
from pyro.infer.autoguide.utils import deep_setattr
from pyro.nn import PyroModule, PyroParam
from torch import Tensor

from bayesreg.guides.base import Guide, positive, shares
from bayesreg.guides.start import Local, at_own_weights
from bayesreg.model import Model, Parameters
from bayesreg.priors.log_uniform import LogUniform, log_ratio

if TYPE_CHECKING:
    from bayesreg.datasets import Dataset
    from bayesreg.posterior import Posterior

log = logging.getLogger(__name__)


class NormalWeights(AutoDelta):
    """q(θ) = Π_j Normal(m_j, σ_j²) at the sites of `log_variances`, where it starts; a point everywhere else."""

    by_layer = True  # the objective draws outputs of layers, where it can

    def __init__(self, model: Callable[..., Any], init_loc_fn: Any, log_variances: Parameters) -> None:
        super().__init__(model, init_loc_fn=init_loc_fn)
        self._start, self._normal = log_variances, tuple(log_variances)

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        super()._setup_prototype(*args, **kwargs)
        self.log_variances = PyroModule()  # only now, when the guide has its own name in Pyro's store
        for site in self._normal:
            deep_setattr(self.log_variances, site, PyroParam(self._start.pop(site)))

    def normals(self) -> dict[str, Normal]:
        """The q of each vector of weights, by site."""
        scales = {site: (getattr(self.log_variances, site) / 2).exp() for site in self._normal}
        return {site: Normal(getattr(self, site), scale) for site, scale in scales.items()}

    def forward(self, *args: Any, **kwargs: Any) -> Parameters:
        if self.prototype_trace is None:
            self._setup_prototype(*args, **kwargs)
        drawn, normals = {}, self.normals()
        for site, node in self.prototype_trace.iter_stochastic_nodes():
            point = Delta(attrgetter(site)(self), event_dim=node["fn"].event_dim)
            drawn[site] = pyro.sample(site, Independent(normals[site], 1) if site in normals else point)
        return drawn

    def median(self, *args: Any, **kwargs: Any) -> Parameters:
        return {site: attrgetter(site)(self).detach() for site, _ in self.prototype_trace.iter_stochastic_nodes()}


class LocalNormalWeights(Local, NormalWeights):
    """The same with q(z | x, θ), for a network with latents of each example."""


@dataclass(frozen=True)
class VariationalDropout(Guide):
    """q(θ) = Π_j Normal(m_j, α_j m_j²) under the log-uniform prior (Molchanov, Ashukha & Vetrov, 2017).

    What is learned is m_j and log σ_j² = log (α_j m_j²), the additive noise; biases, normalisation and the noise scale
    are points. nn.Linear and nn.Conv2d draw their outputs (see `outputs_drawn`), other layers their weights. A weight
    with log α_j above `threshold` is only noise: it is 0 in every draw, in predictions and in `parameters()`.

    init_scale: σ_j at the start, as that of `Normal`. warm_up: the share of training, at most half, in which the weight
    of the KL term rises from 0 to 1.
    """

    name: ClassVar[str] = "variational_dropout"
    line: ClassVar[Any] = (0, (3, 1.5))
    copies: ClassVar[int] = 8

    init_scale: float = 0.01
    warm_up: float = 0.5
    threshold: float = 3.0

    def __post_init__(self) -> None:
        positive(self, "init_scale")
        shares(self, "warm_up")

    def check(self, model: Model) -> None:
        if not all(isinstance(term, LogUniform) for term in model.prior.terms):
            raise ValueError(
                f"the guide {self} is for the prior log_uniform only, but the prior is {model.prior}: use "
                f"log_uniform@{self}, or the guide normal"
            )
        super().check(model)

    def create(self, model: Model) -> NormalWeights:
        own, start = dict(model.net.named_parameters()), {}
        for block in model.blocks:
            if block.prior:
                units = {name: torch.ones_like(own[name]) * model.units.get(name, 1.0) for name in block.shapes}
                start[block.site] = 2 * (block.pack(units) * float(self.init_scale)).log()
        return at_own_weights(LocalNormalWeights if model.local else NormalWeights, model, log_variances=start)

    def finish(self, posterior: Posterior, train: Dataset) -> None:
        super().finish(posterior, train)
        left, of = self.remaining(posterior.guide)
        log.info("weights that remain: %s of %s, %.3g times fewer", f"{left:,}", f"{of:,}", of / max(left, 1))

    def remaining(self, q: NormalWeights) -> tuple[int, int]:
        """How many weights are not 0, and of how many."""
        kept = self._kept(q).values()
        return sum(int(each.sum()) for each in kept), sum(each.numel() for each in kept)

    def centre(self, q: NormalWeights) -> Parameters:
        kept = self._kept(q)
        return {site: value * kept[site] if site in kept else value for site, value in q.median().items()}

    def draws(self, q: NormalWeights, number: int) -> Parameters:
        kept = self._kept(q)
        drawn = super().draws(q, number)
        return {site: value * kept[site] if site in kept else value for site, value in drawn.items()}

    def _kept(self, q: NormalWeights) -> dict[str, Tensor]:
        """Which weights are more than noise, by site."""
        with torch.no_grad():
            return {site: log_ratio(normal) <= self.threshold for site, normal in q.normals().items()}
