"""The chain rule to second order for functions of one number:

(g∘f)' = g'(f)·f'         (g∘f)'' = g''(f)·f'² + g'(f)·f''
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import jvp

from bayesreg.curvature.jet import Jet
from bayesreg.curvature.rules import rule

Expansion = tuple[Tensor, Tensor, Tensor]  # g, g', g''


def _silu(v: Tensor) -> Expansion:
    s = torch.sigmoid(v)
    g, rest = v * s, 1 - s
    return g, s + g * rest, s * rest * (2 + v * (rest - s))


def _sigmoid(v: Tensor) -> Expansion:
    s = torch.sigmoid(v)
    slope = s * (1 - s)
    return s, slope, slope * (1 - 2 * s)


def _tanh(v: Tensor) -> Expansion:
    t = torch.tanh(v)
    slope = 1 - t * t
    return t, slope, -2 * t * slope


def _gelu(v: Tensor) -> Expansion:
    """v Φ(v), with Φ' = φ and φ' = −v φ."""
    below, density = torch.special.ndtr(v), torch.exp(-0.5 * v * v) / math.sqrt(2 * math.pi)
    return v * below, below + v * density, density * (2 - v * v)


def _exp(v: Tensor) -> Expansion:
    e = torch.exp(v)
    return e, e, e


def _square(v: Tensor) -> Expansion:
    return v * v, 2 * v, torch.full_like(v, 2.0)


def _reciprocal(v: Tensor) -> Expansion:
    r = 1 / v
    return r, -r * r, 2 * r * r * r


def _rsqrt(v: Tensor) -> Expansion:
    r, inverse = torch.rsqrt(v), 1 / v
    return r, -0.5 * r * inverse, 0.75 * r * inverse * inverse


# g, g' and g'' where they are wanted most; the table of the rest is forward mode.
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


@rule("sigmoid tanh exp expm1 log log1p sin cos sinh cosh atan erf sqrt rsqrt reciprocal square pow softplus")
@rule("silu gelu log_sigmoid mish elu selu celu softsign tanhshrink hardswish")
def _elementwise(func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """g' and g'' in the value alone, a D-th of its work along each direction."""
    if not isinstance(x, Jet) or any(isinstance(arg, Jet | Tensor) for arg in (*args, *kwargs.values())):
        return NotImplemented
    if func in EXPANSIONS and not args and set(kwargs.values()) <= {"none"}:  # gelu(approximate="none")
        g, dg, d2g = EXPANSIONS[func](x.value)
    else:
        g, dg, d2g = _by_forward_mode(lambda v: func(v, *args, **kwargs), x.value.contiguous())
    dg, d2g = dg.unsqueeze(0), d2g.unsqueeze(0)  # with one direction nothing is to be summed, backwards
    second = d2g * x.first().square()
    if x.second is not None:
        second = torch.addcmul(second, dg, x.second)
    return Jet(g, lambda: dg * x.first(), second)


def _by_forward_mode(g: Callable[[Tensor], Tensor], v: Tensor) -> Expansion:
    def slope(v: Tensor) -> Tensor:
        return jvp(g, (v,), (torch.ones_like(v),))[1]

    dg, d2g = jvp(slope, (v,), (torch.ones_like(v),))[:2]
    return g(v), dg, d2g
