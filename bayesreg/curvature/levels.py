"""Levels [1 + 2m, ...]: a value, its m first and its m second derivatives in one tensor, for recurrent networks.

The backward pass goes through functions of levels by the transpose of their derivative, which is triangular: with (b,
b', b'') the gradients for the levels of the output, those for the input are

    k b + Σ (k₁ b' + k₂ b''),        k b' + k₃ b'',       k b''             summed over the m directions

    a product with levels (f, f', f'')      k = f        k₁ = f'         k₂ = f''                 k₃ = 2 f'
    g of levels (f, f', f'')                k = g'       k₁ = g'' f'     k₂ = g''' f'² + g'' f''  k₃ = 2 g'' f'
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bayesreg.curvature.jet import Jet

SPAN = 32  # steps whose coefficients are in memory at a time


def levels(x: Any) -> Tensor:
    """The levels of a Jet; of a tensor only its value."""
    if not isinstance(x, Jet):
        return x.unsqueeze(0)
    first = x.first().expand(-1, *x.shape)
    second = torch.zeros_like(first) if x.second is None else x.second.expand(-1, *x.shape)
    return torch.cat([x.value.unsqueeze(0), first, second])


def from_levels(levels: Tensor) -> Any:
    """The Jet, or the tensor, that has these levels."""
    value, first, second = parts(levels, 0)
    return Jet(value[0], lambda: first, second) if len(first) else value[0]


def start(state: Tensor, m: int) -> Tensor:
    """The levels of a state that depends on no input."""
    return torch.cat([state.unsqueeze(0), state.new_zeros(2 * m, *state.shape)])


def parts(x: Tensor, dim: int = -3) -> Any:
    """Value, first and second derivatives, of levels [..., 1 + 2m, B, W]."""
    m = x.shape[dim] // 2
    return x.split((1, m, m), dim)


def product(f: Tensor, g: Tensor) -> Tensor:
    (f, df, ddf), (g, dg, ddg) = parts(f), parts(g)
    second = torch.addcmul(torch.addcmul(f * ddg, ddf, g), df, dg, value=2)
    return torch.cat([f * g, torch.addcmul(f * dg, df, g), second], -3)


def chain(value: Tensor, slope: Tensor, d2: Tensor, x: Tensor) -> Tensor:
    """g(x), from g, g' and g'' at the value of x."""
    _, dx, ddx = parts(x)
    return torch.cat([value, slope * dx, torch.addcmul(slope * ddx, d2, dx.square())], -3)


class Back(NamedTuple):
    """The backward pass of every step: k [T, 1, B, W], above (k₁, k₂) [T, 2m, B, W], cross k₃ [T, m, B, W]."""

    k: Tensor
    above: Tensor
    cross: Tensor

    @classmethod
    def product(cls, f: Tensor) -> "Back":
        return cls(f[:, :1], f[:, 1:], 2 * f[:, 1 : 1 + f.shape[1] // 2])

    @classmethod
    def chain(cls, slope: Tensor, d2: Tensor, d3: Tensor, first: Tensor, second: Tensor) -> "Back":
        d2_first = d2 * first
        return cls(slope, torch.cat([d2_first, torch.addcmul(d2 * second, d3, first.square())], 1), 2 * d2_first)

    def after(self, other: "Back") -> "Back":
        """This one, applied to what the other gives."""
        (k1, k2), (o1, o2) = self.above.chunk(2, 1), other.above.chunk(2, 1)
        above = [self.k * o1 + k1 * other.k, self.k * o2 + k1 * other.cross + k2 * other.k]
        return Back(self.k * other.k, torch.cat(above, 1), self.k * other.cross + self.cross * other.k)

    def beside(self, other: "Back") -> "Back":
        return Back(*(torch.cat(pair, -1) for pair in zip(self, other, strict=True)))

    def at(self, t: int, b: Tensor) -> Tensor:
        """Its result at step t for the gradients b [L, B, W]."""
        m = self.cross.shape[1]
        out = self.k[t] * b
        out[1 : 1 + m].addcmul_(self.cross[t], b[1 + m :])
        out[0] += (self.above[t] * b[1:]).sum(0)
        return out
