"""The chain rule to second order for functions of one number:

(g∘f)' = g'(f)·f'         (g∘f)'' = g''(f)·f'² + g'(f)·f''
"""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import jvp

from bayesreg.curvature.jet import Jet
from bayesreg.curvature.rules import rule

Expansion = tuple[Tensor, ...]  # g and its derivatives, the third for the backward pass


def _sigmoid(v: Tensor) -> Expansion:
    s = torch.sigmoid(v)
    slope, rest = s * (1 - s), 1 - 2 * s
    d2 = slope * rest
    return s, slope, d2, d2 * rest - 2 * slope * slope


def _silu(v: Tensor) -> Expansion:
    """v σ(v)."""
    s, ds, d2s, d3s = _sigmoid(v)
    return v * s, s + v * ds, 2 * ds + v * d2s, 3 * d2s + v * d3s


def _tanh(v: Tensor) -> Expansion:
    t = torch.tanh(v)
    slope = 1 - t * t
    return t, slope, -2 * t * slope, slope * (6 * t * t - 2)


def _gelu(v: Tensor) -> Expansion:
    """v Φ(v), with Φ' = φ and φ' = −v φ."""
    below, density = torch.special.ndtr(v), torch.exp(-0.5 * v * v) / math.sqrt(2 * math.pi)
    return v * below, below + v * density, density * (2 - v * v), density * v * (v * v - 4)


def _exp(v: Tensor) -> Expansion:
    return (torch.exp(v),) * 4


def _square(v: Tensor) -> Expansion:
    return v * v, 2 * v, torch.full_like(v, 2.0), torch.zeros_like(v)


def _reciprocal(v: Tensor) -> Expansion:
    r = 1 / v
    return r, -r * r, 2 * r * r * r, -6 * r * r * r * r


def _rsqrt(v: Tensor) -> Expansion:
    r, inverse = torch.rsqrt(v), 1 / v
    slope = -0.5 * r * inverse
    d2 = -1.5 * slope * inverse
    return r, slope, d2, -2.5 * d2 * inverse


# For the most frequent functions; the rest go by forward mode.
EXPANSIONS: dict[Any, Callable[[Tensor], Expansion]] = {}
for _names, _expansion in {
    (F.silu,): _silu,
    (torch.sigmoid, Tensor.sigmoid): _sigmoid,
    (torch.tanh, Tensor.tanh): _tanh,
    (F.gelu,): _gelu,
    (torch.exp, Tensor.exp): _exp,
    (torch.square, Tensor.square): _square,
    (torch.reciprocal, Tensor.reciprocal): _reciprocal,
    (torch.rsqrt, Tensor.rsqrt): _rsqrt,
}.items():
    EXPANSIONS.update(dict.fromkeys(_names, _expansion))


class _Chain(torch.autograd.Function):
    """f [*S], f' and f'' [D, *S] → g(f), g'(f)·f', g''(f)·f'² + g'(f)·f''.

    Only f, f' and f'' are kept for the backward pass; autograd would keep every product in these formulas.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(f: Tensor, first: Tensor, second: Any, g: Callable[[Tensor], Expansion]) -> tuple[Tensor, ...]:
        value, slope, d2, _ = g(f)
        return value, slope * first, _second(slope, d2, first, second)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        f, first, second, ctx.g = inputs
        ctx.save_for_backward(f, first, second)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, of_value: Any, of_first: Any, of_second: Any) -> Any:
        f, first, second = ctx.saved_tensors
        _, slope, d2, d3 = ctx.g(f)
        to_f, to_first, to_second = [], [], None
        if of_value is not None:
            to_f.append(of_value * slope)
        if of_first is not None:
            to_first.append(of_first * slope)
            to_f.append(_over_directions(of_first * first) * d2)
        if of_second is not None:
            along = of_second * first
            to_first.append(along * (2 * d2))
            to_f.append(_over_directions(along * first) * d3)
            if second is not None:
                to_second = of_second * slope
                to_f.append(_over_directions(of_second * second) * d2)
        return _total(to_f), _total(to_first), to_second, None


def _second(slope: Tensor, d2: Tensor, first: Tensor, second: Any) -> Tensor:
    out = d2 * first.square()
    return out if second is None else torch.addcmul(out, slope, second)


def _over_directions(d: Tensor) -> Tensor:
    return d.sum(0) if len(d) > 1 else d.squeeze(0)


def _total(terms: list[Tensor]) -> Any:
    return reduce(torch.add, terms) if terms else None


@rule("sigmoid tanh exp expm1 log log1p sin cos sinh cosh atan erf sqrt rsqrt reciprocal square pow softplus")
@rule("silu gelu log_sigmoid mish elu selu celu softsign tanhshrink hardswish")
def _elementwise(func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """g' and g'' of the value alone, which is 1/D of the work along all directions."""
    if not isinstance(x, Jet) or any(isinstance(arg, Jet | Tensor) for arg in (*args, *kwargs.values())):
        return NotImplemented
    if func in EXPANSIONS and not args and set(kwargs.values()) <= {"none"}:  # gelu(approximate="none")
        first, second = (None if d is None else d.expand(-1, *x.shape) for d in (x.first(), x.second))
        g, slope, d2 = _Chain.apply(x.value, first, second, EXPANSIONS[func])
        return Jet(g, lambda: slope, d2)
    g, dg, d2g = _by_forward_mode(lambda v: func(v, *args, **kwargs), x.value.contiguous())
    dg, d2g = dg.unsqueeze(0), d2g.unsqueeze(0)  # with one direction the backward pass has nothing to sum
    return Jet(g, lambda: dg * x.first(), _second(dg, d2g, x.first(), x.second))


def _by_forward_mode(g: Callable[[Tensor], Tensor], v: Tensor) -> Expansion:
    def slope(v: Tensor) -> Tensor:
        return jvp(g, (v,), (torch.ones_like(v),))[1]

    dg, d2g = jvp(slope, (v,), (torch.ones_like(v),))[:2]
    return g(v), dg, d2g
