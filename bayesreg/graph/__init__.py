"""A function of tensors as one flat graph of operations, without the Python that made them.

`make_fx` runs the function once and writes down its tensor operations. Much of what a probabilistic program does on
every step comes out the same on every step (once.py), and much of its time goes into asking for memory (memory.py) and
into copying it (parts.py); `simplify` keeps the rest. Nothing is approximated: each rewriting leaves the numbers as
they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx

from bayesreg.graph.memory import in_place, keep, thin
from bayesreg.graph.nodes import is_elementwise, operation
from bayesreg.graph.once import done_once, unchanged
from bayesreg.graph.parts import by_parts
from bayesreg.graph.reasons import AtMost, attributes, reason, refuse_own_generators

MOST = 20_000  # operations: tracing and simplifying them takes 10 to 20 s

__all__ = ["attributes", "reason", "simplify", "trace"]


def trace(function: Callable[..., list[Tensor]], inputs: Sequence[Tensor]) -> fx.GraphModule:
    """The tensor operations of `function` on inputs of these shapes; those without effect are left out.

    Nothing is computed, and no memory filled: what the function decides by the values of a tensor raises. So does a
    random generator of its own, which the graph would hold as it is now, and what would take minutes to trace.
    """

    def limited(*inputs: Tensor) -> list[Tensor]:
        with AtMost(MOST):
            return function(*inputs)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what would be slow if it were computed
        traced = make_fx(limited, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
    traced.graph.eliminate_dead_code()
    refuse_own_generators(traced.graph)
    traced.recompile()
    return traced


def simplify(traced: fx.GraphModule, fixed: Sequence[Tensor]) -> Callable[..., list[Tensor]]:
    """The same function of the inputs that follow the `fixed` ones.

    The fixed tensors may be written to, between calls and by the graph itself (BatchNorm's running statistics), but
    not replaced: views of them are made here, once, and so is what depends on no input at all.
    """
    nodes = list(traced.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    once, constant = done_once(traced, dict(zip(inputs, fixed, strict=False)))
    graph = fx.Graph()
    copies = {node: _input(graph, node) for node in inputs if node not in once}
    rest = [node for node in nodes if node not in once and node.op != "placeholder"]
    needed = [node for node in dict.fromkeys(n for node in rest for n in node.all_input_nodes) if node in once]
    copies |= {node: _input(graph, node) for node in needed}
    for node in rest:
        same = unchanged(node, {n: once[n] for n in node.all_input_nodes if n in constant})
        copies[node] = graph.node_copy(node, copies.__getitem__) if same is None else copies[same]
    graph.eliminate_dead_code()
    in_place(graph)
    by_parts(graph)
    values = [once[node] for node in needed]
    for place, node in enumerate(needed):
        if node in constant and all(map(is_elementwise, copies[node].users)):
            values[place] = thin(values[place])
    values += keep(graph)
    _direct(graph)
    forward = type(fx.GraphModule({}, graph)).forward  # the code alone: the graph holds a tensor a node
    return lambda *moving: forward(None, *moving, *values)


def _input(graph: fx.Graph, like: fx.Node) -> fx.Node:
    node = graph.placeholder(like.name)
    node.meta = dict(like.meta)
    return node


def _direct(graph: fx.Graph) -> None:
    """Call PyTorch's own bindings, which take half the time of the operator objects that tracing leaves.

    But they refuse the indices [None, i] of h[:, i].
    """
    for node in graph.nodes:
        if isinstance(node.target, OpOverload) and not any(isinstance(a, list) and None in a for a in node.args):
            own = operation(node)
            method = getattr(torch._C.TensorBase, own, node.target)
            node.target = getattr(torch._C._VariableFunctions, own, None) or method
