"""A function of tensors as one flat graph of operations, without the Python that made them.

`make_fx` runs the function once and writes down its tensor operations. Much of what a probabilistic program does on
every step comes out the same on every step (folding.py), and much of its time goes into asking for memory (memory.py)
and into copying it (parts.py); `simplify` keeps the rest. Nothing is approximated: each rewriting leaves the numbers as
they are. What comes of it (program.py) serves other weights and other numbers of the prior (number.py) too, wherever
the function is the same (identity.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx

from bayesreg.graph.agreement import distance, some
from bayesreg.graph.folding import foldable, folded_graph, unchanged, values_of
from bayesreg.graph.identity import identity
from bayesreg.graph.memory import in_place, keep
from bayesreg.graph.nodes import is_elementwise, operation
from bayesreg.graph.number import Numbers, of_numbers
from bayesreg.graph.parts import by_parts
from bayesreg.graph.program import Program, Programs
from bayesreg.graph.reasons import AtMost, attributes, reason, refuse_own_generators

MOST = 20_000  # operations: tracing and simplifying them takes 10 to 20 s

__all__ = ["Numbers", "Program", "Programs", "attributes", "distance", "identity", "of_numbers", "reason", "simplify"]
__all__ += ["some", "trace"]


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


def simplify(traced: fx.GraphModule, fixed: int, given: int = 0, numbers: Numbers | None = None) -> Program:
    """The same function of other inputs: it is called with those that follow the first ones, to which it is bound.

    The first `fixed` inputs may be written to, between calls and by the graph itself (BatchNorm's running statistics),
    but not replaced; the `given` ones that follow stay as they are, and so do the `numbers`. Views of the former, what
    follows from the latter and what depends on no input at all are made once, when it is bound.
    """
    nodes = list(traced.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    made = {id(constant): made for constant, made in (numbers.tensors if numbers else ())}
    attributes = {node: getattr(traced, str(node.target)) for node in nodes if node.op == "get_attr"}
    stays = {*inputs[fixed : fixed + given], *(node for node, value in attributes.items() if id(value) in made)}
    folded, constant = foldable(traced.graph, inputs[:fixed], stays)
    values = values_of(traced, constant, stays)

    graph = fx.Graph()
    copies = {node: _input(graph, node) for node in inputs[fixed + given :]}
    rest = [node for node in nodes if node not in folded and node.op != "placeholder"]
    needed = [node for node in dict.fromkeys(n for node in rest for n in node.all_input_nodes) if node in folded]
    copies |= {node: _input(graph, node) for node in needed}
    for node in rest:
        same = unchanged(node, {n: values[n] for n in node.all_input_nodes if n in values})
        copies[node] = graph.node_copy(node, copies.__getitem__) if same is None else copies[same]
    graph.eliminate_dead_code()
    in_place(graph)
    by_parts(graph)
    thinned = [node in constant and all(map(is_elementwise, copies[node].users)) for node in needed]
    kept = keep(graph)
    _direct(graph)

    first = [*inputs[: fixed + given], *sorted(attributes, key=lambda node: id(attributes[node]) in made)]
    before = folded_graph(first, [node for node in nodes if node in folded], needed)
    return Program(
        folded=_code(before),
        each=_code(graph),
        tensors=[value.detach().clone() for value in attributes.values() if id(value) not in made],
        numbers=[(made[id(value)], value) for value in attributes.values() if id(value) in made],
        thinned=thinned,
        kept=kept,
        ties=numbers.ties if numbers else [],
        nodes=len(nodes),
    )


def _code(graph: fx.Graph) -> Callable[..., Any]:
    """The code alone: the graph holds a tensor a node."""
    return partial(type(fx.GraphModule({}, graph)).forward, None)


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
