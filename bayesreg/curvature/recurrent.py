"""Recurrent layers, step by step: torch's fused kernels have no forward mode.

    i, f, g, o = σ, σ, tanh, σ of W x_t + U h_{t−1} + b        c_t = f c_{t−1} + i g        h_t = o tanh c_t

A step is small, so what it costs is the number of its operations: value, first and second derivatives of all four gates
are one tensor [1 + 2m, B, 4H], and one matrix product.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bayesreg.curvature.jet import Jet
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
            steps = levels.unbind(1 + time)
            out, last = _steps(steps[::-1] if way else steps, hs[n], cs[n], U)
            ways.append(torch.stack(out[::-1] if way else out, 1 + time))
            hs[n], cs[n] = (_jet(each, x) for each in (out[-1], last))
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


def _jet(levels: Tensor, like: Any) -> Any:
    value, *derivatives = levels.tensor_split((1, 1 + len(levels) // 2))
    if not isinstance(like, Jet):
        return value[0]
    return Jet(value[0], lambda: derivatives[0], derivatives[1])


def _steps(inputs: Any, h: Tensor, c: Tensor, U: Tensor) -> tuple[list[Tensor], Tensor]:
    """Every h_t and the last c, in levels."""
    m = len(inputs[0]) // 2
    none = h.new_zeros(m, *h.shape)
    levels, cell = torch.cat([h.unsqueeze(0), none, none]), (c.unsqueeze(0), none, none)
    out = []
    for each in inputs:
        levels, cell = _step((each + F.linear(levels, U)).split((1, m, m)), cell)
        out.append(levels)
    return out, torch.cat(cell)


def _step(inputs: Any, cell: Any) -> tuple[Tensor, Any]:
    """Each level apart; the input of g comes doubled, for tanh z = 2 σ(2 z) − 1."""
    a, da, dda = inputs
    s = torch.sigmoid(a)
    slope = torch.addcmul(s, s, s, value=-1)
    bend = torch.addcmul(slope, slope, s, value=-2)
    i, f, g, o = s.chunk(4, -1)
    di, df, dg, do = (slope * da).chunk(4, -1)
    ddi, ddf, ddg, ddo = torch.addcmul(slope * dda, bend, da.square()).chunk(4, -1)
    g, dg, ddg = 2 * g - 1, 2 * dg, 2 * ddg
    c, dc, ddc = cell
    ddc = torch.addcmul(torch.addcmul(torch.addcmul(ddf * c, f, ddc), ddi, g), i, ddg)
    ddc = torch.add(ddc, torch.addcmul(df * dc, di, dg), alpha=2)
    dc = torch.addcmul(torch.addcmul(torch.addcmul(df * c, f, dc), di, g), i, dg)
    c = torch.addcmul(f * c, i, g)
    t = torch.tanh(c)
    slope = 1 - t * t
    dt = slope * dc
    ddt = torch.sub(slope * ddc, t * slope * dc.square(), alpha=2)
    ddh = torch.add(torch.addcmul(ddo * t, o, ddt), do * dt, alpha=2)
    return torch.cat([o * t, torch.addcmul(do * t, o, dt), ddh]), (c, dc, ddc)
