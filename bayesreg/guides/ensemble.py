"""Deep ensembles: several networks, each trained alone, as one posterior."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pyro.infer.autoguide import AutoDelta
from torch import Tensor

from bayesreg.guides.anew import check_start, renewed
from bayesreg.guides.base import Guide, stacked
from bayesreg.guides.delta import Delta
from bayesreg.guides.start import local_parameters
from bayesreg.model import Model, Parameters
from bayesreg.priors.base import whole
from bayesreg.progress import bar
from bayesreg.randomness import seed_of
from bayesreg.structure import X

if TYPE_CHECKING:
    from bayesreg.posterior import Posterior

log = logging.getLogger(__name__)

SITE, BUFFER = "site ", "buffer "  # before the names in a state dict


class Members:
    """q(θ) = (1/K) Σ_k δ(θ − θ_k): the value at each site, and each of the network's buffers, [K, ...]."""

    def __init__(self, sites: Parameters, buffers: Parameters) -> None:
        self.sites, self.buffers = sites, buffers

    def median(self) -> Parameters:
        """The first member: between the weights of networks that were trained apart there is no network."""
        return {site: value[0] for site, value in self.sites.items()}

    def state_dict(self) -> dict[str, Tensor]:
        sites = {SITE + name: value for name, value in self.sites.items()}
        return sites | {BUFFER + name: value for name, value in self.buffers.items()}


@dataclass(frozen=True)
class Ensemble(Guide):
    """q(θ) = (1/K) Σ_k δ(θ − θ_k), K MAP fits with weights and orders of the data of their own.

    Lakshminarayanan, Pritzel & Blundell (2017), without their adversarial examples. members: K. The first is the fit
    that `delta` makes; the others are those of networks whose modules have drawn new weights, by `reset_parameters`,
    each under a seed made of the fit's and its number, which is also the seed of its fit. Each is predicted with
    BatchNorm statistics of its own. There are K draws and no more, however many are asked for: all members, in order;
    of fewer so many different ones at random.

    The history has the mean of the members' in each epoch, the seconds of all, and no word of the mixture.
    """

    name: ClassVar[str] = "ensemble"
    aliases: ClassVar[tuple[str, ...]] = ("deep_ensemble",)
    trains_point: ClassVar[bool] = True
    smaller: ClassVar[str] = "fewer members, "
    line: ClassVar[Any] = (0, (6, 1.5))

    members: int = 5

    def __post_init__(self) -> None:
        whole("Ensemble", members=self.members)

    # --- Before training ---

    def check(self, model: Model) -> None:
        Delta().check(model)
        super().check(model)
        if self.members > 1:
            check_start(model, renewed(model, 0))

    def memory(self, model: Model) -> int:
        """Of all members the weights, at the start and at the end, and of one what training holds beside them."""
        one = Delta().memory(model)
        return one + (self.members - 1) * 2 * one // Delta.copies

    def create(self, model: Model) -> AutoDelta:
        """Of the first member."""
        return Delta().create(model)

    # --- Training ---

    def train(self, once: partial[Posterior]) -> Posterior:
        """One after the other. What has ended stays in a checkpoint of its own until all have."""
        given = once.keywords
        first = given["checkpoint"] and Path(given["checkpoint"])
        kept = [first and (first.with_name(f"{first.name}.{k}") if k else first) for k in range(self.members)]
        found: list[Posterior] = []
        try:
            for k in bar(range(self.members), desc=self.name, unit="member", show=given["progress"]):
                log.info("member %d of %d", k + 1, self.members)
                seed = seed_of(given["seed"], k) if k else given["seed"]
                model = renewed(given["model"], seed) if k else given["model"]
                found.append(once(model=model, guide=Delta(), seed=seed, checkpoint=kept[k], stays=True))
        except ArithmeticError:  # it would diverge again
            _remove(kept)
            raise
        _remove(kept)
        return self._as_one(found)

    def _as_one(self, found: list[Posterior]) -> Posterior:
        one = found[0]
        with local_parameters(), torch.no_grad():
            sites = [{site: value.clone() for site, value in each.guide.median().items()} for each in found]
        one.guide = Members(stacked(sites), stacked([dict(each.model.net.named_buffers()) for each in found]))
        one.inference = self
        one._history = [_mean(rows) for rows in zip(*(each._history for each in found), strict=True)]
        one.warmup_seconds = sum(each.warmup_seconds for each in found)
        ends = [each.convergence for each in found]
        one.convergence = next((end for end in ends if end and not end.converged), ends[0])
        return one

    # --- The posterior ---

    def draws(self, q: Any, number: int) -> Parameters:
        """The members, [K, ...], or as many of them as are asked for."""
        taken = torch.randperm(self.members)[:number] if number < self.members else torch.arange(self.members)
        return {site: value[taken] for site, value in q.sites.items()}

    def outputs(self, posterior: Posterior, theta: Parameters, x: X) -> Tensor:
        """With the buffers of the member whose θ it is, the first for any other."""
        model, q = posterior.model, posterior.guide
        if not q.buffers:
            return model.outputs(theta, x)
        members = model.unpack(q.sites)
        alike = (k for k in range(self.members) if all(torch.equal(members[name][k], theta[name]) for name in theta))
        k = next(alike, 0)
        return model.outputs(theta, x, {name: value[k] for name, value in q.buffers.items()})

    def restore(self, model: Model, state: dict[str, Tensor]) -> Any:
        parts = [{k.removeprefix(of): v for k, v in state.items() if k.startswith(of)} for of in (SITE, BUFFER)]
        return Members(*parts)


def _mean(rows: tuple[dict[str, float], ...]) -> dict[str, float]:
    """Of one epoch; the seconds add up."""
    row = {name: fmean(one[name] for one in rows) for name in rows[0]}
    return row | {"epoch": rows[0]["epoch"], "seconds": sum(one["seconds"] for one in rows)}


def _remove(paths: list[Any]) -> None:
    for path in filter(None, paths):
        path.unlink(missing_ok=True)
