"""Numbers as inputs of a graph: one captured at one strength of a prior then serves every other."""

from __future__ import annotations

import functools
import numbers
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map

Values = tuple[float, ...]
Made = Callable[[Values], Any]  # of the values of all inputs
Function = TypeVar("Function", bound=Callable[..., Any])

ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
TAKES = {"add", "sub", "mul", "div", "true_divide"} | {f"__{name}__" for name in ("add", "sub", "mul", "truediv")}
TAKES |= {"__radd__", "__rmul__"}  # with a tensor and a number: the same results as with a float
BROADCAST = {"broadcast_tensors"}  # by which torch.distributions makes tensors of its arguments
PRECISE = (torch.float32, torch.float64)  # a kernel in half precision would not round a float first


class Number:
    """A number that follows from the inputs: arithmetic with it is recorded, to be repeated for other inputs.

    A sum, product, difference or quotient with a tensor puts it into the graph. Anything else that asks for its value
    gets it, and ties the graph to the answer.
    """

    def __init__(self, inputs: Numbers, made: Made) -> None:
        self.inputs, self.made = inputs, made

    def then(self, function: Callable[..., Any], *args: Any) -> Number:
        """function(*args), where some of the arguments are numbers."""
        parts = [arg.made if isinstance(arg, Number) else arg for arg in args]
        return Number(self.inputs, lambda values: function(*(p(values) if callable(p) else p for p in parts)))

    def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """The present value of function(*args): the graph is valid for numbers that give the same."""
        made = self.then(function, *args).made
        self.inputs.ties.append((made, made(self.inputs.values)))
        return self.inputs.ties[-1][1]

    def tensor(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """As a constant of the graph."""
        with _disable_current_modes():
            constant = torch.tensor(self.made(self.inputs.values), dtype=dtype, device=device)
        self.inputs.tensors.append((constant, self.made))
        return constant

    def __float__(self) -> float:
        return self.ask(float, self)

    def __bool__(self) -> bool:
        return self.ask(bool, self)

    def __hash__(self) -> int:
        return self.ask(hash, self)

    def __repr__(self) -> str:
        return self.ask(repr, self)

    def __format__(self, spec: str) -> str:
        return self.ask(format, self, spec)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        first, name = args[0] if args and not kwargs else None, func.__name__
        if name in TAKES | BROADCAST and isinstance(first, Tensor) and first.dtype in PRECISE:
            device = first.device if name in BROADCAST else torch.device("cpu")  # where a float would be
            return func(*(arg.tensor(first.dtype, device) if isinstance(arg, Number) else arg for arg in args))
        args, kwargs = tree_map(lambda arg: float(arg) if isinstance(arg, Number) else arg, (args, kwargs or {}))
        return func(*args, **kwargs)


numbers.Number.register(Number)


def _arithmetic(function: Callable[..., Any], reflected: bool = False) -> Callable[..., Any]:
    def method(self: Number, *others: Any) -> Any:
        if not all(isinstance(other, int | float | Number) for other in others):
            return NotImplemented
        return self.then(function, *((*others, self) if reflected else (self, *others)))

    return method


def _comparison(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: self.ask(function, self, other)


for name in ARITHMETIC:
    setattr(Number, f"__{name}__", _arithmetic(getattr(operator, name)))
    setattr(Number, f"__r{name}__", _arithmetic(getattr(operator, name), reflected=True))
for name in ("neg", "abs"):
    setattr(Number, f"__{name}__", _arithmetic(getattr(operator, name)))
for name in COMPARISONS:
    setattr(Number, f"__{name}__", _comparison(getattr(operator, name)))


def of_numbers(function: Function) -> Function:
    """Mark a Python function of numbers alone: it is called again for other inputs, and its value ties no graph."""

    @functools.wraps(function)
    def called(*args: Any) -> Any:
        number = next((arg for arg in args if isinstance(arg, Number)), None)
        return function(*args) if number is None else number.then(function, *args)

    return called  # type: ignore[return-value]


class Numbers:
    """The float attributes of some objects, as inputs: their values, and what a graph does with them.

    tensors: the constants in it that follow from them. ties: what was asked of them, and the answers.
    """

    def __init__(self, owners: Iterable[Any]) -> None:
        found = [getattr(owner, "__dict__", {}) for owner in owners]
        self._places = [(own, name) for own in found for name, value in own.items() if type(value) is float]
        self.values: Values = tuple(own[name] for own, name in self._places)
        self.tensors: list[tuple[Tensor, Made]] = []
        self.ties: list[tuple[Made, Any]] = []

    @contextmanager
    def as_inputs(self) -> Iterator[None]:
        """Within, a `Number` takes the place of each."""
        try:
            for place, (own, name) in enumerate(self._places):
                own[name] = Number(self, operator.itemgetter(place))
            yield
        finally:
            for (own, name), value in zip(self._places, self.values, strict=True):
                own[name] = value

    def tie(self) -> None:
        """Make the graph valid for these values only, where none of them is an input of it."""
        self.tensors, self.ties = [], [(tuple, self.values)]
