"""What a factor of the prior may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.distributions import Distribution

from bayesreg import structure
from bayesreg.curvature import ALL, Share, curvature_apart, outputs_and_curvature

Value = Tensor | float | None  # the log of a factor of p(θ), a scalar; None: there is none


class Batch:
    """One batch at one value of θ, in one run of the network.

    x: the inputs [B, ...], a tuple or dict of several; network: x -> outputs [B, ...]; size: N, the number of data on
    whose scale the log joint is; predictive: p(y | x, θ), batch shape [B]; curvature(share): d(x) of a share of the
    examples [b]. The last two are computed when asked for, from one run of the network.
    """

    def __init__(
        self, x: Any, network: Callable[[Any], Tensor], size: int, predict: Callable[[Tensor], Distribution]
    ) -> None:
        self.x, self.network, self.size, self._predict = x, network, size, predict
        self._waiting: dict[str, Factor] = {}
        self._found: dict[str, Value] = {}
        self._outputs: Tensor | None = None
        self._predictive: Distribution | None = None
        self._curvature: Tensor | None = None

    @property
    def predictive(self) -> Distribution:
        """p(y | x, θ). Remaining factors are computed first: a run that gives the curvature gives the outputs too."""
        self._go_on()
        if self._predictive is None:
            self._outputs = self.network(self.x) if self._outputs is None else self._outputs
            self._predictive = self._predict(self._outputs)
        return self._predictive

    def curvature(self, share: Share = ALL) -> Tensor:
        """d(x_i) = Σ_c Σ_k (∂²Ω_c/∂x_k²)² of a share of the examples, drawn at random: [b], at least as many as asked.

        It comes from the run that gives the predictions if it is asked for before them, else from a separate run.
        """
        if self._outputs is None:
            self._outputs, self._curvature = outputs_and_curvature(self.network, self.x, share)
        elif self._curvature is None or len(self._curvature) < share.examples(structure.size(self.x)):
            self._curvature = curvature_apart(self.network, self.x, share)
        return self._curvature

    def evaluate(self, factors: Mapping[str, Factor], outputs: Tensor | None = None) -> dict[str, Value]:
        """The factors at this batch, by name. outputs: f where it is not `network(x)`, but at latents of each example.

        ValueError for one that is not a scalar.
        """
        self._waiting, self._found = dict(factors), {}
        if outputs is not None:
            self._predictive = self._predict(outputs)
        self._go_on()
        return {name: self._found[name] for name in factors}

    def _go_on(self) -> None:
        while self._waiting:
            name = next(iter(self._waiting))
            factor = self._waiting.pop(name)(self)
            if isinstance(factor, Tensor) and factor.dim():
                raise ValueError(
                    f"the prior {name!r} gives a log factor of shape {list(factor.shape)}: it must be a scalar, "
                    "batch.size times the mean over the examples"
                )
            self._found[name] = factor


Factor = Callable[[Batch], Value]
