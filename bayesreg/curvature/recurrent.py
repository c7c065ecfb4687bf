"""Recurrent layers, step by step: torch's fused kernels have no forward mode.

    i, f, g, o = σ, σ, tanh, σ of W x_t + U h_{t−1} + b        c_t = f c_{t−1} + i g        h_t = o tanh c_t

A step is small, so what it costs is the number of its operations: value, first and second derivatives of all four gates
are one tensor [1 + 2m, B, 4H], and one matrix product (lstm_steps.py).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bayesreg.curvature.jet import Jet
from bayesreg.curvature.lstm_steps import steps
from bayesreg.curvature.rules import rule


@rule("lstm")
def _lstm(func: Any, *args: Any) -> Any:
    return lstm(*args)


def lstm(x: Any, state: Any, weights: Any, biased: bool, layers: int, dropout: float,
          training: bool, both_ways: bool, batch_first: bool = True, *rest: Any) -> Any:  # fmt: skip
    """As `torch.lstm`, of a tensor or of a Jet x."""
    kinds = 4 if biased else 2
    if rest or len(weights) != layers * (1 + both_ways) * kinds:  # packed sequences, projections
        raise NotImplementedError("curvature has no rule for packed or projected LSTMs; pass padded sequences")
    if any(isinstance(each, Jet) for each in state):
        raise NotImplementedError("curvature has no rule for an LSTM whose initial state depends on its input")
    time = int(batch_first)
    hs, cs = (list(each.unbind()) for each in state)
    for layer in range(layers):
        ways = []
        for way in range(1 + both_ways):
            n = layer * (1 + both_ways) + way
            W, U, *biases = (_double_third(each) for each in weights[n * kinds :][:kinds])
            levels = _levels(F.linear(x, W, biases[0] + biases[1] if biases else None))
            each = levels.movedim(1 + time, 0)
            out, cells = _in_full((each.flip(0) if way else each).contiguous(), U, hs[n], cs[n])
            ways.append((out.flip(0) if way else out).movedim(0, 1 + time))
            hs[n], cs[n] = _jet(out[-1], x), _jet(cells[-1], x)
        x = _jet(torch.cat(ways, -1), x)
        if dropout and layer < layers - 1:
            x = F.dropout(x, dropout, training)
    return x, torch.stack(hs), torch.stack(cs)


def _levels(x: Any) -> Tensor:
    """[1 + 2m, *S]: value, first derivatives, second derivatives; of a tensor its value alone."""
    if not isinstance(x, Jet):
        return x.unsqueeze(0)
    first = x.first().expand(-1, *x.shape)
    second = torch.zeros_like(first) if x.second is None else x.second.expand(-1, *x.shape)
    return torch.cat([x.value.unsqueeze(0), first, second])


def _double_third(weights: Tensor) -> Tensor:
    """Of the four gates' weights those of g doubled."""
    factors = weights.new_tensor([1.0, 1.0, 2.0, 1.0]).repeat_interleave(len(weights) // 4)
    return weights * factors.reshape(-1, *[1] * (weights.dim() - 1))


def _in_full(x: Tensor, U: Tensor, *state: Tensor) -> tuple[Tensor, Tensor]:
    """The steps in the precision of the weights, under autocast too."""
    with torch.autocast(x.device.type, enabled=False):
        return steps(x.to(U), U, *(each.to(U) for each in state))


def _jet(levels: Tensor, like: Any) -> Any:
    value, *derivatives = levels.tensor_split((1, 1 + len(levels) // 2))
    if not isinstance(like, Jet):
        return value[0]
    return Jet(value[0], lambda: derivatives[0], derivatives[1])
