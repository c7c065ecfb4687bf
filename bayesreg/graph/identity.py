"""What distinguishes a function from any other whose graph could differ."""

from __future__ import annotations

import copyreg
import hashlib
import io
import sys
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import cloudpickle
import torch
from pyro.poutine import Trace
from torch import Tensor, nn

from bayesreg.graph.number import Number

LARGE = 2**20  # numbers in a tensor that is not an input: reading more would take longer than capturing


def identity(function: Any, inputs: Sequence[Tensor], ignored: Iterable[Any] = ()) -> str:
    """A digest of all that an object is made of, including code and closures, and of the values of its tensors.

    Of the `inputs` among them only place, shape, type and layout count, and of a `Number` nothing. ignored: parts that
    are ignored. It is valid only within one process. What cannot be pickled raises whatever pickle raises.
    """
    stream = io.BytesIO()
    _Reader(stream, inputs, ignored).dump(function)
    return hashlib.sha256(stream.getvalue()).hexdigest()


class _Reader(cloudpickle.Pickler):
    """A pickler whose output is never read, so that it may leave out what distinguishes nothing."""

    def __init__(self, stream: io.BytesIO, inputs: Sequence[Tensor], ignored: Iterable[Any]) -> None:
        super().__init__(stream)
        self._places = {id(tensor): place for place, tensor in enumerate(inputs)}
        self._ignored = {id(part) for part in ignored}

    def persistent_id(self, value: Any) -> Any:
        if type(value) is str:
            return sys.intern(value)  # else it would matter whether equal texts are one object
        if id(value) in self._ignored:
            return ("ignored",)
        if isinstance(value, Tensor):
            return self._tensor(value)
        return ("number",) if isinstance(value, Number) else None

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, nn.Module):  # including what its own pickling leaves out
            return copyreg.__newobj__, (type(value),), _state(value)  # type: ignore[attr-defined]
        if isinstance(value, Trace):  # of a guide's prototype; the values in it are where inference starts
            return dict, ([(name, _of_site(site)) for name, site in value.nodes.items()],)
        if isinstance(value, weakref.ref):
            return weakref.ref, (value(),)
        return super().reducer_override(value)

    def _tensor(self, value: Tensor) -> tuple[Any, ...]:
        layout = (type(value).__name__, value.shape, value.dtype, value.stride(), value.device, value.requires_grad)
        if id(value) in self._places:
            return "input", self._places[id(value)], *map(str, layout)
        if value.numel() > LARGE:
            raise ValueError(f"a tensor of {value.numel():,} numbers that is not an input")
        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return hashlib.sha256(numbers).hexdigest(), *map(str, layout)


def _state(module: nn.Module) -> dict[str, Any]:
    """A module's attributes, without the process's counters in the names of guides and in hooks.

    A recurrent layer also lists its parameters, or tensors that have stood in for them.
    """
    listed = ("_flat_weights", "_flat_weight_refs") if isinstance(module, nn.RNNBase) else ()
    state = {name: value for name, value in vars(module).items() if name not in ("_pyro_name", *listed)}
    hooks = {name: value for name, value in state.items() if "_hooks" in name and isinstance(value, dict)}
    order = sorted({number for value in hooks.values() for number in value})
    return state | {
        name: {order.index(number): hook for number, hook in value.items()} for name, value in hooks.items()
    }


def _of_site(site: dict[str, Any]) -> list[Any]:
    """What guides use when they run."""
    known = [site.get(name) for name in ("type", "infer", "is_observed", "cond_indep_stack")]
    return known + [
        getattr(site.get("fn"), name, None) for name in ("support", "event_dim", "batch_shape", "event_shape")
    ]
