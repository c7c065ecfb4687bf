"""A captured function, without what it was captured from; and those of a process that were captured last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bayesreg.graph.memory import thin
from bayesreg.graph.number import Made, Values

OF_A_NODE = 1024  # bytes that the code of one operation takes
MOST = 2**26  # bytes of all programs that are kept


@dataclass(frozen=True, eq=False)
class Program:
    """Code, and the few tensors that it needs whatever it is bound to.

    folded: the fixed and given inputs, `tensors` and `numbers` -> what comes out the same on every call. each: the
    other inputs, that, and the memory kept from call to call -> the results. thinned: which of it may be thinned. ties:
    what a graph for these numbers was decided by, and the answer.
    """

    folded: Callable[..., Sequence[Any]]
    each: Callable[..., list[Tensor]]
    tensors: list[Tensor]
    numbers: list[tuple[Made, Tensor]]
    thinned: list[bool]
    kept: list[tuple[torch.Size, torch.dtype]]
    ties: list[tuple[Made, Any]]
    nodes: int

    def bind(self, inputs: Sequence[Tensor], values: Values = ()) -> Callable[..., list[Tensor]]:
        """The function of the other inputs; it shares no memory with what another call of `bind` has given."""
        numbers = [torch.tensor(made(values), dtype=like.dtype, device=like.device) for made, like in self.numbers]
        with torch.no_grad():
            found = self.folded(*inputs, *(tensor.clone() for tensor in self.tensors), *numbers)
        known = [thin(value) if may else value for value, may in zip(found, self.thinned, strict=True)]
        known += [torch.empty(shape, dtype=dtype) for shape, dtype in self.kept]
        each = self.each
        return lambda *moving: each(*moving, *known)

    def serves(self, values: Values) -> bool:
        """Whether a graph for these numbers would be the same."""
        return all(made(values) == answer for made, answer in self.ties)

    @property
    def size(self) -> int:
        """In bytes, about."""
        return self.nodes * OF_A_NODE + sum(tensor.untyped_storage().nbytes() for tensor in self.tensors)


class Programs:
    """Programs by what tells their functions apart, as many of those used last as take `most` bytes together.

    One that comes with something of the caller's own, `note`, is found with it. Threads may share it.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._kept: list[tuple[str, Program, Any]] = []  # that used last comes last
        self._lock = threading.Lock()

    def find(self, key: str, values: Values) -> tuple[Program, Any] | None:
        """The program for that function at these numbers, and its note."""
        with self._lock:
            found = next((one for one in self._kept if one[0] == key and one[1].serves(values)), None)
            if found:
                self._kept.remove(found)
                self._kept.append(found)
            return found and found[1:]

    def keep(self, key: str, values: Values, program: Program, note: Any = None) -> None:
        """In the place of the one for the same, if there is one."""
        with self._lock:
            self._kept = [one for one in self._kept if not (one[0] == key and one[1].serves(values))]
            self._kept.append((key, program, note))
            while sum(one[1].size for one in self._kept) > self.most:
                del self._kept[0]

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)
