"""Label smoothing: targets that are never quite certain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import nn

from bayesreg.datasets import Data
from bayesreg.guides import Guide
from bayesreg.likelihoods import Likelihood
from bayesreg.methods.base import Tuned
from bayesreg.priors import Look


@dataclass(frozen=True)
class LabelSmoothing(Tuned):
    """In training y is its label with probability 1 − ε, ε = `strength`, else uniform over the C classes.

    loss = (1 − ε) NLL + ε mean_c(−log p_c). Predictions and metrics are those of p itself.

    Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, Rethinking the Inception Architecture for Computer Vision (2016).
    """

    name: ClassVar[str] = "label_smoothing"
    default_strength: ClassVar[float] = 0.1
    grid: ClassVar[tuple[float | None, ...]] = (0.02, 0.05, 0.1, 0.2)
    look: ClassVar[Look] = Look("#009E73", "h", (0, (6, 1)))
    most: ClassVar[float] = 1.0

    def likelihood(self, likelihood: Likelihood) -> Likelihood:
        made: Any = likelihood
        return replace(made, label_smoothing=self.strength) if hasattr(made, "label_smoothing") else likelihood

    def check(self, net: nn.Module, likelihood: Likelihood, data: Data, guide: Guide) -> None:
        if not hasattr(likelihood, "label_smoothing") or "accuracy" not in likelihood.metrics(data.train.y):
            raise ValueError(f"label_smoothing has no meaning for {likelihood}: its targets are not labels of classes")
