"""Diabetes progression after one year, from scikit-learn, with an MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesreg.tasks.registered import Registered

if TYPE_CHECKING:
    from bayesreg.datasets import Data


@dataclass(frozen=True)
class Diabetes(Registered):
    """Disease progression of 442 patients from 10 measurements (scikit-learn; Efron et al., 2004), with an MLP."""

    name = "diabetes"
    metric = "r2"
    epochs: int = 50
    """Passes over the training data."""
    lr: float = 5e-3
    """Adam's learning rate at the start; it falls to 0 along a half cosine."""
    batch_size: int = 32
    """Examples per step."""
    width: int = 64
    """Units in each hidden layer."""
    noise: float | None = None
    """The scale of the Gaussian noise, in the unit of the target; None learns it."""
    heteroscedastic: bool = False
    """Let the network give each example a noise scale of its own, in place of --noise."""

    def check(self) -> None:
        if self.heteroscedastic and self.noise is not None:
            raise ValueError(f"--noise {self.noise} with --heteroscedastic has no effect: leave one of them out")

    def network(self, data: Data) -> Any:
        from bayesreg import nets

        return nets.mlp(data.features[0], 2 if self.heteroscedastic else 1, hidden=self.width)

    def likelihood(self) -> Any:
        from bayesreg.likelihoods import Gaussian, Heteroscedastic

        return Heteroscedastic() if self.heteroscedastic else Gaussian(self.noise)
