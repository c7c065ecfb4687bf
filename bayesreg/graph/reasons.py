"""Why a network cannot be captured, as a sentence, and where in its code."""

from __future__ import annotations

import linecache
from pathlib import Path
from traceback import walk_tb
from typing import Any

from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

BY_VALUES = (
    "DataDependent",
    "DynamicOutputShape",
    "SymInt",
    "FakeTensor",
    ".numpy()",
)  # parts of PyTorch's messages in that case
CALLING = ("_wrapped_call_impl", "_call_impl")


def reason(error: Exception, network: nn.Module) -> str:
    """What the error means, and the line of the network at which it was raised."""
    said = str(error).strip().partition("\n")[0]
    words = said or type(error).__name__
    if any(word in type(error).__name__ + said for word in BY_VALUES):
        words = "what it computes depends on the values of a tensor"
    return words + _place(error, network)


def _place(error: Exception, network: nn.Module) -> str:
    """At the innermost module of the network: ": BatchNorm1d, batchnorm.py:183, `self.count.item()`"; "" in none."""
    modules = {id(module) for module in network.modules()}
    place = ""
    for frame, line in walk_tb(error.__traceback__):
        code = frame.f_code
        module = frame.f_locals.get(*code.co_varnames[:1] or ("",))  # "self" in a method
        if id(module) in modules and code.co_name not in CALLING:
            source = linecache.getline(code.co_filename, line).strip()
            place = f": {type(module).__name__}, {Path(code.co_filename).name}:{line}, `{source}`"
    return place


class AtMost(TorchDispatchMode):
    """Raises OverflowError at more operations than `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.done = most, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.done += 1
        if self.done > self.most:
            raise OverflowError(f"it would take minutes: a step has more than {self.most:,} operations")
        return func(*args, **(kwargs or {}))


def refuse_own_generators(graph: fx.Graph) -> None:
    """Raise ValueError where random numbers are drawn from a generator whose state the graph would keep."""
    for node in graph.nodes:
        if node.kwargs.get("generator") is not None:
            raise ValueError("it draws random numbers from a torch.Generator of its own")


def attributes(network: nn.Module) -> dict[str, Any]:
    """The numbers and texts that its modules hold in Python, which a graph would freeze: {"body.calls": 3}."""
    return {
        f"{name}.{key}".lstrip("."): value
        for name, module in network.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, bool | int | float | str)
    }
