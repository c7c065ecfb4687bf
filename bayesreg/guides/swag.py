"""SWAG: a Normal fitted to the weights that training passes through."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pyro.infer.autoguide import AutoDelta
from torch import Tensor, nn
from torch.func import functional_call

from bayesreg import schedule
from bayesreg.guides.base import Guide, positive, stacked
from bayesreg.guides.delta import Delta
from bayesreg.guides.start import Local, at_own_weights, local_parameters
from bayesreg.model import Model, Parameters
from bayesreg.priors.base import whole

if TYPE_CHECKING:
    from bayesreg.datasets import Dataset
    from bayesreg.posterior import Posterior

log = logging.getLogger(__name__)

START = 0.75  # of training, after which the weights are collected


class Moments(nn.Module):
    """Normal(m, ½ (diag s² + D Dᵀ / (K − 1))) of the vectors θ that were collected.

    count: how many; mean: m [n]; squares: count · s², the sums of squares about it [n]; deviations: D [rank, n], the
    last K ≤ rank of them, each about the mean as it was then.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    deviations: Tensor

    def __init__(self, like: Tensor, rank: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64, device=like.device))
        self.register_buffer("mean", torch.zeros_like(like))
        self.register_buffer("squares", torch.zeros_like(like))
        self.register_buffer("deviations", like.new_zeros(rank, len(like)))

    def collect(self, theta: Tensor) -> None:
        """By Welford's recurrence: in single precision the mean square less the squared mean has no digits left."""
        last = int(self.count) % len(self.deviations)
        self.count += 1
        off = theta - self.mean
        self.mean += off / self.count
        self.deviations[last] = theta - self.mean
        self.squares += off * self.deviations[last]

    def draw(self) -> Tensor:
        """m + (s ε + Dᵀ ε' / √(K − 1)) / √2."""
        number = min(int(self.count), len(self.deviations))
        moved = (self.squares / self.count).sqrt() * torch.randn_like(self.mean)
        if number > 1:
            moved += self.deviations[:number].T @ torch.randn(number).to(self.mean) / math.sqrt(number - 1)
        return self.mean + moved / math.sqrt(2)


class PointWithMoments(AutoDelta):
    """A point, which is trained, and the moments of where it has been, in the space where nothing has bounds."""

    def __init__(self, model: Callable[..., Any], init_loc_fn: Any, rank: int) -> None:
        super().__init__(model, init_loc_fn=init_loc_fn)
        self._rank = rank

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        super()._setup_prototype(*args, **kwargs)
        self.moments = Moments(self.theta(), self._rank)

    def theta(self) -> Tensor:
        """All parameters of the point, as one vector: of a positive latent the logarithm."""
        return torch.cat([p.detach().flatten() for p in self.parameters()])

    def put(self, theta: Tensor) -> None:
        """Let the point be θ, in place."""
        for name, value in self._parts(theta).items():
            self.get_parameter(name).data.copy_(value)

    def sites(self, theta: Tensor) -> Parameters:
        """θ by site."""
        with torch.no_grad():
            return functional_call(self, self._parts(theta), ())

    def _parts(self, theta: Tensor) -> Parameters:
        named = dict(self.named_parameters())
        parts = theta.split([p.numel() for p in named.values()])
        return {name: part.view_as(p) for (name, p), part in zip(named.items(), parts, strict=True)}


class LocalPointWithMoments(Local, PointWithMoments):
    """The same beside q(z | x, θ), for a network with latents of each example."""


@dataclass(frozen=True)
class Swag(Guide):
    """q(θ) = Normal(m, ½ (diag s² + D Dᵀ / (K − 1))), of the weights at the ends of the last quarter's epochs.

    Maddox et al. (2019), with Adam: three quarters of training are MAP, by a half cosine that ends at `constant` times
    the first learning rate; the rest goes on at that rate, around the mode, and the mean, the variance and the last
    `rank` deviations of θ are collected, one an epoch. m is the mode, nearly. How far and in which directions θ strays
    is a matter of that rate and of the noise of the minibatches: on a linear model q was much narrower than the
    posterior. A positive latent is Normal in its logarithm. Of fewer than five epochs one is in the last quarter, and q
    has no width, which the log says before training.
    """

    name: ClassVar[str] = "swag"
    trains_point: ClassVar[bool] = True
    copies: ClassVar[int] = 4
    smaller: ClassVar[str] = "a smaller rank, "
    rewinds: ClassVar[bool] = False
    line: ClassVar[Any] = (0, (3, 1.5, 1, 1.5))

    rank: int = 20
    constant: float = 0.2

    def __post_init__(self) -> None:
        whole("Swag", rank=self.rank)
        positive(self, "constant", most=1.0)

    def check(self, model: Model) -> None:
        Delta().check(model)
        super().check(model)

    def memory(self, model: Model) -> int:
        """Of the point, of two moments, and of as many deviations as there are."""
        point = super().memory(model)
        return point + (2 + self.rank) * point // self.copies

    def create(self, model: Model) -> PointWithMoments:
        kind = LocalPointWithMoments if model.local else PointWithMoments
        return at_own_weights(kind, model, rank=int(self.rank))

    def train(self, once: partial[Posterior]) -> Posterior:
        epochs = once.keywords["epochs"]
        if epochs - int(START * epochs) < 2:
            log.warning("%d epochs: the guide %s collects θ once, and has no width; train for 5 or more", epochs, self)
        return super().train(once)

    def pace(self, done: int, steps: int) -> float:
        least = self.constant
        return least + (1 - least) * schedule.half_cosine(done, START * steps) if done < START * steps else least

    def collect(self, q: Any, done: float) -> None:
        if done > START:
            q.moments.collect(q.theta())

    def finish(self, posterior: Posterior, train: Dataset) -> None:
        q = posterior.guide
        with local_parameters():
            q.put(q.moments.mean)
        super().finish(posterior, train)

    def centre(self, q: Any) -> Parameters:
        """m; before anything was collected the point."""
        return q.sites(q.moments.mean if q.moments.count else q.theta())

    def draws(self, q: Any, number: int) -> Parameters:
        return stacked([q.sites(q.moments.draw()) if q.moments.count else self.centre(q) for _ in range(number)])
