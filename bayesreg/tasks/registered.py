"""What the tasks of this package share: a data set by name, a network, and options of the command line.

Nothing heavy is imported before the options are read, so --help answers at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from bayesreg.tasks import options
from bayesreg.tasks.base import Task
from bayesreg.tasks.options import WHERE

if TYPE_CHECKING:
    from torch import nn

    from bayesreg.datasets import Data
    from bayesreg.likelihoods import Likelihood


@dataclass(frozen=True)
class Registered(Task, ABC):
    """A task with a name in TASKS."""

    net = "mlp"  # in NETS; without annotations, like name and metric: what is annotated is an option

    epochs: int = 30
    """Passes over the training data."""
    batch_size: int = 128
    """Examples per step."""
    lr: float = 1e-3
    """Adam's learning rate at the start; it falls to 0 along a half cosine."""
    train_size: int | None = None
    """Train on that many examples only, and validate on at most as many; None: all. The test split stays whole."""
    bfloat16: bool = False
    """Compute only the network in bfloat16 in training; densities and parameters stay in float32."""
    data_dir: Annotated[Path | None, WHERE] = None
    """Where the data files are; None: $BAYESREG_DATA, else the user's cache."""

    @property
    def data_set(self) -> str:
        """The name of the data set."""
        return self.name

    def load(self) -> Data:
        from bayesreg import datasets

        return datasets.load(self.data_set, self.data_dir)

    def limited(self, data: Data) -> Data:
        if self.train_size is None:
            return data
        data = data.take_train(self.train_size)
        return replace(data, validation=data.validation.take(slice(self.train_size)))

    @abstractmethod
    def network(self, data: Data) -> nn.Module:
        """The network, freshly initialised from PyTorch's random state."""

    @abstractmethod
    def likelihood(self) -> Likelihood:
        """p(y | f)."""

    def under(self, **settings: Any) -> Registered:
        return replace(self, **settings)

    def augmentation(self) -> Any:
        """What is done to x of each training batch; None: nothing."""
        return None

    def training(self) -> dict[str, Any]:
        names = ("epochs", "batch_size", "lr", "bfloat16")
        return {name: getattr(self, name) for name in names} | {"augment": self.augmentation()}

    def record(self) -> dict[str, Any]:
        own = {"dataset": self.data_set, "net": self.net, "experiment": self.name, "metric": self.metric}
        return own | options.recorded(self)
