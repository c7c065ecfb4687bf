"""What a step does to the weights beside Adam's: nothing, or what no gradient can, as decoupled weight decay."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Rate = float | Tensor  # the learning rate of the step; on a GPU it is in memory


class Update:
    """A change of the weights, in place, before or after Adam's step; under a delta guide, where weights are points.

    It is handed views of the tensors that it `claims`. `before` comes with the gradient computed, but not yet used.
    """

    name: str

    def claims(self, name: str, parameter: Tensor) -> bool:
        """Whether it changes that parameter of the network: tensors of two or more dimensions, as on="weights"."""
        return parameter.dim() >= 2

    def check_guide(self, guide: str) -> None:
        """Raise ValueError under a guide that has more of a weight than a point."""
        if guide != "delta":
            raise ValueError(
                f"{self.name} changes weights that are points, and the guide {guide!r} has distributions of them: take "
                "the guide delta, or a prior"
            )

    def check_rate(self, lr: float) -> None:
        """Raise ValueError where the learning rate at the start is too large for it."""

    def before(self, weights: list[Tensor], lr: Rate) -> None:
        """Ahead of Adam's step."""

    def after(self, weights: list[Tensor], lr: Rate, metric: Callable[[], list[Tensor]]) -> None:
        """Behind it. metric: what Adam has multiplied the mean gradient by beside lr, 1/(√v̂ + ε), of their shapes."""

    def penalty(self, weights: list[Tensor]) -> Tensor | None:
        """What it minimises beside the objective, a scalar in nats per datum; None: there is no such thing."""
        return None
