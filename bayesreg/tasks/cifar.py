"""CIFAR-10 and CIFAR-100 with a ResNet18."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bayesreg.tasks.registered import Registered

if TYPE_CHECKING:
    from bayesreg.datasets import Data


@dataclass(frozen=True)
class Cifar(Registered):
    """CIFAR-10 or CIFAR-100 (Krizhevsky, 2009) with a ResNet18 for images of 32 × 32, SiLU in place of ReLU."""

    name = "cifar"
    net = "resnet18"
    metric: Literal["accuracy", "macro_f1"] = "accuracy"
    """What tables show beside the NLL; macro F1 counts rare classes as much as frequent ones."""
    dataset: Literal["cifar10", "cifar100"] = "cifar10"
    """Which of the two."""
    batch_size: int = 32
    """Examples per step."""
    augment: bool = False
    """Mirror each training image with probability ½ and shift it by up to 4 pixels."""
    imbalance: float | None = None
    """Train on classes whose sizes fall exponentially, the largest so many times the smallest; None: all examples."""
    width: int = 64
    """Channels of the first stage; 64 is ResNet18, 16 trains on a CPU."""

    @property
    def data_set(self) -> str:
        return self.dataset

    def load(self) -> Data:
        from bayesreg.datasets import imbalanced

        data = super().load()
        return data if self.imbalance is None else imbalanced(data, self.imbalance)

    def network(self, data: Data) -> Any:
        from bayesreg import nets

        return nets.resnet18(classes=data.classes or 0, width=self.width)

    def augmentation(self) -> Any:
        from bayesreg.datasets import flip_and_crop

        return flip_and_crop if self.augment else None

    def likelihood(self) -> Any:
        from bayesreg.likelihoods import Categorical

        return Categorical()
