"""The steps of an LSTM in levels, as one operation with a way back of its own.

Levels [1 + 2m, ...] are a value, its m first and its m second derivatives. The way back goes through functions of
levels by the transpose of their derivative, which is triangular: with (b, b', b'') the gradients for the levels of
what comes out, those for what goes in are

    k b + Σ (k₁ b' + k₂ b''),        k b' + k₃ b'',       k b''             summed over the m directions

    a product with levels (f, f', f'')      k = f        k₁ = f'         k₂ = f''                 k₃ = 2 f'
    g of levels (f, f', f'')                k = g'       k₁ = g'' f'     k₂ = g''' f'² + g'' f''  k₃ = 2 g'' f'

Of the way there only h and c are kept, and in a captured graph all steps are one node. The way back has no gradient of
its own: asking for one raises RuntimeError.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SPAN = 32  # steps whose coefficients are in memory at a time


@torch.library.custom_op("bayesreg::lstm_steps", mutates_args=())
def steps(x: Tensor, U: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The levels of h_t and of c_t [T, L, B, H], from x_t [T, L, B, 4H], what the input adds to the gates.

    U [4H, H]; h, c [B, H] are the state before. The rows of the gate g in x and U are doubled, for
    tanh z = 2 σ(2 z) − 1, so that one sigmoid serves all four gates.
    """
    m = x.shape[1] // 2
    levels, cell = _start(h, m), _start(c, m).split((1, m, m))
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


def _start(state: Tensor, m: int) -> Tensor:
    return torch.cat([state.unsqueeze(0), state.new_zeros(2 * m, *state.shape)])


def _step(inputs: Any, cell: Any) -> tuple[Tensor, Any]:
    """Each level apart."""
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


@torch.library.custom_op("bayesreg::lstm_steps_back", mutates_args=())
def _steps_back(
    of_h: Tensor, of_c: Tensor, x: Tensor, U: Tensor, h: Tensor, c: Tensor, hs: Tensor, cs: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients for x, U, h and c, from those for the levels of every h_t and c_t."""
    H, m = h.shape[-1], x.shape[1] // 2
    earlier_h = torch.cat([_start(h, m).unsqueeze(0), hs[:-1]])
    earlier_c = torch.cat([_start(c, m).unsqueeze(0), cs[:-1]])
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


class _Map(NamedTuple):
    """A transposed derivative for every step: k [T, 1, B, W], above (k₁, k₂) [T, 2m, B, W], cross k₃ [T, m, B, W]."""

    k: Tensor
    above: Tensor
    cross: Tensor

    @classmethod
    def product(cls, f: Tensor) -> "_Map":
        return cls(f[:, :1], f[:, 1:], 2 * f[:, 1 : 1 + f.shape[1] // 2])

    @classmethod
    def chain(cls, slope: Tensor, bend: Tensor, twist: Tensor, first: Tensor, second: Tensor) -> "_Map":
        bent = bend * first
        return cls(slope, torch.cat([bent, torch.addcmul(bend * second, twist, first.square())], 1), 2 * bent)

    def after(self, other: "_Map") -> "_Map":
        """This one, of what the other gives."""
        (k1, k2), (o1, o2) = self.above.chunk(2, 1), other.above.chunk(2, 1)
        above = [self.k * o1 + k1 * other.k, self.k * o2 + k1 * other.cross + k2 * other.k]
        return _Map(self.k * other.k, torch.cat(above, 1), self.k * other.cross + self.cross * other.k)

    def beside(self, other: "_Map") -> "_Map":
        return _Map(*(torch.cat(pair, -1) for pair in zip(self, other, strict=True)))

    def at(self, t: int, b: Tensor) -> Tensor:
        """What it makes, at step t, of the gradients b [L, B, W]."""
        m = self.cross.shape[1]
        out = self.k[t] * b
        out[1 : 1 + m].addcmul_(self.cross[t], b[1 + m :])
        out[0] += (self.above[t] * b[1:]).sum(0)
        return out


def _transposed(a: Tensor, earlier: Tensor, cells: Tensor) -> tuple[_Map, _Map]:
    """From h_t to c_t; and from (c_t, c_t, c_t, h_t, c_t) to the gates i, f, g, o before their sigmoid, and c_{t−1}."""
    m = a.shape[1] // 2
    a, da, dda = a.split((1, m, m), 1)
    s = torch.sigmoid(a)
    slope, rest = s * (1 - s), 1 - 2 * s
    bend = slope * rest
    gates = torch.cat([s, slope * da, torch.addcmul(slope * dda, bend, da.square())], 1)
    i, f, g, o = gates.chunk(4, -1)
    g = 2 * g
    g[:, 0] -= 1
    sigmoid = _Map.chain(slope, bend, bend * rest - 2 * slope * slope, da, dda)
    c, dc, ddc = cells.split((1, m, m), 1)
    t = torch.tanh(c)
    slope = 1 - t * t
    bend = -2 * t * slope
    tanh = torch.cat([t, slope * dc, torch.addcmul(slope * ddc, bend, dc.square())], 1)
    to_cell = _Map.chain(slope, bend, slope * (6 * t * t - 2), dc, ddc).after(_Map.product(o))
    others = torch.cat([g, earlier, 2 * i, tanh], -1)
    return to_cell, sigmoid.after(_Map.product(others)).beside(_Map.product(f))
