"""The lasso: L1 with exact zeros, by a proximal step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bayesreg.datasets import Data
from bayesreg.guides import Guide
from bayesreg.likelihoods import Likelihood
from bayesreg.methods.base import Tuned
from bayesreg.priors import L1, Look
from bayesreg.update import Rate, Update


@dataclass(frozen=True)
class Lasso(Tuned, Update):
    """The loss plus strength × ‖θ‖₁ in nats per datum, on tensors of two or more dimensions.

    Adam steps on the loss alone; then θ ← sign θ · max(|θ| − lr_t · strength / (√v̂ + ε), 0), the proximal step of the
    penalty in the metric of Adam. Its minimum is the MAP of the L1 prior; but there the gradient carries weights across
    0 and back, while here they stay at 0.

    Tibshirani, Regression Shrinkage and Selection via the Lasso (1996); Yun, Lozano & Yang, Adaptive Proximal Gradient
    Methods for Structured Neural Networks (2021).
    """

    default_strength: ClassVar[float] = L1.default_strength
    grid: ClassVar[tuple[float | None, ...]] = L1.grid
    look: ClassVar[Look] = Look("#E69F00", "d", (0, (6, 1)))

    def training(self) -> dict[str, Any]:
        return {"update": self}

    def check(self, net: nn.Module, likelihood: Likelihood, data: Data, guide: Guide) -> None:
        self.check_guide(guide)

    def after(self, weights: list[Tensor], lr: Rate, divisors: Callable[[], list[Tensor]]) -> None:
        threshold = lr * self.strength
        for weight, divisor in zip(weights, divisors(), strict=True):
            scaled = weight * divisor
            torch.div(
                scaled.sub_(scaled.clamp(-threshold, threshold)), divisor, out=weight
            )  # 0 where |θ| is below the threshold

    def penalty(self, weights: list[Tensor]) -> Tensor:
        return self.strength * sum((weight.abs().sum() for weight in weights), start=weights[0].new_zeros(()))
