"""Recurrent layers, step by step: torch's fused kernels have no forward mode."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bayesreg.curvature.rules import rule


@rule("lstm")
def _lstm(func: Any, *args: Any) -> Any:
    return lstm(*args)


def lstm(x: Any, state: Any, weights: Any, biased: bool, layers: int, dropout: float,
          training: bool, both_ways: bool, batch_first: bool = True, *rest: Any) -> Any:  # fmt: skip
    """As `torch.lstm`, of tensors or of Jets."""
    kinds = 4 if biased else 2
    if rest or len(weights) != layers * (1 + both_ways) * kinds:  # packed sequences, projections
        raise NotImplementedError("curvature has no rule for packed or projected LSTMs; pass padded sequences")
    hs, cs = (list(each.unbind()) for each in state)
    for layer in range(layers):
        ways = []
        for way in range(1 + both_ways):
            n = layer * (1 + both_ways) + way
            W, U, *biases = weights[n * kinds :][:kinds]
            steps = list(F.linear(x, W, sum(biases) if biases else None).unbind(int(batch_first)))
            out, hs[n], cs[n] = _cells(steps[::-1] if way else steps, hs[n], cs[n], U)
            ways.append(torch.stack(out[::-1] if way else out, int(batch_first)))
        x = torch.cat(ways, -1)
        if dropout and layer < layers - 1:
            x = F.dropout(x, dropout, training)
    return x, torch.stack(hs), torch.stack(cs)


def _cells(inputs: list[Any], h: Any, c: Any, U: Tensor) -> Any:
    out = []
    for each in inputs:
        i, f, g, o = (each + F.linear(h, U)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        out.append(h)
    return out, h, c
