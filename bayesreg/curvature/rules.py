"""The chain rule to second order, for the functions that networks are made of.

    affine A         (A∘f)' = A f'             (A∘f)'' = A f''                  (A without its constant)
    elementwise g    (g∘f)' = g'(f)·f'         (g∘f)'' = g''(f)·f'² + g'(f)·f''
    product          (f·h)' = f'·h + f·h'      (f·h)'' = f''·h + 2 f'·h' + f·h''

A rule takes torch's function and its arguments, of which any may be a Jet; it returns NotImplemented to leave
a case to nested forward mode. Source: Griewank & Walther, Evaluating Derivatives, 2008, chapter 13.
"""

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import jvp

from bayesreg.curvature.jet import RULES, Jet, values

Expansion = tuple[Tensor, Tensor, Tensor]  # g, g', g''


def rule(names: str) -> Callable[[Any], Any]:
    """Register a rule under the names of torch's functions, without underscores at their ends."""

    def register(function: Any) -> Any:
        RULES.update(dict.fromkeys(names.split(), function))
        return function

    return register


@rule("reshape view flatten unflatten squeeze unsqueeze view_as reshape_as")
def _reshape(func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Row-major: a batch that stays in front keeps its examples apart, and may stay a batch of one."""
    value = func(*values((x, *args)), **kwargs)
    kept = int(value.shape[:1] == x.shape[:1])

    def linear(d: Tensor) -> Tensor:
        lead = d.shape[: 1 + kept]
        return d.expand(*lead, *x.shape[kept:]).reshape(*lead, *value.shape[kept:])

    return x.map(value, linear) if isinstance(x, Jet) else value


@rule("linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
def _layer(func: Any, x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The directions folded into the batch; the bias has no derivative."""
    if not isinstance(x, Jet) or any(isinstance(t, Jet) for t in (weight, bias)) or x.dim() != weight.dim():
        return NotImplemented if func is not F.linear else x @ weight.mT + (0 if bias is None else bias)

    def linear(d: Tensor) -> Tensor:
        folded = d.expand(-1, -1, *x.shape[1:]).flatten(0, 1)
        return func(folded, weight, None, *args, **kwargs).unflatten(0, d.shape[:2])

    return x.map(func(x.value, weight, bias, *args, **kwargs), linear)


@rule("avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d interpolate")
def _pool(func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Each channel on its own: the directions folded into what leads."""

    def linear(d: Tensor) -> Tensor:
        folded = d.expand(-1, -1, *x.shape[1:]).flatten(0, 1)
        return func(folded, *args, **kwargs).unflatten(0, d.shape[:2])

    return x.map(func(x.value, *args, **kwargs), linear)


@rule("dropout dropout1d dropout2d dropout3d")
def _dropout(func: Any, x: Any, p: float = 0.5, training: bool = True) -> Any:
    """One mask for the value and both derivatives."""
    return x * func(torch.ones_like(x.value), p, True) if training else x


def _derivative(x: Any, order: int, dim: int) -> Any:
    """f' or f'' as a term of an expression of `dim` dimensions, [D, 1, .., *S]; None is zero."""
    d = None if not isinstance(x, Jet) else x.first() if order == 1 else x.second
    return d if d is None else d.reshape(len(d), *[1] * (dim + 1 - d.dim()), *d.shape[1:])


def _total(*terms: Any) -> Any:
    given = [term for term in terms if term is not None]
    return reduce(operator.add, given) if given else None


def _sum(a: Any, b: Any) -> Jet:
    value = values(a) + values(b)

    def derivative(order: int) -> Any:
        return _total(_derivative(a, order, value.dim()), _derivative(b, order, value.dim()))

    return Jet(value, lambda: derivative(1), derivative(2))


def _product(times: Callable[[Any, Any], Any], a: Any, b: Any) -> Jet:
    """Leibniz' rule, for any product that is linear in each factor."""
    value = times(values(a), values(b))

    def term(m: int, n: int) -> Any:
        if (m and not isinstance(a, Jet)) or (n and not isinstance(b, Jet)):
            return None
        u, v = (_derivative(x, k, value.dim()) if k else values(x) for x, k in ((a, m), (b, n)))
        return None if u is None or v is None else times(u, v)

    cross = term(1, 1)
    return Jet(value, lambda: _total(term(1, 0), term(0, 1)), _total(term(2, 0), cross, cross, term(0, 2)))


@rule("div truediv")
def _divide(func: Any, a: Any, b: Any, rounding_mode: Any = None) -> Any:
    inverse = b.reciprocal() if isinstance(b, Jet) else 1 / b
    return a * inverse if rounding_mode is None else NotImplemented


@rule("matmul mm bmm")
def _matmul(func: Any, a: Any, b: Any) -> Any:
    if min(a.dim(), b.dim()) < 2:
        return NotImplemented
    n = a.shape[-1]  # summed over: no longer of size one in a derivative
    a = a.map(a.value, lambda d: d.expand(*d.shape[:-1], n)) if isinstance(a, Jet) else a
    b = b.map(b.value, lambda d: d.expand(*d.shape[:-2], n, d.shape[-1])) if isinstance(b, Jet) else b
    return _product(operator.matmul, a, b)


RULES["add"] = RULES["radd"] = lambda func, a, b, alpha=1: _sum(a, b if alpha == 1 else b * alpha)
RULES["sub"] = lambda func, a, b, alpha=1: _sum(a, b * -alpha)
RULES["rsub"] = lambda func, a, b, alpha=1: _sum(b, a * -alpha)
RULES["neg"] = lambda func, a: a * -1
RULES["mul"] = RULES["rmul"] = lambda func, a, b: _product(operator.mul, a, b)
RULES["rdiv"] = RULES["rtruediv"] = lambda func, a, b: _divide(func, b, a)
RULES["rmatmul"] = lambda func, a, b: _matmul(func, b, a)


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
    second = d2g * x.first().square()
    if x.second is not None:
        second = torch.addcmul(second, dg, x.second)
    return Jet(g, lambda: dg * x.first(), second)


def _by_forward_mode(g: Callable[[Tensor], Tensor], v: Tensor) -> Expansion:
    def slope(v: Tensor) -> Tensor:
        return jvp(g, (v,), (torch.ones_like(v),))[1]

    dg, d2g = jvp(slope, (v,), (torch.ones_like(v),))[:2]
    return g(v), dg, d2g


@rule("glu")
def _glu(func: Any, x: Any, dim: int = -1) -> Any:
    a, b = x.chunk(2, dim)
    return a * torch.sigmoid(b)


# Normalisation, as torch.nn.functional calls it: torch's own second derivatives are wrong (jet.WRONG).


def _standardised(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    x = x - x.mean(dims, keepdim=True)
    return x * torch.rsqrt(x.square().mean(dims, keepdim=True) + eps)


def _scaled(x: Any, weight: Any, bias: Any, shape: Any) -> Any:
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


@rule("batch_norm")
def _batch_norm(func: Any, x: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
                training: bool = False, momentum: Any = 0.1, eps: float = 1e-5, *_: Any) -> Any:  # fmt: skip
    """Affine: the statistics, of this batch or running, are constant with respect to x."""
    if func is not F.batch_norm:
        return NotImplemented
    mean, var = running_mean, running_var
    if training or mean is None:
        var, mean = torch.var_mean(values(x), [i for i in range(x.dim()) if i != 1], correction=0)
    scale = torch.rsqrt(var + eps) * (1 if weight is None else weight)
    shape = [-1, *[1] * (x.dim() - 2)]
    return _scaled(x, scale, -mean * scale if bias is None else bias - mean * scale, shape)


@rule("layer_norm")
def _layer_norm(func: Any, x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return _scaled(_standardised(x, tuple(range(-len(shape), 0)), eps), weight, bias, shape)


@rule("group_norm")
def _group_norm(func: Any, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    standard = _standardised(x.reshape(len(x), groups, -1), (-1,), eps).reshape(x.shape)
    return _scaled(standard, weight, bias, [-1, *[1] * (x.dim() - 2)])


@rule("instance_norm")
def _instance_norm(
    func: Any, x: Any, *args: Any, weight: Any, bias: Any, use_input_stats: bool, eps: float, **_: Any
) -> Any:
    return _group_norm(func, x, x.shape[1], weight, bias, eps) if use_input_stats else NotImplemented


@rule("lstm")
def _lstm(func: Any, x: Any, state: Any, weights: Any, biased: bool, layers: int, dropout: float,
          training: bool, both_ways: bool, batch_first: bool = True, *rest: Any) -> Any:  # fmt: skip
    """The cell step by step: torch's fused kernels have no forward mode."""
    kinds = 4 if biased else 2
    if rest or len(weights) != layers * (1 + both_ways) * kinds:  # packed sequences, projections
        raise NotImplementedError("curvature has no rule for packed or projected LSTMs; pass padded sequences")
    hs, cs = (list(each.unbind()) for each in state)
    for layer in range(layers):
        ways = []
        for way in range(1 + both_ways):
            n = layer * (1 + both_ways) + way
            steps = list(x.unbind(int(batch_first)))
            out, hs[n], cs[n] = _cell(steps[::-1] if way else steps, hs[n], cs[n], *weights[n * kinds :][:kinds])
            ways.append(torch.stack(out[::-1] if way else out, int(batch_first)))
        x = torch.cat(ways, -1)
        if dropout and layer < layers - 1:
            x = F.dropout(x, dropout, training)
    return x, torch.stack(hs), torch.stack(cs)


def _cell(steps: list[Any], h: Any, c: Any, W: Tensor, U: Tensor, b: Any = None, d: Any = None) -> Any:
    out = []
    for x in steps:
        i, f, g, o = (F.linear(x, W, b) + F.linear(h, U, d)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        out.append(h)
    return out, h, c
