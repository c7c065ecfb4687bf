"""What is trained: networks and generated data of the sizes that the experiments have.

A step costs the same whatever the numbers are, so the data are drawn from a seeded generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from bayesreg import nets, priors
from bayesreg.likelihoods import Categorical, Gaussian, Likelihood
from bayesreg.model import Model
from bayesreg.threads import choose_threads, flops


@dataclass(frozen=True)
class Case:
    """A network of any width, its inputs, and its number of classes.

    net: a function of the multiple of the usual width; classes 0: one real number. size: N. batches, gpu_batches:
    examples per step. widest: the largest multiple whose step takes seconds, not a minute, on two cores. whole: the
    multiples that are measured under every prior.
    """

    name: str
    about: str
    net: Callable[[int], nn.Module]
    inputs: tuple[int, ...]
    classes: int = 0
    size: int = 20_640
    batches: tuple[int, ...] = (128,)
    gpu_batches: tuple[int, ...] = (128,)
    widest: int = 16
    whole: tuple[int, ...] = (1,)

    @property
    def title(self) -> str:
        return f"{self.name}: {self.about}"

    @property
    def likelihood(self) -> Likelihood:
        return Categorical() if self.classes else Gaussian()

    def network(self, width: int) -> nn.Module:
        """Always the same initial weights, in training mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.net(width).train()

    def data(self, count: int) -> tuple[Tensor, Tensor]:
        """x [count, ...] and y [count]; inputs of three dimensions [C, H, W] are images, as bytes."""
        generator = Generator().manual_seed(1)
        shape = (count, *self.inputs)
        images = len(self.inputs) == 3
        x = (
            torch.randint(256, shape, generator=generator, dtype=torch.uint8)
            if images
            else torch.randn(shape, generator=generator)
        )
        y = (
            torch.randint(self.classes, (count,), generator=generator)
            if self.classes
            else torch.randn(count, generator=generator)
        )
        return x, y


CASES = {
    case.name: case
    for case in (
        Case("mlp", "20-128-128-100", lambda w: nets.mlp(20, 100, 128 * w), (20,), classes=100),
        Case("housing", "8-64-64-1", lambda w: nets.mlp(8, 1, 64 * w), (8,)),
        Case(
            "resnet18",
            "16 channels, images 32×32",
            lambda w: nets.resnet18(10, 16 * w),
            (3, 32, 32),
            classes=10,
            size=2_048,
            batches=(32,),
            gpu_batches=(128, 512),
            widest=4,
            whole=(1, 4),
        ),
        Case("lstm", "11→64, 24 steps", lambda w: nets.lstm(11, 1, 64 * w), (24, 11)),
        Case("transformer", "64 wide, 2 layers, 24 steps of 11", lambda w: nets.transformer(11, 1, 64 * w), (24, 11)),
    )
}


class Problem:
    """A case at one width and batch size on one device: what all its contestants share."""

    def __init__(self, case: Case, width: int, batch: int, device: torch.device) -> None:
        self.case, self.width, self.batch, self.device = case, width, batch, device
        self.x, self.y = (tensor.to(device) for tensor in case.data(batch))
        self.work = flops(self.model("none"), self.x)
        self.threads = choose_threads(self.work)  # as in `fit`, the same for all contestants

    def network(self) -> nn.Module:
        return self.case.network(self.width).to(self.device)

    def model(self, prior: str) -> Model:
        size = self.case.size
        return Model(self.network(), priors.parse(prior, size), self.case.likelihood, size).train()
