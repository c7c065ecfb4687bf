"""The Laplace approximation, of the network linearised at its MAP estimate."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pyro.infer.autoguide import AutoDelta
from torch import Tensor

from bayesreg import network
from bayesreg.guides.base import choice
from bayesreg.guides.delta import Delta
from bayesreg.guides.laplace.ggn import at_some, ggn
from bayesreg.guides.laplace.jacobian import linearised
from bayesreg.guides.laplace.precision import gaussian, of_prior
from bayesreg.guides.start import local_parameters
from bayesreg.model import Model, Parameters
from bayesreg.priors import Flat, WeightPrior
from bayesreg.structure import X

if TYPE_CHECKING:
    from bayesreg.datasets import Dataset
    from bayesreg.posterior import Posterior

log = logging.getLogger(__name__)

FULL = 6_000  # parameters of which all covariances are kept where nobody says
MADE = ("index", "factor", "log_evidence", "isotropic_precision")  # by `finish`: none of it is there in training


@dataclass(frozen=True)
class Laplace(Delta):
    """q(θ) = Normal(θ̂, H⁻¹) at the MAP estimate θ̂, which is that of the guide delta bit for bit.

    H = Σ_i J_iᵀ F_i J_i − ∂² log p(θ)/∂θ² is the generalised Gauss-Newton precision: J_i = ∂f(x_i; θ)/∂θ, F the Fisher
    information of p(y | f). Predictions are those of f(x; θ) ≈ f(x; θ̂) + J(x) (θ − θ̂), of which H is the precision
    (MacKay, 1992; Immer, Korzepa & Bauer, 2021; Daxberger et al., 2021). The latents of prior and likelihood, as the
    precisions under ARD and a noise scale, remain points.

    structure: H of all parameters, "full", at 8 bytes for each two of them; of those of the layer that the network
    defines last, "last_layer", the others being points; or its "diagonal". "auto": full up to 6,000 parameters, then
    last_layer where that has no more, then diagonal.

    precision: "prior" takes the prior's own −∂² log p/∂θ², where its strength is chosen as under any guide, by the
    user or a comparison. Parameters under no prior, as biases, have none. Where H then has no inverse, as the biases of
    a softmax have a common shift that no data tell, and for the diagonal, all these have Normal(0, δ^−½), of the δ with
    the largest marginal likelihood, log Z = log p(D, θ̂) − ½ log |H/2π|, at this θ̂; in the unit of those parameters
    that y has given one. "evidence" does so for all parameters, in the place of their prior.
    `posterior.guide.log_evidence` is log Z, and `posterior.guide.isotropic_precision` δ, NaN where there is none.

    Refused: L1, whose second derivative is 0; priors on the function, whose curvature is not a GGN matrix; networks
    with latents of each example, or that draw in prediction.
    """

    name: ClassVar[str] = "laplace"
    aliases: ClassVar[tuple[str, ...]] = ()
    point: ClassVar[bool] = False
    rewinds: ClassVar[bool] = False
    smaller: ClassVar[str] = "structure=last_layer or diagonal, "
    line: ClassVar[Any] = (0, (5, 1, 1, 1))

    structure: str = "auto"
    precision: str = "prior"

    def __post_init__(self) -> None:
        choice(self, structure=("auto", "full", "last_layer", "diagonal"), precision=("prior", "evidence"))

    # --- Before training ---

    def check(self, model: Model) -> None:
        super().check(model)
        if model.local or network.is_random(model.net):
            why = "has latents of each example" if model.local else "stays random in prediction"
            raise ValueError(f"the network {why}, and the guide {self} linearises one function: take the guide delta")
        for term in model.prior.terms:
            if not isinstance(term, WeightPrior | Flat):
                raise ValueError(
                    f"the guide {self} has the curvature of densities on weights, and {term} is a factor on the "
                    "network's function: take the guide delta or normal"
                )
        bends = of_prior(model, model.initial()).bends
        for block in model.blocks:
            flat = [name for name in block.shapes if name in self._names(model) and not bool((bends[name] > 0).all())]
            if block.prior and flat and self.precision == "prior":
                raise ValueError(
                    f"the guide {self} takes −∂² log p/∂θ² for the precision of the prior, and that of {block.prior} "
                    f"is not above 0 for {flat[0]}: take l2, the guide normal, or laplace:precision=evidence, which "
                    "puts a Gaussian in its place"
                )

    def memory(self, model: Model) -> int:
        size = _size(model, self._names(model))
        return super().memory(model) + (8 * size if self._structure(model) == "diagonal" else 4 * 8 * size**2)

    def _structure(self, model: Model) -> str:
        if self.structure != "auto":
            return self.structure
        if _size(model, _learned(model)) <= FULL:
            return "full"
        return "last_layer" if _size(model, _last_layer(model)) <= FULL else "diagonal"

    def _names(self, model: Model) -> list[str]:
        """Of the parameters that are no points, in their order."""
        return _last_layer(model) if self._structure(model) == "last_layer" else _learned(model)

    # --- After training ---

    def finish(self, posterior: Posterior, train: Dataset) -> None:
        """Put the latents at their maximum, as delta does, and find H."""
        super().finish(posterior, train)
        model, q = posterior.model, posterior.guide
        was_training = model.training
        network.to_predict(model)
        try:
            with local_parameters(), torch.no_grad():
                self._fit(model, q, train)
        finally:
            model.train(was_training)

    def _fit(self, model: Model, q: AutoDelta, train: Dataset) -> None:
        sites, names, structure = self.centre(q), self._names(model), self._structure(model)
        theta, prior = model.unpack(sites), of_prior(model, sites)
        curvature, log_joint = ggn(model, theta, names, train, diagonal=structure == "diagonal")
        own, centre = (_joined(named, names).to(curvature) for named in (prior.bends, theta))
        always = self.precision == "evidence"
        none = len(own) * torch.finfo(own.dtype).eps * curvature.abs().max()  # less would be lost in rounding
        free = torch.ones_like(own, dtype=torch.bool) if always else own <= none
        ones = {name: torch.ones_like(theta[name]) for name in names}
        unit = _joined({name: one * model.units.get(name, 1.0) for name, one in ones.items()}, names).to(curvature)
        last = free.int().argsort(stable=True)
        curvature = curvature[last] if curvature.dim() == 1 else curvature[last][:, last]
        found = gaussian(curvature, own[last], free[last], centre[last], unit[last], always)
        evidence = found.log_evidence(log_joint if always else log_joint + prior.log_density)
        made = _positions(model, sites, names)[last], found.factor, *curvature.new_tensor([evidence, found.isotropic])
        for name, value in zip(MADE, made, strict=True):
            q.register_buffer(name, value)
        chosen = f"; precision {found.isotropic:.3g} of {int(free.sum()):,} of them by marginal likelihood"
        log.info("laplace: %s, of %s parameters%s", structure, f"{len(own):,}", chosen * (found.isotropic > 0))

    # --- The posterior ---

    def draws(self, q: AutoDelta, number: int) -> Parameters:
        sites = {site: value.detach() for site, value in self.centre(q).items()}
        if not _finished(q):
            return {site: value[None] for site, value in sites.items()}
        noise = torch.randn(len(q.index), number, dtype=q.factor.dtype, device=q.factor.device)
        if q.factor.dim() == 1:
            steps = noise / q.factor.sqrt()[:, None]
        else:
            steps = torch.linalg.solve_triangular(q.factor.T, noise, upper=True)
        flat = torch.cat([value.reshape(-1) for value in sites.values()]).repeat(number, 1)
        flat[:, q.index] += steps.T.to(flat)
        parts = flat.split([value.numel() for value in sites.values()], 1)
        return {site: part.reshape(number, *sites[site].shape) for site, part in zip(sites, parts, strict=True)}

    def outputs(self, posterior: Posterior, theta: Parameters, x: X) -> Tensor:
        """f(x; θ̂) + J(x) (θ − θ̂), in training f(x; θ̂)."""
        model, names = posterior.model, self._names(posterior.model)
        if not _finished(posterior.guide):
            return model.outputs(theta, x)
        with local_parameters():
            centre = model.unpack({site: value.detach() for site, value in self.centre(posterior.guide).items()})
        at = {name: centre[name] for name in names}
        return linearised(partial(at_some, model, centre), at, {name: theta[name] - at[name] for name in names}, x)

    def restore(self, model: Model, state: dict[str, Tensor]) -> AutoDelta:
        q = self.create(model)
        for name in MADE:
            q.register_buffer(name, torch.empty_like(state[name]))
        q.load_state_dict(state)
        return q


def _finished(q: AutoDelta) -> bool:
    return "factor" in dict(q.named_buffers())


def _learned(model: Model) -> list[str]:
    return [name for block in model.blocks for name in block.shapes]


def _last_layer(model: Model) -> list[str]:
    """The learned parameters of the module that has the last one of two or more dimensions."""
    learned = dict.fromkeys(_learned(model))
    named = [(name, p) for name, p in model.net.named_parameters() if name in learned]
    last = ([name for name, p in named if p.dim() >= 2] or [name for name, _ in named])[-1]
    return [name for name, _ in named if name.rpartition(".")[0] == last.rpartition(".")[0]]


def _size(model: Model, names: list[str]) -> int:
    own = dict(model.net.named_parameters())
    return sum(own[name].numel() for name in names)


def _joined(named: Parameters, names: list[str]) -> Tensor:
    return torch.cat([named[name].reshape(-1) for name in names])


def _positions(model: Model, sites: Parameters, names: list[str]) -> Tensor:
    """Where the parameters of those names are in the values of all sites, one after the other: [P]."""
    ends = torch.tensor([value.numel() for value in sites.values()]).cumsum(0).tolist()
    counted = zip(sites.items(), ends, strict=True)
    numbers = {site: torch.arange(end - v.numel(), end, device=v.device).reshape(v.shape) for (site, v), end in counted}
    return _joined(model.unpack(numbers), names)
