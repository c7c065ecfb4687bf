"""The LSTM: h_t, c_t = cell(x_t, h_{t−1}, c_{t−1}), Ω = W h_T + b  (Hochreiter & Schmidhuber, 1997)."""

from torch import Tensor, nn


class LSTM(nn.Module):
    """Sequences [B, T, inputs] of any length to [B, outputs]: a linear `head` on the last state of the last layer."""

    def __init__(self, inputs: int, outputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        if min(inputs, outputs, hidden, layers) < 1:
            sizes = f"inputs={inputs}, outputs={outputs}, hidden={hidden} and layers={layers}"
            raise ValueError(f"{sizes} must be at least 1")
        self.body = nn.LSTM(inputs, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 3:
            raise ValueError(f"the LSTM takes sequences [B, T, inputs], got x of shape {list(x.shape)}")
        states, _ = self.body(x)
        return self.head(states[:, -1])


def lstm(inputs: int, outputs: int, hidden: int = 64, layers: int = 1) -> LSTM:
    """An LSTM of `hidden` units a layer."""
    return LSTM(inputs, outputs, hidden, layers)
