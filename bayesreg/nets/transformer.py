"""The Transformer encoder: h ← h + attention(norm h), h ← h + W₂ a(W₁ norm h)  (Vaswani et al., 2017).

Norm first, as in Xiong et al., On Layer Normalization in the Transformer Architecture (2020), which trains without
learning-rate warm-up. GELU for ReLU, so that it has second derivatives.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn


class Transformer(nn.Module):
    """Sequences [B, T, inputs] of any length to [B, outputs]: a linear `head` on the mean over the steps."""

    def __init__(self, inputs: int, outputs: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        if min(inputs, outputs, width, layers, heads) < 1 or width % (2 * heads):
            sizes = f"inputs={inputs}, outputs={outputs}, width={width}, layers={layers}, heads={heads}"
            raise ValueError(f"{sizes}: each must be at least 1, and width a multiple of twice the heads")
        self.embed = nn.Linear(inputs, width)
        options: dict[str, Any] = {"activation": "gelu", "batch_first": True, "norm_first": True}
        blocks = (nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, **options) for _ in range(layers))
        self.body = nn.Sequential(*blocks, nn.LayerNorm(width))  # nn.TransformerEncoder would start all blocks alike
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 3:
            raise ValueError(f"the transformer takes sequences [B, T, inputs], got x of shape {list(x.shape)}")
        h = self.embed(x)
        return self.head(self.body(h + positions(h)).mean(1))


def positions(h: Tensor) -> Tensor:
    """Where each step stands: sin and cos of t / 10000^(2i/width), [T, width] for h [B, T, width]."""
    T, width = h.shape[-2:]
    exact: dict[str, Any] = {"device": h.device, "dtype": torch.promote_types(h.dtype, torch.float32)}
    frequency = torch.exp(torch.arange(0, width, 2, **exact) * (-math.log(10_000.0) / width))
    angle = torch.arange(T, **exact)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], -1).to(h.dtype)


def transformer(
    inputs: int, outputs: int, width: int = 64, layers: int = 2, heads: int = 4, dropout: float = 0.0
) -> Transformer:
    """`layers` blocks, `width` wide, with `heads` heads and a feed-forward part four times as wide."""
    return Transformer(inputs, outputs, width, layers, heads, dropout)
