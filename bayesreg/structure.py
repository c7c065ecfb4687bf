"""Inputs of any structure: x is one tensor [B, ...], or a tuple or a dict of them.

A network is called as net(x), net(*x) or net(**x). Only this module knows of these three; the parts of x are leaves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

X = Any  # a leaf, or a tuple or a dict of leaves


def leaves(x: X) -> tuple[Any, ...]:
    """The leaves, in their order."""
    return tuple(x.values()) if isinstance(x, dict) else x if isinstance(x, tuple) else (x,)


def form(x: X) -> Any:
    """What distinguishes structures: the keys of a dict, the number of leaves in a tuple, None where x is one leaf."""
    return tuple(x) if isinstance(x, dict) else len(x) if isinstance(x, tuple) else None


def build(form: Any, leaves: Sequence[Any]) -> X:
    """x of that form: the inverse of `leaves`."""
    if form is None:
        return leaves[0]
    return dict(zip(form, leaves, strict=True)) if isinstance(form, tuple) else tuple(leaves)


def mapped(function: Callable[[Any], Any], x: X) -> X:
    """x with function(leaf) in place of each leaf."""
    if isinstance(x, dict):
        return {key: function(leaf) for key, leaf in x.items()}
    return tuple(map(function, x)) if isinstance(x, tuple) else function(x)


def named(x: X, name: str = "x") -> dict[str, Any]:
    """The leaves by their names: x, or x[0] and x[1], or x['ids'] and x['mask']."""
    if form(x) is None:
        return {name: x}
    return {f"{name}[{key!r}]": leaf for key, leaf in (x.items() if isinstance(x, dict) else enumerate(x))}


def size(x: X) -> int:
    """B, the number of examples."""
    return len(leaves(x)[0])


def rows(x: X, index: Any) -> X:
    """The examples at an index [k], in a slice or where a mask is true."""
    return mapped(lambda leaf: leaf[index], x)


def split(x: X, size_: int) -> Iterator[X]:
    """The examples in order, `size_` at a time."""
    of = form(x)
    return (build(of, parts) for parts in zip(*(leaf.split(size_) for leaf in leaves(x)), strict=True))


def arguments(x: X) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a network is called with: positional and keyword arguments."""
    return ((), x) if isinstance(x, dict) else (leaves(x), {})


def call(function: Callable[..., Any], x: X) -> Any:
    """function(x), function(*x) or function(**x)."""
    args, kwargs = arguments(x)
    return function(*args, **kwargs)


def describe(x: X) -> str:
    """Types and shapes, such as float32 [8, 3], or (float32 [8, 3], int64 [8])."""
    if isinstance(x, dict):
        return "{" + ", ".join(f"{key}: {_leaf(leaf)}" for key, leaf in x.items()) + "}"
    return f"({', '.join(map(_leaf, x))})" if isinstance(x, tuple) else _leaf(x)


def refusal(function: Callable[..., Any], x: X) -> str | None:
    """Why the function's arguments do not fit x; None where they do."""
    args, kwargs = arguments(x)
    try:
        taken = inspect.signature(function)
    except ValueError:  # for functions that are not written in Python
        return None
    try:
        taken.bind(*args, **kwargs)
    except TypeError:
        has = f"has keys {', '.join(map(str, x))}" if isinstance(x, dict) else f"is a tuple of {len(args)}"
        return f"takes ({', '.join(taken.parameters)}), x {has if form(x) else 'is one tensor'}"
    return None


def _leaf(leaf: Any) -> str:
    shape = getattr(leaf, "shape", None)
    return repr(leaf) if shape is None else f"{str(leaf.dtype).removeprefix('torch.')} {list(shape)}"
