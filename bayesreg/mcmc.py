"""The posterior itself, by Hamiltonian Monte Carlo: the ground truth of small networks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS
from pyro.ops.stats import split_gelman_rubin
from torch import Tensor, nn
from torch.distributions import biject_to

from bayesreg import network, structure
from bayesreg.checks import check_seed
from bayesreg.datasets import Dataset, as_dataset
from bayesreg.draws import Draws
from bayesreg.model import Model, Parameters, to_unit
from bayesreg.objective import Gradient, Objective
from bayesreg.posterior import Posterior
from bayesreg.priors.base import whole
from bayesreg.progress import bar
from bayesreg.randomness import random_state_kept, random_stream
from bayesreg.units import start_in_unit_of

log = logging.getLogger(__name__)

LARGEST = 10_000  # unknowns
LEAPFROG = 127  # steps of a draw, about: a tree of depth 7
FAR, FARTHER, STEPS = 1e4, 1e8, 300
MIXED = 1.05  # r̂ of the log density, at most


def nuts(
    model: Model,
    data: Any,
    *,
    draws: int = 1000,
    warmup: int = 1000,
    chains: int = 4,
    seed: int = 0,
    progress: bool = True,
) -> Posterior:
    """The posterior p(θ | x, y) by draws of the No-U-Turn sampler (Hoffman & Gelman, 2014), on the CPU in float64.

    data: a Dataset, or what `datasets.as_dataset` makes one of, all of it at every step. draws: of each chain, after
    `warmup` in which step size and a diagonal mass matrix are found. chains: one after the other, each from other
    weights than the network's own by as much as those lie apart. progress: a bar from two seconds on.

    The network is in eval mode throughout: without dropout, and with the statistics that BatchNorm has. The weights of
    a network have symmetries, so that r̂ is for what is predicted and for the log density, which `to_arviz` gives as
    "lp"; a warning says where that has not mixed, or where trajectories diverged. `parameters()`, their median, is no
    network that predicts like them.

    ValueError for what is no draw, chain or seed, for other data than `size` says, where the posterior is improper,
    where the network draws itself, and for more than 10,000 unknowns, with the time that they would take.
    """
    whole("nuts", draws=draws, warmup=warmup, chains=chains)
    check_seed("nuts", seed)
    data = as_dataset(data, "train")
    kept = model.copy().to("cpu").eval()
    _check(kept, data)
    potential = Potential(kept, data)
    _check_size(potential, chains * (draws + warmup))
    log.info("step: %s", potential.gradient.prepare(potential.x, potential.y))
    _check_proper(potential)
    found = []
    with bar(total=chains * (draws + warmup), desc="nuts", unit=" draws", leave=False, show=progress) as shown:
        for chain in range(chains):
            with random_stream(torch.device("cpu"), seed, chain):
                found.append(_chain(potential, draws, warmup, shown))
    vectors, energies, diverging = (torch.stack(parts) for parts in zip(*found, strict=True))
    _warn(energies, diverging)
    dtype = next(kept.net.parameters()).dtype
    sites = {site: value.to(dtype) for site, value in potential.sites(vectors).items()}
    return Posterior(kept, Draws(sites, {"lp": -energies, "diverging": diverging}), "nuts")


class Unconstrained(nn.Module):
    """θ by site at one point of ℝⁿ, as a guide: of a positive number the point is its logarithm."""

    def __init__(self, start: Parameters, transforms: dict[str, Any]) -> None:
        super().__init__()
        self.transforms = transforms
        self.at = nn.ParameterDict({_key(site): transforms[site].inv(value) for site, value in start.items()})

    def forward(self, *data: Any) -> None:
        for site, transform in self.transforms.items():
            value = transform(self.at[_key(site)])
            pyro.sample(site, dist.Delta(value, event_dim=value.dim()))

    def log_jacobian(self) -> Tensor:
        """log |∂θ/∂u|."""
        at = {site: self.at[_key(site)] for site in self.transforms}
        return sum(
            (t.log_abs_det_jacobian(at[site], t(at[site])).sum() for site, t in self.transforms.items()),
            torch.zeros(()),
        )


class _Objective(Objective):
    """−(log p(y, θ | x) + log |∂θ/∂u|) / N, term by term."""

    def forward(self, x: Any, y: Tensor) -> dict[str, Tensor]:
        guide: Any = self.guide
        return super().forward(x, y) | {"jacobian": guide.log_jacobian() * (-1 / self.model.size)}


class Potential:
    """U(u) = −log p(y, θ(u) | x) − log |∂θ/∂u| and its gradient, for all data, in float64.

    start: u at the network's own weights. parts: the sites, where each is in u.
    """

    def __init__(self, model: Model, data: Dataset) -> None:
        self.model = model.copy().double().eval()
        x, self.y = data.batch(slice(None))
        self.x = self.model.in_precision(structure.mapped(to_unit, x))
        start_in_unit_of(self.model, Dataset(self.x, self.y), 1.0, 1)
        with random_state_kept(torch.device("cpu")):
            nodes = poutine.trace(self.model.latents).get_trace().nodes
        self.transforms = {site: biject_to(nodes[site]["fn"].support) for site in self.model.initial()}
        self.guide: Any = Unconstrained(self.model.initial(), self.transforms)
        self.gradient = Gradient(_Objective(self.model, self.guide))
        self.shapes = {site: self.guide.at[_key(site)].shape for site in self.transforms}
        self.start = torch.cat([self.guide.at[_key(site)].detach().flatten() for site in self.transforms])

    @torch.no_grad()
    def __call__(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """U [] and ∂U/∂u [n]."""
        for site, value in self.split(u).items():
            self.guide.at[_key(site)].copy_(value)
        with torch.enable_grad():
            terms, *gradients = self.gradient(self.x, self.y)
        by_name = dict(zip(self.gradient.parameters, gradients, strict=True))
        ordered = [by_name[f"guide.at.{_key(site)}"].flatten() for site in self.transforms]
        return terms.sum() * self.model.size, torch.cat(ordered) * self.model.size

    def split(self, u: Tensor) -> Parameters:
        """u [..., n] by site, [..., *shape]."""
        parts = u.split([shape.numel() for shape in self.shapes.values()], -1)
        return {
            site: part.reshape(u.shape[:-1] + shape)
            for (site, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def sites(self, u: Tensor) -> Parameters:
        """θ by site of u [..., n]."""
        return {site: self.transforms[site](value) for site, value in self.split(u).items()}

    def elsewhere(self) -> Tensor:
        """A start near the network's own weights, as far off as they are from 0, site by site."""
        parts = [
            part + part.square().mean().sqrt() * torch.randn_like(part) for part in self.split(self.start).values()
        ]
        return torch.cat([part.flatten() for part in parts])


class _Energy(torch.autograd.Function):
    """U(u), whose gradient comes with it."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, potential: Potential) -> Tensor:
        energy, gradient = potential(u)
        ctx.save_for_backward(gradient)
        return energy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0] * ctx.saved_tensors[0], None


def _chain(potential: Potential, draws: int, warmup: int, shown: Any) -> tuple[Tensor, Tensor, Tensor]:
    """u [draws, n], U [draws] and whether its trajectory diverged [draws]."""
    energies: list[Tensor] = []

    def note(kernel: NUTS, u: Any, stage: str, step: int) -> None:
        shown.update(1)
        if step >= 0 and stage.startswith("Sample"):
            energies.append(kernel._potential_energy_last.detach().clone())

    kernel = NUTS(potential_fn=lambda z: _Energy.apply(z["u"], potential))
    start = {"u": potential.elsewhere()}
    mcmc = MCMC(kernel, draws, warmup, initial_params=start, hook_fn=note, disable_progbar=True)
    mcmc.run()
    diverging = torch.zeros(draws, dtype=torch.bool)
    diverging[[place for place in kernel._divergences if place < draws]] = True
    return mcmc.get_samples()["u"], torch.stack(energies), diverging


# --- What cannot be drawn from, or has not been ---


def _check(model: Model, data: Dataset) -> None:
    if model.size != len(data):
        raise ValueError(f"Model(size={model.size}) is not the number of data, {len(data)}: write size=len(data.train)")
    if model.local:
        raise ValueError("nuts draws no latents of each example, which the network has: use fit(guide='normal')")
    if network.is_random(model.net):
        raise ValueError(
            "the network draws itself in prediction, as Monte Carlo dropout does, so its posterior has no density: "
            "give nuts the network without"
        )
    x, _ = data.batch(slice(2))
    with torch.no_grad():
        model.likelihood.check(network.outputs(model.net, to_unit(model.in_precision(x))), data.y)


def _check_size(potential: Potential, draws: int) -> None:
    unknowns = len(potential.start)
    began = time.perf_counter()
    for _ in range(3):
        potential(potential.start)
    seconds = (time.perf_counter() - began) / 3
    hours = seconds * LEAPFROG * draws / 3600
    if unknowns > LARGEST:
        raise ValueError(
            f"NUTS on {unknowns:,} unknowns would take about {hours:,.1f} h: {1000 * seconds:.2g} ms a gradient, some "
            f"{LEAPFROG} of them a draw, {draws:,} draws with warmup. It is for at most {LARGEST:,}: take a smaller "
            "network, or fit(guide='normal')"
        )


def _check_proper(potential: Potential) -> None:
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


def _warn(energies: Tensor, diverging: Tensor) -> None:
    if energies.shape[1] >= 4 and not (r_hat := float(split_gelman_rubin(energies, 0, 1))) <= MIXED:
        log.warning(
            "nuts: r̂ of the log density is %.2f over %d chains, above %g: the chains have not mixed; take more warmup",
            r_hat,
            len(energies),
            MIXED,
        )
    if number := int(diverging.sum()):
        log.warning(
            "nuts: %d of %d draws diverged: where they did, the posterior is not covered", number, diverging.numel()
        )


def _key(site: str) -> str:
    return site.replace(".", ":")  # a parameter's name has no dot
