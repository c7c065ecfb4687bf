"""The multilayer perceptron: h_0 = x, h_l = a(W_l h_{l−1} + b_l), Ω = W_L h_{L−1} + b_L."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Module):
    """x [B, ...], flattened to [B, inputs], to [B, outputs]: hidden layers `body`, last layer `head`."""

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int], activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        widths = [inputs, *hidden]
        if min([*widths, outputs]) < 1:
            raise ValueError(f"every layer needs a unit: inputs={inputs}, hidden={list(hidden)}, outputs={outputs}")
        self.inputs = inputs
        self.body = nn.Sequential()
        for before, after in pairwise(widths):
            self.body.extend([nn.Linear(before, after), activation()])
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.reshape(x.shape[0], self.inputs)))


def mlp(
    inputs: int, outputs: int, hidden: Sequence[int] | int = 64, activation: Callable[[], nn.Module] = nn.SiLU
) -> MLP:
    """An MLP of two hidden layers of `hidden` units, or of the widths given; `hidden=[]` is linear."""
    return MLP(inputs, outputs, (hidden, hidden) if isinstance(hidden, int) else hidden, activation)
