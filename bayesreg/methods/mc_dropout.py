"""Monte Carlo dropout: dropout that stays on in prediction, as draws of networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from bayesreg.methods.dropout import Dropout
from bayesreg.network import stay_random
from bayesreg.priors import Look

FAST = (nn.TransformerEncoder, nn.TransformerEncoderLayer)  # in eval mode they use a fast path without dropout


@dataclass(frozen=True)
class MCDropout(Dropout):
    """Dropout, with predictions that are means over draws of the masks: (1/S) Σ_s p(y | x, θ, mask_s).

    The weights are a point; the draws are those of `Posterior.predict(x, draws=S)`, each with masks of its own.

    Gal & Ghahramani, Dropout as a Bayesian Approximation (2016).
    """

    name: ClassVar[str] = "mc_dropout"
    look: ClassVar[Look] = Look("#56B4E9", "s", (0, (5, 1, 1, 1, 1, 1)))

    def drop(self, net: nn.Module) -> list[nn.Module]:
        dropped = super().drop(net)
        for module in [*dropped, *(module for module in net.modules() if isinstance(module, FAST))]:
            stay_random(module)
        return dropped
