"""The LSTM: h_t, c_t = cell(x_t, h_{t−1}, c_{t−1}), Ω = W h_T + b  (Hochreiter & Schmidhuber, 1997)."""

import torch
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
    """An LSTM of `hidden` units per layer."""
    return LSTM(inputs, outputs, hidden, layers)


class BiLSTM(nn.Module):
    """Tokens [B, T], 0 where a sequence has ended, to [B, outputs]: a linear `head` on the mean of the states.

    One LSTM reads each sequence forwards, the other backwards, from its own last token: padding comes after all that
    is read, and its states do not count. With dropout of the embeddings and of what the head sees (Schuster &
    Paliwal, 1997; Graves & Schmidhuber, 2005).
    """

    def __init__(self, words: int, outputs: int, embedding: int, hidden: int, dropout: float) -> None:
        super().__init__()
        if min(words, outputs, embedding, hidden) < 1:
            sizes = f"words={words}, outputs={outputs}, embedding={embedding} and hidden={hidden}"
            raise ValueError(f"{sizes} must be at least 1")
        self.embed = nn.Embedding(words, embedding)
        self.forwards = nn.LSTM(embedding, hidden, batch_first=True)
        self.backwards = nn.LSTM(embedding, hidden, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2 or x.is_floating_point():
            raise ValueError(f"the BiLSTM takes tokens [B, T], got x of shape {list(x.shape)}, {x.dtype}")
        there = x != 0
        length = there.sum(1, keepdim=True)
        step = torch.arange(x.shape[1], device=x.device)
        mirrored = torch.where(step < length, length - 1 - step, step)
        h = self.drop(self.embed(x))
        rows = torch.arange(len(x), device=x.device)[:, None]
        states = torch.cat([self.forwards(h)[0], self.backwards(h[rows, mirrored])[0]], -1)
        share = there / length.clamp(min=1)
        return self.head(self.drop((states * share[:, :, None].to(self.head.weight.dtype)).sum(1)))


def bilstm(words: int, outputs: int, embedding: int = 64, hidden: int = 64, dropout: float = 0.5) -> BiLSTM:
    """`words` tokens, embedded in `embedding` numbers; `hidden` units per direction."""
    return BiLSTM(words, outputs, embedding, hidden, dropout)
