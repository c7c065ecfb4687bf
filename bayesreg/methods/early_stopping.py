"""Early stopping: the parameters of the epoch that was best on validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from bayesreg.datasets import Data
from bayesreg.guides import Guide
from bayesreg.likelihoods import Likelihood
from bayesreg.methods.base import Technique
from bayesreg.priors import Look


@dataclass(frozen=True)
class EarlyStopping(Technique):
    """Train for all epochs, and keep the parameters of the one with the lowest NLL on validation.

    So it has the same budget and learning-rate schedule as every other method. Its NLL on validation is that of the
    best of many epochs, which flatters it a little where methods are ranked by it.

    Prechelt, Early Stopping, But When? (1998).
    """

    name: ClassVar[str] = "early_stopping"
    look: ClassVar[Look] = Look("#000000", "*", (0, (3, 1, 1, 1)))

    def training(self) -> dict[str, Any]:
        return {"early_stopping": True}

    def check(self, net: nn.Module, likelihood: Likelihood, data: Data, guide: Guide) -> None:
        if getattr(data, "validation", None) is None or len(data.validation) == 0:
            raise ValueError("early_stopping needs validation data, by which it chooses the epoch: split some off")
