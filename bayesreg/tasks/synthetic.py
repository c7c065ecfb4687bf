"""The paper's synthetic task, 100 classes from 20 inputs, with an MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesreg.tasks.registered import Registered

if TYPE_CHECKING:
    from bayesreg.datasets import Data


@dataclass(frozen=True)
class Synthetic(Registered):
    """The paper's synthetic task: 100 classes, 20 inputs, 10,000 points, with an MLP of two hidden layers."""

    name = "synthetic"
    metric = "accuracy"
    epochs: int = 20
    """Passes over the training data."""
    lr: float = 5e-3
    """Adam's learning rate at the start; it falls to 0 along a half cosine."""
    width: int = 128
    """Units in each hidden layer."""

    def network(self, data: Data) -> Any:
        from bayesreg import nets

        return nets.mlp(data.features[0], data.classes or 0, hidden=self.width)

    def likelihood(self) -> Any:
        from bayesreg.likelihoods import Categorical

        return Categorical()
