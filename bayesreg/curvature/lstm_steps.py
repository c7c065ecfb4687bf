"""The steps of an LSTM in levels, as one operation with a backward pass of its own.

Of the forward pass only h and c are kept, and in a captured graph all steps are one node. The backward pass cannot be
differentiated again: that raises RuntimeError.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bayesreg.curvature.levels import SPAN, Back, start


@torch.library.custom_op("bayesreg::lstm_steps", mutates_args=())
def steps(x: Tensor, U: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The levels of h_t and of c_t [T, L, B, H], from x_t [T, L, B, 4H], what the input adds to the gates.

    U [4H, H]; h, c [B, H] are the state before. The rows of the gate g in x and U are doubled, for
    tanh z = 2 σ(2 z) − 1, so that one sigmoid serves all four gates.
    """
    m = x.shape[1] // 2
    levels, cell = start(h, m), start(c, m).split((1, m, m))
    hs, cs = [], []
    for each in x:
        levels, cell = _step((each + F.linear(levels, U)).split((1, m, m)), cell)
        hs.append(levels)
        cs.append(torch.cat(cell))
    return torch.stack(hs), torch.stack(cs)


@steps.register_fake
def _(x: Tensor, U: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    shape = (*x.shape[:3], h.shape[-1])
    return x.new_empty(shape), x.new_empty(shape)


def _step(inputs: Any, cell: Any) -> tuple[Tensor, Any]:
    """Each level apart."""
    a, da, dda = inputs
    s = torch.sigmoid(a)
    slope = torch.addcmul(s, s, s, value=-1)
    d2 = torch.addcmul(slope, slope, s, value=-2)
    i, f, g, o = s.chunk(4, -1)
    di, df, dg, do = (slope * da).chunk(4, -1)
    ddi, ddf, ddg, ddo = torch.addcmul(slope * dda, d2, da.square()).chunk(4, -1)
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


@torch.library.custom_op("bayesreg::lstm_steps_back", mutates_args=())
def _steps_back(
    of_h: Tensor, of_c: Tensor, x: Tensor, U: Tensor, h: Tensor, c: Tensor, hs: Tensor, cs: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients for x, U, h and c, from those for the levels of every h_t and c_t."""
    H, m = h.shape[-1], x.shape[1] // 2
    earlier_h = torch.cat([start(h, m).unsqueeze(0), hs[:-1]])
    earlier_c = torch.cat([start(c, m).unsqueeze(0), cs[:-1]])
    of_x = torch.empty_like(x)
    back_h, back_c = torch.zeros_like(hs[0]), torch.zeros_like(cs[0])
    for begin in reversed(range(0, len(x), SPAN)):
        span = slice(begin, begin + SPAN)
        to_cell, to_gates = _transposed(x[span] + F.linear(earlier_h[span], U), earlier_c[span], cs[span])
        for t in reversed(range(len(to_cell.k))):
            of_state = of_h[begin + t] + back_h
            of_cell = of_c[begin + t] + back_c + to_cell.at(t, of_state)
            of_all = to_gates.at(t, torch.cat([of_cell, of_cell, of_cell, of_state, of_cell], -1))
            of_x[begin + t], back_c = of_all[..., : 4 * H], of_all[..., 4 * H :]
            back_h = of_all[..., : 4 * H] @ U
    return of_x, of_x.flatten(0, 2).t() @ earlier_h.flatten(0, 2), back_h[0].clone(), back_c[0].clone()


@_steps_back.register_fake
def _(
    of_h: Tensor, of_c: Tensor, x: Tensor, U: Tensor, h: Tensor, c: Tensor, hs: Tensor, cs: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(U), torch.empty_like(h), torch.empty_like(c)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs, *output)


def _back(ctx: Any, of_h: Tensor, of_c: Tensor) -> Any:
    return _steps_back(of_h, of_c, *ctx.saved_tensors)


steps.register_autograd(_back, setup_context=_keep)


def _transposed(a: Tensor, earlier: Tensor, cells: Tensor) -> tuple[Back, Back]:
    """From h_t to c_t; and from (c_t, c_t, c_t, h_t, c_t) to the gates i, f, g, o before their sigmoid, and c_{t−1}."""
    m = a.shape[1] // 2
    a, da, dda = a.split((1, m, m), 1)
    s = torch.sigmoid(a)
    slope, rest = s * (1 - s), 1 - 2 * s
    d2 = slope * rest
    gates = torch.cat([s, slope * da, torch.addcmul(slope * dda, d2, da.square())], 1)
    i, f, g, o = gates.chunk(4, -1)
    g = 2 * g
    g[:, 0] -= 1
    sigmoid = Back.chain(slope, d2, d2 * rest - 2 * slope * slope, da, dda)
    c, dc, ddc = cells.split((1, m, m), 1)
    t = torch.tanh(c)
    slope = 1 - t * t
    d2 = -2 * t * slope
    tanh = torch.cat([t, slope * dc, torch.addcmul(slope * ddc, d2, dc.square())], 1)
    to_cell = Back.chain(slope, d2, slope * (6 * t * t - 2), dc, ddc).after(Back.product(o))
    others = torch.cat([g, earlier, 2 * i, tanh], -1)
    return to_cell, sigmoid.after(Back.product(others)).beside(Back.product(f))
