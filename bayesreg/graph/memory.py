"""Where the results go: over what nobody needs any more, or to memory kept from call to call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from bayesreg.graph.nodes import alike, is_elementwise, is_fresh, operation

COMMUTATIVE = {"add", "mul"}
SAME_ORDER = {"view", "_unsafe_view", "clone"}
LONG = 2**20  # bytes
WITH_OUT = {"abs", "add", "cat", "clamp", "div", "exp", "log", "mul", "neg", "pow", "rsqrt", "sign", "sub", "where"}


def in_place(graph: fx.Graph) -> None:
    """Elementwise operations write over an input that nothing needs afterwards: less memory to allocate and fill."""
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


def keep(graph: fx.Graph) -> list[Tensor]:
    """Long vectors on the CPU are written to memory kept from call to call; returns it, as inputs that come last.

    A density over all weights makes many, and to ask the system for 50 MB, filled with zeros, takes longer than to
    compute them.
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
    cats: dict[fx.Node, Any] = {node: node.args[0] for node in nodes if operation(node) == "cat"}
    sources = {cat: [p if parts.count(p) > 1 else _source(p) for p in parts] for cat, parts in cats.items()}
    begin = {node: min(place[source] for source in (node, *sources.get(node, ()))) for node in nodes}
    kept: dict[fx.Node, Tensor] = {}
    busy: dict[fx.Node, int] = {}
    for node in sorted(filter(_is_long_vector, nodes), key=begin.__getitem__):
        free = [one for one in kept if busy[one] < begin[node] and alike(one, node)] or [_input(graph, node)]
        kept.setdefault(free[0], torch.empty(node.meta["val"].shape, dtype=node.meta["val"].dtype))
        busy[free[0]] = until[node]
        node.kwargs = {**node.kwargs, "out": free[0]}
    values = list(kept.values())
    for cat, parts in sources.items():
        out: Any = cat.kwargs.get("out")
        if out is not None:
            values += _by_parts(graph, cat, parts, kept[out])
    return values


def _input(graph: fx.Graph, like: fx.Node) -> fx.Node:
    """One more input, which comes last."""
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    with graph.inserting_after(inputs[-1]):
        node = graph.placeholder(f"memory_{len(inputs)}")
    node.meta["val"] = like.meta["val"]
    return node


def _source(node: fx.Node) -> fx.Node:
    """Where these numbers, in this order, were computed."""
    while operation(node) in SAME_ORDER and len(node.users) == 1:
        node = node.args[0]  # type: ignore[assignment]
    return node


def _by_parts(graph: fx.Graph, cat: fx.Node, sources: list[fx.Node], whole: Tensor) -> list[Tensor]:
    """Each part of a long vector goes to its place as soon as it is there, and its own memory is free at once.

    Returns the places, views of the whole, as inputs that come last.
    """
    lengths = [source.meta["val"].numel() for source in sources]
    places = [part.view(s.meta["val"].shape) for part, s in zip(whole.split(lengths), sources, strict=True)]
    cat.replace_all_uses_with(cat.kwargs["out"])  # type: ignore[arg-type]
    parts: Any = cat.args[0]
    graph.erase_node(cat)
    for part, source in zip(parts, sources, strict=True):
        while part is not source:
            part, relabelled = part.args[0], part
            graph.erase_node(relabelled)
        target = _input(graph, source)
        if operation(source) == "mm" and len(source.users) == 1:
            source.kwargs = {"out": target}
            continue
        with graph.inserting_after(target if source.op == "placeholder" else source):
            graph.call_function(torch.ops.aten.copy_.default, (target, source))
    return places


def _is_long_vector(node: fx.Node) -> bool:
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.device.type != "cpu" or value.dim() != 1:
        return False
    return value.numel() * value.element_size() >= LONG and operation(node) in WITH_OUT


def thin(value: Any) -> Any:
    """A constant of one number everywhere as that number, seen in the constant's shape: for elementwise operations."""
    if not isinstance(value, Tensor) or value.numel() < 2:
        return value
    first = value[(0,) * value.dim()]
    return first.clone().expand(value.shape) if bool((value == first).all()) else value
