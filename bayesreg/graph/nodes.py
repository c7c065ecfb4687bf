"""What a node of a traced graph is."""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

RELABELLED = {"detach", "alias", "view", "expand", "t", "_unsafe_view"}  # the same numbers in the same memory


def operation(node: fx.Node) -> str:
    """The operation, without namespace and overload: "add"; "" where it is not one of PyTorch's."""
    target = node.target
    return target._schema.name.partition("::")[2] if isinstance(target, OpOverload) else ""


def alike(a: fx.Node, b: fx.Node) -> bool:
    """Whether both hold one tensor each, of the same shape, type and layout."""
    x, y = a.meta.get("val"), b.meta.get("val")
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        return False
    return (x.shape, x.dtype, x.stride()) == (y.shape, y.dtype, y.stride())


def mutates(node: fx.Node) -> bool:
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def draws(node: fx.Node) -> bool:
    return isinstance(node.target, OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags


def is_elementwise(node: fx.Node) -> bool:
    return "fresh" in node.meta or torch.Tag.pointwise in getattr(node.target, "tags", ())


def is_view(node: fx.Node) -> bool:
    returns = node.target._schema.returns if isinstance(node.target, OpOverload) else []
    return any(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def is_fresh(node: fx.Node) -> bool:
    """Whether the node's memory is its own, shared with no other node."""
    if not isinstance(node.target, OpOverload):
        return "fresh" in node.meta
    return not is_view(node) and not mutates(node) and operation(node) not in RELABELLED
