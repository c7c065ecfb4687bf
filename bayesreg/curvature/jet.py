"""A value with its first and second derivatives along D directions, in place of a tensor.

For a function F of f, along each direction:

    (F∘f)' = DF(f)[f']        (F∘f)'' = D²F(f)[f', f'] + DF(f)[f'']

rules.py writes this out for the functions that networks are made of. Nested forward mode on the one function
at hand serves all others, save those whose second derivative torch gets wrong (pytorch issue 198017).
"""

import logging
import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

log = logging.getLogger(__name__)

with warnings.catch_warnings():  # torch.func compiles its formulas on its first call, by deprecated means
    for kind in (DeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", kind)
    jvp(torch.sin, (torch.zeros(()),), (torch.ones(()),))


def _names(*lines: str) -> set[str]:
    return set(" ".join(lines).split())


# A rule is func, *args, **kwargs → result; functions go by their name, without underscores at its ends.
RULES: dict[str, Callable[..., Any]] = {}
CONSTANT = _names("detach sign floor ceil round bernoulli")
PIECEWISE = _names(
    "relu relu6 leaky_relu prelu rrelu threshold hardtanh hardsigmoid hardshrink softshrink abs absolute"
)
WRONG = _names(
    "batch_norm native_batch_norm instance_norm layer_norm native_layer_norm det logdet slogdet solve inv",
    "inverse pinv pinverse cumprod cholesky_inverse cholesky_solve householder_product",
)


@cache
def say(what: str) -> None:
    """Once."""
    log.warning("curvature: %s", what)


class Jet:
    """f and its derivatives: value [*S]; first() and second broadcast to [D, *S]; second None is zero.

    It stands in for a tensor in any module's forward. first() waits until asked: last layers never need it.
    """

    def __init__(self, value: Tensor, first: Callable[[], Tensor], second: Tensor | None = None) -> None:
        self.value, self.first, self.second = value, cache(first), second

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _apply(func, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        attribute = getattr(self.value, name)
        if isinstance(attribute, Tensor) and name != "data":  # T, mT, real
            return RULES["transpose"](lambda value: getattr(value, name), self)
        return partial(_apply, getattr(Tensor, name), self) if callable(attribute) else attribute

    def __len__(self) -> int:
        return len(self.value)

    def map(self, value: Tensor, linear: Callable[[Tensor], Tensor]) -> "Jet":
        """An affine function of this Jet, from its value and its linear part on the derivatives."""
        return Jet(value, lambda: linear(self.first()), None if self.second is None else linear(self.second))


def _operator(method: str) -> Any:
    return lambda self, *args: _apply(getattr(Tensor, method), self, *args)


for _name in _names(
    "add radd sub rsub mul rmul truediv rtruediv pow rpow matmul rmatmul neg abs getitem eq ne gt ge lt le"
):
    setattr(Jet, f"__{_name}__", _operator(f"__{_name}__"))
for _name, _method in {"iadd": "add_", "isub": "sub_", "imul": "mul_", "itruediv": "div_"}.items():
    setattr(Jet, f"__{_name}__", _operator(_method))


def values(tree: Any) -> Any:
    """`tree` with the value of every Jet in its place."""
    return tree_map_only(Jet, lambda jet: jet.value, tree)


def _apply(func: Any, /, *args: Any, **kwargs: Any) -> Any:
    """func on Jets: by its rule, or by nested forward mode; in place where func says so."""
    name = func.__name__.strip("_")
    args = (kwargs.pop("input"), *args) if "input" in kwargs else args
    inplace = kwargs.pop("inplace", False) or func.__name__[0] != "_" == func.__name__[-1]
    if name in PIECEWISE:
        raise ValueError(f"{name} has zero curvature almost everywhere; use SiLU, Tanh or GELU instead")
    if name == "setitem" or (inplace and not isinstance(args[0], Jet)):
        raise NotImplementedError(f"{func.__name__} would lose the derivatives of what it writes into a plain tensor")
    if inplace:  # first into a new tensor
        func = next(getattr(space, name) for space in (Tensor, torch, F) if hasattr(space, name))
    target = args[0]
    # Rules get copies: what they compute later must not see a write in place.
    args, kwargs = tree_map_only(Jet, lambda jet: Jet(jet.value, jet.first, jet.second), (args, kwargs))
    if name in CONSTANT or name.startswith("new_") or name.endswith("_like"):
        return func(*values(args), **values(kwargs))
    out = RULES[name](func, *args, **kwargs) if name in RULES else NotImplemented
    if out is NotImplemented:
        out = forward_mode(func, args, kwargs)
    if inplace:
        vars(target).update(vars(out))
    return target if inplace else out


def forward_mode(func: Any, args: Any, kwargs: Any) -> Any:
    """Any function F of Jets, in any arguments and with any outputs, by jvp of jvp along each direction."""
    if func.__name__.removeprefix("linalg_") in WRONG:
        raise NotImplementedError(f"torch's second derivative of {func.__name__} is wrong (pytorch issue 198017)")
    leaves, spec = tree_flatten((args, kwargs))
    jets = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, Jet)}
    at = [jet.value for jet in jets.values()]

    def call(at: list[Tensor]) -> tuple[list[Any], Any]:
        now = dict(zip(jets, at, strict=True))
        args, kwargs = tree_unflatten([now.get(i, leaf) for i, leaf in enumerate(leaves)], spec)
        return tree_flatten(func(*args, **kwargs))

    outs, out_spec = call(at)
    moving = [i for i, out in enumerate(outs) if isinstance(out, Tensor) and out.is_floating_point()]
    if not moving:
        return tree_unflatten(outs, out_spec)
    say(f"no rule for {func.__name__}, which goes by nested forward mode: several times slower")

    def f(at: list[Tensor]) -> list[Tensor]:
        results, _ = call(at)
        return [results[i] for i in moving]

    def df(at: list[Tensor], first: list[Tensor]) -> list[Tensor]:
        return jvp(f, (at,), (first,))[1]

    def d2f(first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
        return jvp(df, (at, first), (first, second))[1]

    def along(derivative: Any, *directions: list[Tensor]) -> list[Tensor]:
        try:
            with sdpa_kernel(SDPBackend.MATH):  # the only attention with derivatives in forward mode
                return vmap(derivative)(*directions)
        except RuntimeError as error:
            what = f"curvature has no rule for {func.__name__}, and torch no second derivative in forward mode"
            raise NotImplementedError(f"{what}; write it in elementary functions ({error})") from error

    def full(derivatives: list[Any], D: int) -> list[Tensor]:
        zero = at[0].new_zeros(())
        pairs = zip(derivatives, at, strict=True)  # contiguous: func may write into its own copies in place
        return [(zero if d is None else d).expand(D, *v.shape).contiguous() for d, v in pairs]

    first, second = [jet.first for jet in jets.values()], [jet.second for jet in jets.values()]
    firsts = cache(lambda: full([make() for make in first], len(first[0]())))
    slopes = cache(lambda: along(partial(df, at), firsts()))
    seconds = along(d2f, firsts(), full(second, len(first[0]())))
    for n, i in enumerate(moving):
        outs[i] = Jet(outs[i], partial(lambda n: slopes()[n], n), seconds[n])
    return tree_unflatten(outs, out_spec)
