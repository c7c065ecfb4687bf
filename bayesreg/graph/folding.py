"""Constant folding: what comes out the same on every call, and what changes nothing."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import Tensor, fx

from bayesreg.graph.nodes import RELABELLED, alike, draws, is_view, mutates, operation

Values = dict[fx.Node, Any]
OF_SHAPE = {"ones_like", "zeros_like", "full_like", "new_ones", "new_zeros", "new_full"}  # whatever the input's values
NEUTRAL = {"add": 0, "sub": 0, "mul": 1, "div": 1, "pow": 1}


def foldable(
    graph: fx.Graph, fixed: Collection[fx.Node], given: Collection[fx.Node]
) -> tuple[set[fx.Node], set[fx.Node]]:
    """What comes out the same on every call, and what of it is constant, whatever is written to the inputs.

    fixed: inputs that are written to between calls. given: nodes whose values stay as they are once they are given.
    ValueError for a graph that writes to a tensor which is no input.
    """
    folded, constant, written = {*fixed, *given}, set(given), _written(graph)
    for node in graph.nodes:
        known, stays = (all(n in found for n in node.all_input_nodes) for found in (folded, constant))
        if node.op == "get_attr" and node in written:
            raise ValueError("it writes to a tensor that is no buffer: give it to register_buffer")
        if node.op not in ("get_attr", "call_function") or node in written or draws(node):
            continue
        if operation(node) in OF_SHAPE or stays:
            constant.add(node)
        elif not (known and (is_view(node) or node.target is operator.getitem)):
            continue
        folded.add(node)
    return folded, constant


def values_of(traced: fx.GraphModule, constant: Collection[fx.Node], given: Collection[fx.Node]) -> Values:
    """The values of those of the constants that do not depend on what is given."""
    values: Values = {}
    for node in traced.graph.nodes:
        if node in constant and node not in given:
            if node.op == "get_attr":
                values[node] = getattr(traced, str(node.target))
            elif operation(node) in OF_SHAPE or all(n in values for n in node.all_input_nodes):
                values[node] = _run(node, values)
    return values


def _run(node: fx.Node, values: Values) -> Any:
    """The value of one node; of an input that is not known only the shape counts."""

    def value(n: fx.Node) -> Any:
        if n in values:
            return values[n]
        like = n.meta["val"]
        return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device=like.device)

    args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), value)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def folded_graph(inputs: Iterable[fx.Node], folded: Iterable[fx.Node], needed: Iterable[fx.Node]) -> fx.Graph:
    """The graph that makes the `needed` ones of these nodes of the inputs; of any other only the shape counts."""
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in folded:
        if node in copies:
            continue
        for n in node.all_input_nodes:
            if n not in copies:
                like = n.meta["val"]
                how = {"dtype": like.dtype, "device": like.device}
                copies[n] = graph.call_function(torch.empty_strided, (like.shape, like.stride()), how)
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output([copies[node] for node in needed])
    graph.eliminate_dead_code()
    return graph


def _written(graph: fx.Graph) -> set[fx.Node]:
    """The operations that write to memory, and those whose fresh memory is written to later."""
    root: dict[fx.Node, fx.Node] = {}
    found: set[fx.Node] = set()
    for node in graph.nodes:
        source = next(iter(node.all_input_nodes), None)
        shares = source is not None and (mutates(node) or is_view(node) or node.target is operator.getitem)
        root[node] = root[source] if shares else node  # type: ignore[index]
        if mutates(node):
            found |= {node} | {root[n] for n in node.all_input_nodes}
    return found


def unchanged(node: fx.Node, constants: Values) -> fx.Node | None:
    """The input that this operation returns unchanged, if it does: θ − 0, a view of its own shape, a second t()."""
    name = operation(node)
    if not node.args or not isinstance(node.args[0], fx.Node) or mutates(node):
        return None
    first = node.args[0]
    if name == "t" and first.op == "call_function" and operation(first) == "t":
        return first.args[0]  # type: ignore[return-value]
    same = alike(node, first)
    if same and (name in RELABELLED - {"t"} or (name == "sum" and not first.meta["val"].shape)):
        return first
    if same and name in NEUTRAL and len(node.args) == 2:
        other: Any = node.args[1]
        zeros = isinstance(constants.get(other), Tensor) and not bool(constants[other].any())
        if (NEUTRAL[name] == 0 and zeros) or (isinstance(other, int | float) and other == NEUTRAL[name]):
            return first
    return None
