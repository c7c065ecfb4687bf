"""Recurrent layers, step by step: torch's fused kernels have no forward mode.

    i, f, g, o = σ, σ, tanh, σ of W x_t + U h_{t−1} + b        c_t = f c_{t−1} + i g        h_t = o tanh c_t

A step is small, so its cost is the number of its operations: value, first and second derivatives of all gates are one
tensor [1 + 2m, B, 4H], and one matrix product (lstm_steps.py, and cell_steps.py for the GRU and the plain layer).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bayesreg.curvature import cell_steps, lstm_steps
from bayesreg.curvature.jet import Jet
from bayesreg.curvature.levels import from_levels, levels
from bayesreg.curvature.rules import rule


@rule("lstm gru rnn_tanh")
def recurrent(func: Any, x: Any, state: Any, weights: Any, biased: Any, layers: Any, dropout: Any, training: Any,
              both_ways: Any, batch_first: bool = False, *rest: Any) -> Any:  # fmt: skip
    """`torch.lstm`, `torch.gru` and `torch.rnn_tanh` for a tensor or a Jet x."""
    name, kinds = func.__name__, 4 if biased else 2
    if rest or x.dim() != 3 or len(weights) != layers * (1 + both_ways) * kinds:
        raise NotImplementedError(f"curvature has no rule for a packed or projected {name}; pass padded sequences")
    states = [list(each.unbind()) for each in (state if name == "lstm" else (state,))]
    if any(isinstance(start, Jet) for starts in states for start in starts):
        raise NotImplementedError(f"curvature has no rule for {name} with an initial state that depends on its input")
    for layer in range(layers):
        ways = []
        for way in range(1 + both_ways):
            n = layer * (1 + both_ways) + way
            parameters, starts = weights[n * kinds :][:kinds], [each[n] for each in states]
            out, *ends = THROUGH[name](x, parameters, starts, int(batch_first), backwards=way == 1)
            ways.append(out)
            for each, end in zip(states, ends, strict=True):
                each[n] = end
        x = torch.cat(ways, -1) if both_ways else out
        if dropout and layer < layers - 1:
            x = F.dropout(x, dropout, training)
    return x, *map(torch.stack, states)


@rule("gru_cell")
def _gru_cell(func: Any, x: Any, h: Any, W: Tensor, U: Tensor, b: Any = None, of_state: Any = None) -> Any:
    (*a, a_n), (*c, c_n) = F.linear(x, W, b).chunk(3, -1), F.linear(h, U, of_state).chunk(3, -1)
    r, z = (torch.sigmoid(ours + theirs) for ours, theirs in zip(a, c, strict=True))
    n = torch.tanh(a_n + r * c_n)
    return n + z * (h - n)


@rule("rnn_tanh_cell")
def _rnn_cell(func: Any, x: Any, h: Any, W: Tensor, U: Tensor, b: Any = None, of_state: Any = None) -> Any:
    return torch.tanh(F.linear(x, W, b) + F.linear(h, U, of_state))


@rule("lstm_cell")
def _lstm_cell(func: Any, x: Any, state: Any, W: Tensor, U: Tensor, b: Any = None, of_state: Any = None) -> Any:
    h, c = state
    i, f, g, o = (F.linear(x, W, b) + F.linear(h, U, of_state)).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _lstm(x: Any, parameters: Sequence[Tensor], starts: Any, time: int, backwards: bool) -> Any:
    W, U, *biases = map(_double_third, parameters)
    inputs = levels(F.linear(x, W, biases[0] + biases[1] if biases else None))
    hs, cs = _in_full(lstm_steps.steps, _in_order(inputs, time, backwards), U, *starts)
    return _layer(hs, time, backwards), from_levels(hs[-1]), from_levels(cs[-1])


def _by_cell(name: str) -> Callable[..., Any]:
    def through(x: Any, parameters: Sequence[Tensor], starts: Any, time: int, backwards: bool) -> Any:
        W, U, *biases = parameters
        inputs, beside = levels(F.linear(x, W, *biases[:1])), biases[1] if biases else U.new_zeros(len(U))
        hs = _in_full(partial(cell_steps.steps, cell=name), _in_order(inputs, time, backwards), U, beside, *starts)
        return _layer(hs, time, backwards), from_levels(hs[-1])

    return through


THROUGH = {"lstm": _lstm} | {name: _by_cell(name) for name in cell_steps.CELLS}


def _double_third(weights: Tensor) -> Tensor:
    """The four gates' weights, those of g doubled."""
    factors = weights.new_tensor([1.0, 1.0, 2.0, 1.0]).repeat_interleave(len(weights) // 4)
    return weights * factors.reshape(-1, *[1] * (weights.dim() - 1))


def _in_order(levels: Tensor, time: int, backwards: bool) -> Tensor:
    """[1 + 2m, B, T, W], or with time first, as [T, 1 + 2m, B, W] in the order of the steps."""
    steps = levels.movedim(1 + time, 0)
    return (steps.flip(0) if backwards else steps).contiguous()


def _layer(steps: Tensor, time: int, backwards: bool) -> Any:
    return from_levels((steps.flip(0) if backwards else steps).movedim(0, 1 + time))


def _in_full(steps: Callable[..., Any], x: Tensor, U: Tensor, *others: Tensor) -> Any:
    """The steps in the precision of the weights, under autocast too."""
    with torch.autocast(x.device.type, enabled=False):
        return steps(x.to(U), U, *(each.to(U) for each in others))
