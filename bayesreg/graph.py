"""A function of tensors as one flat graph of operations, without the Python that made them.

`make_fx` runs the function once and writes down its tensor operations. Much of what a probabilistic program does on
every step comes out the same on every step; `simplify` keeps the rest. Nothing is approximated: each rewriting
leaves the numbers as they are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx

Values = dict[fx.Node, Any]
OF_SHAPE = {
    "ones_like",
    "zeros_like",
    "full_like",
    "new_ones",
    "new_zeros",
    "new_full",
}  # whatever their input's values
RELABELLED = {"detach", "alias", "view", "expand", "t", "_unsafe_view"}  # the same numbers in the same memory
NEUTRAL = {"add": 0, "sub": 0, "mul": 1, "div": 1, "pow": 1}
COMMUTATIVE = {"add", "mul"}
LONG = 2**20  # bytes
WITH_OUT = {"abs", "add", "cat", "clamp", "div", "exp", "log", "mul", "neg", "pow", "rsqrt", "sign", "sub", "where"}


def trace(function: Callable[..., list[Tensor]], inputs: Sequence[Tensor]) -> fx.GraphModule:
    """The tensor operations of `function` on inputs of these shapes; those without effect are left out."""
    traced = make_fx(function)(*inputs)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


def simplify(traced: fx.GraphModule, fixed: Sequence[Tensor]) -> Callable[..., list[Tensor]]:
    """The same function of the inputs that follow the `fixed` ones.

    The fixed tensors may be written to, between calls and by the graph itself (BatchNorm's running statistics), but
    not replaced: views of them are made here, once, and so is what depends on no input at all.
    """
    nodes = list(traced.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    once, constant = _once(traced, dict(zip(inputs, fixed, strict=False)))
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs if node not in once}
    rest = [node for node in nodes if node not in once and node.op != "placeholder"]
    needed = [node for node in dict.fromkeys(n for node in rest for n in node.all_input_nodes) if node in once]
    copies |= {node: graph.placeholder(node.name) for node in needed}
    for node in rest:
        same = _same(node, {n: once[n] for n in node.all_input_nodes if n in constant})
        copies[node] = graph.node_copy(node, copies.__getitem__) if same is None else copies[same]
    graph.eliminate_dead_code()
    _in_place(graph)
    kept = _keep(graph)
    _direct(graph)
    values = [once[node] for node in needed] + kept
    forward = fx.GraphModule({}, graph).forward
    return lambda *moving: forward(*moving, *values)


def _once(traced: fx.GraphModule, values: Values) -> tuple[Values, set[fx.Node]]:
    """What is the same on every call, with its value, from the fixed inputs' values; and which of it is constant."""
    constant: set[fx.Node] = set()
    written = _written(traced.graph)
    for node in traced.graph.nodes:
        known = all(n in values for n in node.all_input_nodes)
        if node.op == "get_attr":
            values[node] = getattr(traced, str(node.target))
            constant.add(node)
        elif node.op != "call_function" or node in written or _draws(node):
            continue
        elif _name(node) in OF_SHAPE or (known and all(n in constant for n in node.all_input_nodes)):
            values[node] = _uniform(_run(node, values))
            constant.add(node)
        elif known and (_is_view(node) or node.target is operator.getitem):
            values[node] = _run(node, values)
    return values, constant


def _run(node: fx.Node, values: Values) -> Any:
    """The value of one node; of an input that is not known only the shape counts."""

    def value(n: fx.Node) -> Any:
        if n in values:
            return values[n]
        like = n.meta["val"]
        return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device=like.device)

    args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), value)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _uniform(value: Any) -> Any:
    """A constant of one number everywhere is kept as that number, seen in the constant's shape."""
    if not isinstance(value, Tensor) or value.numel() < 2:
        return value
    first = value[(0,) * value.dim()]
    return first.clone().expand(value.shape) if bool((value == first).all()) else value


def _written(graph: fx.Graph) -> set[fx.Node]:
    """The operations that write to memory, and those whose fresh memory is written to later."""
    root: dict[fx.Node, fx.Node] = {}
    found: set[fx.Node] = set()
    for node in graph.nodes:
        source = next(iter(node.all_input_nodes), None)
        shares = source is not None and (_mutates(node) or _is_view(node) or node.target is operator.getitem)
        root[node] = root[source] if shares else node  # type: ignore[index]
        if _mutates(node):
            found |= {node} | {root[n] for n in node.all_input_nodes}
    return found


def _same(node: fx.Node, constants: Values) -> fx.Node | None:
    """The input that this operation returns unchanged, if it does: θ − 0, a view of its own shape, a second t()."""
    name = _name(node)
    if not node.args or not isinstance(node.args[0], fx.Node) or _mutates(node):
        return None
    first = node.args[0]
    if name == "t" and first.op == "call_function" and _name(first) == "t":
        return first.args[0]  # type: ignore[return-value]
    alike = _like(node, first)
    if alike and (name in RELABELLED - {"t"} or (name == "sum" and not first.meta["val"].shape)):
        return first
    if alike and name in NEUTRAL and len(node.args) == 2:
        other: Any = node.args[1]
        zeros = isinstance(constants.get(other), Tensor) and not bool(constants[other].any())
        if (NEUTRAL[name] == 0 and zeros) or (isinstance(other, int | float) and other == NEUTRAL[name]):
            return first
    return None


def _in_place(graph: fx.Graph) -> None:
    """Elementwise operations write over an input that nothing needs afterwards: less memory to allocate and fill."""
    place = {node: number for number, node in enumerate(graph.nodes)}

    def free(node: Any, at: fx.Node) -> bool:
        return (
            isinstance(node, fx.Node)
            and _is_fresh(node)
            and all(_is_fresh(user) for user in node.users)
            and max(place[user] for user in node.users) == place[at]
            and _like(node, at)
        )

    for node in graph.nodes:
        if node.op != "call_function" or torch.Tag.pointwise not in getattr(node.target, "tags", ()):
            continue
        method = getattr(torch._C.TensorBase, _name(node) + "_", None)
        if method is None or not node.args:
            continue
        if _name(node) in COMMUTATIVE and not node.kwargs and not free(node.args[0], node) and free(node.args[1], node):
            node.args = node.args[::-1]
        if free(node.args[0], node):
            node.meta["fresh"] = True
            node.target = method


def _keep(graph: fx.Graph) -> list[Tensor]:
    """Long vectors on the CPU are written to memory kept from call to call; returns it, as inputs that come last.

    A density over all weights makes many, and to ask the system for 50 MB, filled with zeros, takes longer than to
    compute them.
    """
    nodes = list(graph.nodes)
    place = {node: number for number, node in enumerate(nodes)}
    owner: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        source = next(iter(node.all_input_nodes), None)
        own = source is None or ("fresh" not in node.meta and _is_fresh(node))
        owner[node] = node if own else owner[source]  # type: ignore[index]
    until = dict.fromkeys(nodes, 0)
    for node in nodes:
        until[owner[node]] = max([until[owner[node]], *(place[user] for user in node.users)])
    kept: list[fx.Node] = []
    busy: dict[fx.Node, int] = {}
    last_input = [node for node in nodes if node.op == "placeholder"][-1]
    for node in nodes:
        if not _is_long_vector(node):
            continue
        free = [one for one in kept if busy[one] < place[node] and _like(one, node)]
        if not free:
            with graph.inserting_after(kept[-1] if kept else last_input):
                free = [graph.placeholder(f"kept_{len(kept)}")]
            free[0].meta["val"] = node.meta["val"]
            kept += free
        busy[free[0]] = until[node]
        node.kwargs = {**node.kwargs, "out": free[0]}
    return [torch.empty(node.meta["val"].shape, dtype=node.meta["val"].dtype) for node in kept]


def _is_long_vector(node: fx.Node) -> bool:
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.device.type != "cpu" or value.dim() != 1:
        return False
    return value.numel() * value.element_size() >= LONG and _name(node) in WITH_OUT


def _direct(graph: fx.Graph) -> None:
    """Call PyTorch's own bindings, which take half the time of the operator objects that tracing leaves."""
    for node in graph.nodes:
        if isinstance(node.target, OpOverload):
            name = _name(node)
            node.target = getattr(torch._C._VariableFunctions, name, None) or getattr(
                torch._C.TensorBase, name, node.target
            )


def _name(node: fx.Node) -> str:
    target = node.target
    return target._schema.name.partition("::")[2] if isinstance(target, OpOverload) else ""


def _like(a: fx.Node, b: fx.Node) -> bool:
    """Whether both hold one tensor each, of the same shape, type and layout."""
    x, y = a.meta.get("val"), b.meta.get("val")
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        return False
    return (x.shape, x.dtype, x.stride()) == (y.shape, y.dtype, y.stride())


def _mutates(node: fx.Node) -> bool:
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def _draws(node: fx.Node) -> bool:
    return isinstance(node.target, OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags


def _is_view(node: fx.Node) -> bool:
    returns = node.target._schema.returns if isinstance(node.target, OpOverload) else []
    return any(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def _is_fresh(node: fx.Node) -> bool:
    """Whether the node's memory is its own, shared with no other node."""
    if not isinstance(node.target, OpOverload):
        return "fresh" in node.meta
    return not _is_view(node) and not _mutates(node) and _name(node) not in RELABELLED
