"""Augmentation: images that are changed at random, in ways that leave their labels as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bayesreg.datasets import Data, flip_and_crop
from bayesreg.guides import Guide
from bayesreg.likelihoods import Likelihood
from bayesreg.methods.base import Technique
from bayesreg.priors import Look


@dataclass(frozen=True)
class Augmentation(Technique):
    """x ← function(x) for each batch [B, ...] in training; random numbers are those of the seed, epoch and step.

    function: for data other than images [B, C, H, W], or changes other than mirroring and shifting them; defined at the
    top level of a module, where it can be pickled.

    Krizhevsky, Sutskever & Hinton, ImageNet Classification with Deep Convolutional Neural Networks (2012).
    """

    look: ClassVar[Look] = Look("#D55E00", "p", (0, (6, 1)))
    function: Callable[[Tensor], Tensor] = flip_and_crop

    def training(self) -> dict[str, Any]:
        return {"augment": self.function}

    def check(self, net: nn.Module, likelihood: Likelihood, data: Data, guide: Guide) -> None:
        shape = list(data.train.x.shape)
        if self.function is flip_and_crop and len(shape) != 4:
            raise ValueError(
                f"augmentation has no meaning for x of shape {shape}: it mirrors and shifts images [N, C, H, W]; give "
                "a function of your own, Augmentation(function), for other data"
            )
