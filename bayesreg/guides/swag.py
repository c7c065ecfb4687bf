"""SWAG: a Normal fitted to the weights that training passes through."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pyro.infer.autoguide import AutoDelta, AutoGuide
from torch import Tensor, nn
from torch.func import functional_call

from bayesreg import schedule
from bayesreg.guides.base import Guide, positive
from bayesreg.guides.batchnorm import reestimate
from bayesreg.guides.delta import Delta
from bayesreg.guides.start import local_parameters
from bayesreg.model import Model, Parameters
from bayesreg.priors.base import whole

if TYPE_CHECKING:
    from bayesreg.datasets import Dataset
    from bayesreg.posterior import Posterior

log = logging.getLogger(__name__)

START = 0.75  # of training, after which the weights are collected


class Collected(nn.Module):
    """A point with the moments of where it has been: Normal(m, ½ (diag s² + D Dᵀ / (K − 1))).

    count: how many θ were collected; mean: m [n]; squares: n·s², the sums of squares about it [n]; deviations: D [rank,
    n], the last K ≤ rank of them about the mean as it was then. θ is all parameters of the point as one vector, in the
    space where they have no bounds: of a positive latent its logarithm.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    deviations: Tensor

    def __init__(self, point: AutoDelta, rank: int) -> None:
        super().__init__()
        self.point = point
        zeros = torch.zeros_like(self._theta())
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", zeros)
        self.register_buffer("squares", zeros.clone())
        self.register_buffer("deviations", zeros.repeat(rank, 1))

    def _theta(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self.point.parameters()])

    def _parts(self, theta: Tensor) -> Parameters:
        """The point's parameters by name."""
        named = dict(self.point.named_parameters())
        parts = theta.split([p.numel() for p in named.values()])
        return {name: part.view_as(p) for (name, p), part in zip(named.items(), parts, strict=True)}

    def _sites(self, theta: Tensor) -> Parameters:
        with torch.no_grad():
            return functional_call(self.point, self._parts(theta), ())

    def collect(self) -> None:
        """By Welford's recurrence: in single precision the mean square less the squared mean has no digits left."""
        theta, kept = self._theta(), int(self.count) % len(self.deviations)
        self.count += 1
        off = theta - self.mean
        self.mean += off / self.count
        self.deviations[kept] = theta - self.mean
        self.squares += off * self.deviations[kept]

    def put_at_mean(self) -> None:
        """Let the point be m, in place."""
        for name, value in self._parts(self.mean).items():
            self.point.get_parameter(name).data.copy_(value)

    def median(self) -> Parameters:
        """m, by site; before anything was collected the point."""
        return self._sites(self.mean if self.count else self._theta())

    def forward(self) -> Parameters:
        """A draw, by site: m + (s ε + Dᵀ ε' / √(K − 1)) / √2."""
        if not self.count:
            return self.median()
        number = min(int(self.count), len(self.deviations))
        moved = (self.squares / self.count).sqrt() * torch.randn_like(self.mean)
        if number > 1:
            moved += self.deviations[:number].T @ torch.randn(number).to(self.mean) / math.sqrt(number - 1)
        return self._sites(self.mean + moved / math.sqrt(2))


@dataclass(frozen=True)
class Swag(Guide):
    """q(θ) = Normal(m, ½ (diag s² + D Dᵀ / (K − 1))), of the weights at the ends of the last quarter's epochs.

    Maddox et al. (2019), with Adam: three quarters of training are MAP, by a half cosine that ends at `constant` times
    the first learning rate; the rest goes on at that rate, around the mode, and the mean, the variance and the last
    `rank` deviations of θ are collected, one an epoch. m is the mode, nearly. How far and in which directions θ strays
    is a matter of that rate and of the noise of the minibatches: on a linear model q was much narrower than the
    posterior. A positive latent is Normal in its logarithm. With fewer than two epochs in the last quarter q has no
    width, which the log says.
    """

    name: ClassVar[str] = "swag"
    line: ClassVar[Any] = (0, (3, 1.5, 1, 1.5))

    rank: int = 20
    constant: float = 0.2

    def __post_init__(self) -> None:
        whole("Swag", rank=self.rank)
        positive(self, "constant", most=1.0)

    @property
    def moves_a_point(self) -> bool:
        return True

    def check(self, model: Model) -> None:
        Delta().check(model)
        super().check(model)

    def memory(self, model: Model) -> int:
        """Of the point, of two moments, and of as many deviations as there are."""
        one = Delta().memory(model)
        return one + (2 + self.rank) * one // Delta.copies

    def create(self, model: Model) -> AutoDelta:
        return Delta().create(model)

    def pace(self, done: int, steps: int) -> float:
        least = self.constant
        return least + (1 - least) * schedule.half_cosine(done, START * steps) if done < START * steps else least

    def around(self, q: AutoGuide) -> Collected:
        return Collected(q, self.rank)

    def collect(self, q: Any, done: float) -> None:
        if done > START:
            q.collect()

    def finish(self, posterior: Posterior, train: Dataset) -> None:
        q = posterior.guide
        if q.count < 2:
            log.warning("the guide %s has collected θ once, and has no width: train for 8 epochs or more", self)
        with local_parameters():
            q.put_at_mean()
        reestimate(posterior, train)

    def restore(self, model: Model, state: dict[str, Tensor]) -> Collected:
        q = self.around(self.create(model))
        q.load_state_dict(state)
        return q
