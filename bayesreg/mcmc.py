"""The posterior itself, by Hamiltonian Monte Carlo: the ground truth of small networks."""

from __future__ import annotations

import logging
import time
from typing import Any

import torch
from pyro.infer import MCMC, NUTS
from pyro.ops.stats import split_gelman_rubin
from torch import Tensor

from bayesreg import network
from bayesreg.checks import check_seed
from bayesreg.datasets import Dataset, as_dataset
from bayesreg.guides.nuts import Draws
from bayesreg.model import Model, to_unit
from bayesreg.posterior import Posterior
from bayesreg.potential import Energy, Potential
from bayesreg.priors.base import whole
from bayesreg.progress import bar
from bayesreg.proper import check_proper
from bayesreg.randomness import random_stream

log = logging.getLogger(__name__)

LARGEST = 10_000  # unknowns
LEAPFROG = 127  # steps of a draw, about: a tree of depth 7
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
    if not isinstance(model, Model):
        raise ValueError(
            f"nuts(model={type(model).__name__}) is no br.Model; write "
            'br.Model(net, br.L2(scale=1.0, on="all"), br.Categorical(), size=len(data.train))'
        )
    data = as_dataset(data, "train").to("cpu")
    kept = model.copy().to("cpu").eval()
    _check(kept, data)
    potential = Potential(kept, data)
    _check_size(potential, chains * (draws + warmup))
    log.info("step: %s", potential.gradient.prepare(potential.x, potential.y))
    check_proper(potential)
    found = []
    with bar(total=chains * (draws + warmup), desc="nuts", unit=" draws", leave=False, show=progress) as shown:
        for chain in range(chains):
            with random_stream(torch.device("cpu"), seed, chain):
                found.append(_chain(potential, draws, warmup, shown))
    vectors, energies, diverging = (torch.stack(parts) for parts in zip(*found, strict=True))
    _warn(energies, diverging)
    dtype = next(kept.net.parameters()).dtype
    sites = {site: value.to(dtype) for site, value in potential.sites(vectors).items()}
    held: Any = Draws(sites, {"lp": -energies, "diverging": diverging})
    return Posterior(kept, held, "nuts")


def _chain(potential: Potential, draws: int, warmup: int, shown: Any) -> tuple[Tensor, Tensor, Tensor]:
    """u [draws, n], U [draws] and whether its trajectory diverged [draws]."""
    energies: list[Tensor] = []

    def note(kernel: NUTS, u: Any, stage: str, step: int) -> None:
        shown.update(1)
        if step >= 0 and stage.startswith("Sample"):
            energies.append(kernel._potential_energy_last.detach().clone())

    kernel = NUTS(potential_fn=lambda z: Energy.apply(z["u"], potential))
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
