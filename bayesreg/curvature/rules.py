"""The chain rule to second order, for the functions that networks are made of.

    affine A         (A∘f)' = A f'             (A∘f)'' = A f''                  (A without its constant)
    product          (f·h)' = f'·h + f·h'      (f·h)'' = f''·h + 2 f'·h' + f·h''

A rule takes torch's function and its arguments, any of which may be a Jet; it returns NotImplemented to leave a case to
nested forward mode. Source: Griewank & Walther, Evaluating Derivatives, 2008, chapter 13.
"""

import operator
from collections.abc import Callable
from functools import cache, partial, reduce
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from bayesreg.curvature.jet import RULES, Jet, values


def rule(names: str) -> Callable[[Any], Any]:
    """Register a rule under the names of torch's functions, without underscores at their ends."""

    def register(function: Any) -> Any:
        RULES.update(dict.fromkeys(names.split(), function))
        return function

    return register


@rule("reshape view flatten unflatten squeeze unsqueeze view_as reshape_as")
def _reshape(func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Row-major: a batch that stays in front keeps its examples separate, and may stay a batch of one."""
    value = func(*values((x, *args)), **kwargs)
    kept = int(value.shape[:1] == x.shape[:1])

    def linear(d: Tensor) -> Tensor:
        lead = d.shape[: 1 + kept]
        return d.expand(*lead, *x.shape[kept:]).reshape(*lead, *value.shape[kept:])

    return x.map(value, linear) if isinstance(x, Jet) else value


@rule("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
def _convolution(func: Any, x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The directions folded into the batch; the bias has no derivative.

    With fewer activations than weights, value and derivatives go through one convolution: the weights are read once.
    """
    if not isinstance(x, Jet) or any(isinstance(t, Jet) for t in (weight, bias)) or x.dim() != weight.dim():
        return NotImplemented

    def fold(d: Tensor) -> Tensor:
        return d.expand(-1, -1, *x.shape[1:]).flatten(0, 1)

    if x.value.numel() > weight.numel():
        linear = lambda d: func(fold(d), weight, None, *args, **kwargs).unflatten(0, d.shape[:2])  # noqa: E731
        return x.map(func(x.value, weight, bias, *args, **kwargs), linear)
    derivatives = [x.first()] if x.second is None else [x.first(), x.second]
    parts = [x.value, *map(fold, derivatives)]
    value, *outs = func(torch.cat(parts), weight, None, *args, **kwargs).split(list(map(len, parts)))
    if bias is not None:
        value = value + bias.reshape(-1, *[1] * (x.dim() - 2))
    first, *second = (o.unflatten(0, d.shape[:2]) for o, d in zip(outs, derivatives, strict=True))
    return Jet(value, lambda: first, *second)


@rule("linear")
def _linear(func: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    if isinstance(weight, Jet) or isinstance(bias, Jet):
        return x @ weight.mT + (0 if bias is None else bias)
    return x.map(func(x.value, weight, bias), lambda d: func(d, weight))


@rule("avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d interpolate")
def _pool(func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Each channel on its own: the directions folded into what leads."""

    def linear(d: Tensor) -> Tensor:
        folded = d.expand(-1, -1, *x.shape[1:]).flatten(0, 1)
        return func(folded, *args, **kwargs).unflatten(0, d.shape[:2])

    return x.map(func(x.value, *args, **kwargs), linear)


@rule("transpose permute movedim flip roll repeat expand expand_as contiguous clone to float double sum mean cumsum")
@rule("diagonal select narrow chunk split unbind index_select getitem")
def _linear_map(func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Linear in x, so the same along each direction; one result or several."""
    if not isinstance(x, Jet) or any(isinstance(arg, Jet) for arg in (*args, *kwargs.values())):
        return NotImplemented
    value, shape = func(x.value, *args, **kwargs), x.shape
    along = vmap(lambda d: func(d, *args, **kwargs))
    if isinstance(value, Tensor):
        return x.map(value, lambda d: along(d.expand(-1, *shape)))
    firsts = cache(lambda: along(x.first().expand(-1, *shape)))
    seconds = [None] * len(value) if x.second is None else along(x.second.expand(-1, *shape))
    return type(value)(
        Jet(v, partial(lambda n: firsts()[n], n), s) for n, (v, s) in enumerate(zip(value, seconds, strict=True))
    )


@rule("cat stack")
def _join(func: Any, parts: Any, dim: int = 0) -> Any:
    """What is not a Jet has derivatives 0."""
    value, along = func(values(list(parts)), dim), dim if dim < 0 else dim + 1
    moving = [part for part in parts if isinstance(part, Jet)]

    def derivative(order: int) -> Any:
        given = [part.first() if order == 1 else part.second for part in moving]
        D = max((len(d) for d in given if d is not None), default=0)
        if D == 0:
            return None
        found = dict(zip(map(id, moving), given, strict=True))
        each = [(part, found.get(id(part))) for part in parts]
        return func([value.new_zeros(()).expand(D, *p.shape) if d is None else d.expand(D, *p.shape)
                     for p, d in each], along)  # fmt: skip

    return Jet(value, lambda: derivative(1), derivative(2))


@rule("where")
def _where(func: Any, condition: Any, a: Any = None, b: Any = None) -> Any:
    if isinstance(condition, Jet):
        return NotImplemented
    value = func(condition, values(a), values(b))

    def derivative(order: int) -> Any:
        da, db = (_derivative(x, order, value.dim()) if isinstance(x, Jet) else None for x in (a, b))
        if da is None and db is None:
            return None
        zero = value.new_zeros(())
        return torch.where(condition, zero if da is None else da, zero if db is None else db)

    return Jet(value, lambda: derivative(1), derivative(2))


@rule("pad")
def _pad(func: Any, x: Jet, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    def linear(d: Tensor) -> Tensor:
        return vmap(lambda d: func(d, pad, mode, 0.0 if mode == "constant" else None))(d.expand(-1, *x.shape))

    return x.map(func(x.value, pad, mode, value), linear)


@rule("masked_fill")
def _masked_fill(func: Any, x: Any, mask: Tensor, value: Any) -> Any:
    if not isinstance(x, Jet) or isinstance(value, Jet):
        return NotImplemented
    return x.map(func(x.value, mask, value), lambda d: d.masked_fill(mask, 0))


@rule("dropout dropout1d dropout2d dropout3d")
def _dropout(func: Any, x: Any, p: float = 0.5, training: bool = True) -> Any:
    """One mask for the value and both derivatives."""
    return x * func(torch.ones_like(x.value), p, True) if training else x


def _derivative(x: Any, order: int, dim: int) -> Any:
    """f, f' or f'' as a term of an expression of `dim` dimensions, [D, 1, .., *S]; None is zero."""
    if order == 0:
        d = values(x)
        return d.unsqueeze(0) if isinstance(d, Tensor) and d.dim() == dim else d
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
        u, v = (_derivative(x, order, value.dim()) for x, order in ((a, m), (b, n)))
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


@rule("glu")
def _glu(func: Any, x: Any, dim: int = -1) -> Any:
    a, b = x.chunk(2, dim)
    return a * torch.sigmoid(b)
