"""A long vector is assembled part by part: the gradient of all weights from the gradient of each."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from bayesreg.graph.memory import is_long_vector
from bayesreg.graph.nodes import operation

SAME_ORDER = {"view", "_unsafe_view", "clone"}
aten = torch.ops.aten


def by_parts(graph: fx.Graph) -> None:
    """Copy each part of a long `cat` to its place as soon as it is computed, which frees its own memory at once.

    Where the whole is only added to an earlier vector, such as a prior's gradient, each part is added to that; a
    product, such as θ/σ², is added at the end, when the activations' memory is free. The numbers are the same; the
    weights pass through memory once or twice less.
    """
    for cat in [node for node in graph.nodes if operation(node) == "cat" and is_long_vector(node)]:
        parts: Any = cat.args[0]
        if len(set(parts)) == len(parts):
            _take_apart(graph, cat, parts)


def _take_apart(graph: fx.Graph, cat: fx.Node, parts: list[fx.Node]) -> None:
    place = {node: number for number, node in enumerate(graph.nodes)}
    sources = list(map(_source, parts))
    first = min(sources, key=place.__getitem__)
    whole, put = _added_to(cat), aten.add_.Tensor
    if whole is not None and place[whole] < place[first] and not _is_product(whole):
        (total,) = cat.users
        total.replace_all_uses_with(whole)
        graph.erase_node(total)
    else:
        if whole is not None and _is_product(whole):
            _add_product(graph, cat, whole)
        whole, put = _empty(graph, cat, first), aten.copy_.default
    cat.replace_all_uses_with(whole)
    graph.erase_node(cat)
    with graph.inserting_after(whole):
        shares = graph.call_function(aten.split_with_sizes.default, (whole, [s.meta["val"].numel() for s in sources]))
    last = shares
    for number, (part, source) in enumerate(zip(parts, sources, strict=True)):
        while part is not source:
            part, relabelled = part.args[0], part  # type: ignore[assignment]
            graph.erase_node(relabelled)
        with graph.inserting_after(last):
            share = graph.call_function(operator.getitem, (shares, number))
        with graph.inserting_after(share):
            last = graph.call_function(aten.view.default, (share, list(source.meta["val"].shape)))
        if put is aten.copy_.default and operation(source) == "mm" and len(source.users) == 0:
            source.kwargs = {"out": last}
            continue
        with graph.inserting_after(last if source.op == "placeholder" else source):
            graph.call_function(put, (last, source))


def _source(node: fx.Node) -> fx.Node:
    """The node where these numbers were computed, in this order."""
    while operation(node) in SAME_ORDER and len(node.users) == 1:
        node = node.args[0]  # type: ignore[assignment]
    return node


def _added_to(cat: fx.Node) -> fx.Node | None:
    """The vector to which `cat` is added in place, if it is used for nothing else."""
    total = next(iter(cat.users), None)
    if len(cat.users) != 1 or total is None or total.target is not torch._C.TensorBase.add_:
        return None
    onto = total.args[0]
    return onto if isinstance(onto, fx.Node) and onto is not cat and not total.kwargs else None


def _is_product(node: fx.Node) -> bool:
    return operation(node) == "mul" and len(node.all_input_nodes) == 2 and len(node.users) == 1


def _add_product(graph: fx.Graph, cat: fx.Node, product: fx.Node) -> None:
    """cat += a b in one pass, in place of product = a b and product += cat."""
    (total,) = cat.users
    total.target, total.args = torch._C.TensorBase.addcmul_, (cat, *product.args)
    graph.erase_node(product)


def _empty(graph: fx.Graph, cat: fx.Node, before: fx.Node) -> fx.Node:
    value = cat.meta["val"]
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    with graph.inserting_after(inputs[-1]) if before in inputs else graph.inserting_before(before):
        node = graph.call_function(
            aten.empty.memory_format, ([value.numel()],), {"dtype": value.dtype, "device": value.device}
        )
    node.meta["val"] = value
    return node
