"""What methods are compared on: data, a network, a likelihood, the settings of training, baselines."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bayesreg.schedule import LR

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bayesreg.datasets import Data
    from bayesreg.likelihoods import Likelihood


class Task:
    """What is learned: data, a network, p(y | f) and the settings of training.

    net: a callable without arguments, called under each seed, that returns a new nn.Module; or a module, whose layers
    are then initialised again for each seed, except frozen ones; None: an MLP of two hidden layers that fits the data.
    data: a Data, or a pair (x, y) or a data set of PyTorch's, which are split. likelihood: an instance, its class or
    its name; None: Categorical for classes and Gaussian with a learned scale for numbers. metric: what tables show
    beside the NLL; None: accuracy for classes, else R². epochs, batch_size, lr, augment: as `fit` takes them.

    Raises ValueError or TypeError, with a remedy, for what cannot be trained.
    """

    def __init__(
        self,
        net: Callable[[], nn.Module] | nn.Module | None = None,
        data: Any = None,
        *,
        name: str | None = None,
        likelihood: Any = None,
        metric: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float = LR,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        from bayesreg.tasks import own

        self._data = own.as_data(data)
        self._name = own.named(self._data.name if name is None else name)
        self._make = own.factory(net, self._data)
        self._likelihood = own.likelihood(likelihood, self._data)
        self._metric = metric
        self._settings = own.settings(epochs, batch_size, lr, augment)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"

    @property
    def name(self) -> str:
        """Its name in tables and folders."""
        return self._name

    def load(self) -> Data:
        """The data, with their split into train, validation and test."""
        return self._data

    def limited(self, data: Data) -> Data:
        """The data, or a fold of them, with as many training examples as the task has."""
        return data

    def network(self, data: Data) -> nn.Module:
        """The network for these data, freshly initialised from PyTorch's random state."""
        return self._make(data)

    def likelihood(self) -> Likelihood:
        """p(y | f)."""
        return self._likelihood

    @cached_property
    def metric(self) -> str:
        """The metric that tables show beside the NLL. ValueError for one that the likelihood does not have."""
        from bayesreg.tasks import own

        return own.headline(self._metric, self._likelihood, self._data)

    def check(self) -> None:
        """Raise ValueError for options that contradict each other, or have no effect given the others."""

    def under(self, **settings: Any) -> Task:
        """The same with other settings of training, such as epochs. ValueError for one that it does not have."""
        if unknown := [name for name in settings if name not in self._settings]:
            raise ValueError(f"{unknown[0]} is not a setting of {self!r}: {', '.join(self._settings)}")
        other = copy.copy(self)
        other._settings = self._settings | settings
        other.__dict__.pop("_identity", None)
        return other

    def training(self) -> dict[str, Any]:
        """How it is trained: options of `fit`."""
        return self._settings

    def baseline_options(self) -> dict[str, dict[str, Any]]:
        """What the baselines share with the network, such as {"principal_components": {"latent": 20}}."""
        return {}

    @cached_property
    def _identity(self) -> Mapping[str, Any]:
        from bayesreg.tasks import own

        return own.identity(self._data, self._make, self._likelihood, self._settings)

    def record(self) -> dict[str, Any]:
        """What identifies the task, for config.json."""
        return {"dataset": self.name, "metric": self.metric, **self._identity}
