"""AdamW: weight decay separate from the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bayesreg.datasets import Data
from bayesreg.guides import Guide
from bayesreg.likelihoods import Likelihood
from bayesreg.methods.base import Tuned
from bayesreg.priors import Look
from bayesreg.update import Rate, Update


@dataclass(frozen=True)
class AdamW(Tuned, Update):
    """θ ← (1 − lr_t · strength) θ before each step of Adam, on tensors of two or more dimensions.

    Adam divides the gradient of an L2 prior by √v̂, like every gradient, and so shrinks least the weights with the
    largest gradients; this shrinks all equally. It minimises no penalty.

    Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019).
    """

    default_strength: ClassVar[float] = 0.3
    grid: ClassVar[tuple[float | None, ...]] = (0.1, 0.3, 1.0, 3.0)
    look: ClassVar[Look] = Look("#0072B2", "v", (0, (6, 1)))

    def training(self) -> dict[str, Any]:
        return {"update": self}

    def check(self, net: nn.Module, likelihood: Likelihood, data: Data, guide: Guide) -> None:
        self.check_guide(guide)

    def check_rate(self, lr: float) -> None:
        if lr * self.strength >= 1:
            raise ValueError(
                f"{self!r} at lr={lr:g}: each step would multiply the weights by {1 - lr * self.strength:g}; take a "
                f"strength below {1 / lr:g}, or a lower learning rate"
            )

    def before(self, weights: list[Tensor], lr: Rate) -> None:
        for weight in weights:
            weight.mul_(1 - lr * self.strength)
