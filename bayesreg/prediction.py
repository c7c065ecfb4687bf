"""What `predict` returns: a Pyro distribution with a readable repr, which takes y [n, 1] for [n]."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyro.distributions as dist
from pyro.distributions.torch_distribution import TorchDistributionMixin as Distribution
from torch import Tensor


class Prediction:
    """A mixin for the class of a distribution of batch shape [n], which is otherwise unchanged."""

    def __repr__(self: Any) -> str:
        each = list(self.event_shape)
        what = "probs" if hasattr(self, "probs") else "mean"
        of = f" of shape {each}" if each else ""
        shape = list(getattr(self, what).shape)
        return f"Prediction({_kind(self)}, {self.batch_shape.numel():,} examples{of}, .{what} {shape})"

    def log_prob(self: Any, value: Tensor) -> Tensor:
        """log p(y_i | x_i) [n]."""
        column = value.shape == self.batch_shape + self.event_shape + (1,)
        return super().log_prob(value.squeeze(-1) if column else value)  # type: ignore[misc]  # of the distribution

    def __reduce__(self) -> Any:  # the class is made at run time, so pickle can't find it by name
        kind: Any = type(self).__bases__[1]
        plain = kind.__new__(kind)
        vars(plain).update(vars(self))
        return of, (plain,)


def of(distribution: Distribution) -> Distribution:
    """The distribution as a prediction."""
    kind: Any = type(distribution)
    distribution.__class__ = _class(kind)
    return distribution


@cache
def _class(kind: Any) -> Any:
    return type(kind)(kind.__name__, (Prediction, kind), {})


def _kind(distribution: Any) -> str:
    if isinstance(distribution, dist.MixtureSameFamily):
        draws = distribution.mixture_distribution.param_shape[-1]
        return f"mean over {draws} draws of {_kind(distribution.component_distribution)}"
    if isinstance(distribution, dist.Independent):
        return _kind(distribution.base_dist)
    classes = f" of {distribution.probs.shape[-1]} classes" if isinstance(distribution, dist.Categorical) else ""
    return ("Categorical" if classes else type(distribution).__name__) + classes
