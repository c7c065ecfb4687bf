"""The air of Beijing with an LSTM or a Transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bayesreg.tasks.registered import Registered

if TYPE_CHECKING:
    from bayesreg.datasets import Data


@dataclass(frozen=True)
class Beijing(Registered):
    """PM2.5 of the next hour from 24 hours of air and weather at 12 stations (Zhang et al., 2017)."""

    name = "beijing"
    metric = "r2"
    net: Literal["lstm", "transformer"] = "lstm"
    """An LSTM or a Transformer."""
    epochs: int = 3
    """Passes over the training data."""
    batch_size: int = 256
    """Examples per step."""
    lr: float = 2e-3
    """Adam's learning rate at the start; it falls to 0 along a half cosine."""
    width: int = 64
    """Units of the LSTM, or the width of the Transformer."""
    heteroscedastic: bool = False
    """Let the network give each hour a noise scale of its own."""

    def network(self, data: Data) -> Any:
        from bayesreg import nets

        make: Any = nets.NETS[self.net]
        return make(data.features[-1], 2 if self.heteroscedastic else 1, self.width)

    def likelihood(self) -> Any:
        from bayesreg.likelihoods import Gaussian, Heteroscedastic

        return Heteroscedastic() if self.heteroscedastic else Gaussian()
