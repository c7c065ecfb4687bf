"""Where the results go: over what is no longer needed, or into memory kept between calls."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from bayesreg.graph.nodes import alike, is_elementwise, is_fresh, operation

COMMUTATIVE = {"add", "mul"}
LONG = 2**20  # bytes
WITH_OUT = {"abs", "add", "cat", "clamp", "div", "exp", "log", "mul", "neg", "pow", "rsqrt", "sgn", "sign"}
WITH_OUT |= {"sub", "where"}


def in_place(graph: fx.Graph) -> None:
    """Let elementwise operations overwrite an input that nothing needs afterwards: less memory to allocate and fill."""
    place = {node: number for number, node in enumerate(graph.nodes)}

    def free(node: Any, at: fx.Node) -> bool:
        return (
            isinstance(node, fx.Node)
            and is_fresh(node)
            and all(is_fresh(user) for user in node.users)
            and max(place[user] for user in node.users) == place[at]
            and alike(node, at)
        )

    for node in graph.nodes:
        if not is_elementwise(node):
            continue
        method = getattr(torch._C.TensorBase, operation(node) + "_", None)
        if method is None or not node.args:
            continue
        swappable = operation(node) in COMMUTATIVE and not node.kwargs
        if swappable and not free(node.args[0], node) and free(node.args[1], node):
            node.args = node.args[::-1]
        if free(node.args[0], node):
            node.meta["fresh"] = True
            node.target = method


def keep(graph: fx.Graph) -> list[tuple[torch.Size, torch.dtype]]:
    """Write long vectors on the CPU to memory kept between calls, inputs that come last; returns its shapes.

    A density over all weights makes many, and getting 50 MB filled with zeros from the system takes longer than
    computing them.
    """
    nodes = list(graph.nodes)
    place = {node: number for number, node in enumerate(nodes)}
    owner: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        source = next(iter(node.all_input_nodes), None)
        own = source is None or ("fresh" not in node.meta and is_fresh(node))
        owner[node] = node if own else owner[source]  # type: ignore[index]
    until = dict.fromkeys(nodes, 0)
    for node in nodes:
        until[owner[node]] = max([until[owner[node]], *(place[user] for user in node.users)])
    kept: list[fx.Node] = []
    busy: dict[fx.Node, int] = {}
    last_input = [node for node in nodes if node.op == "placeholder"][-1]
    for node in nodes:
        if not (is_long_vector(node) and operation(node) in WITH_OUT):
            continue
        free = [one for one in kept if busy[one] < place[node] and alike(one, node)]
        if not free:
            with graph.inserting_after(kept[-1] if kept else last_input):
                free = [graph.placeholder(f"kept_{len(kept)}")]
            free[0].meta["val"] = node.meta["val"]
            kept += free
        busy[free[0]] = until[node]
        node.kwargs = {**node.kwargs, "out": free[0]}
    return [(node.meta["val"].shape, node.meta["val"].dtype) for node in kept]


def is_long_vector(node: fx.Node) -> bool:
    """Whether it is one, on the CPU."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.device.type != "cpu" or value.dim() != 1:
        return False
    return value.numel() * value.element_size() >= LONG


def thin(value: Any) -> Any:
    """A constant with the same number everywhere, as that number expanded to its shape: for elementwise operations."""
    if not isinstance(value, Tensor) or value.numel() < 2:
        return value
    first = value[(0,) * value.dim()]
    return first.clone().expand(value.shape) if bool((value == first).all()) else value
