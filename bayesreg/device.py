"""Where a run computes: the device, the threads, the random state."""

from __future__ import annotations

import ctypes
import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bayesreg import structure
from bayesreg.model import Model, to_unit
from bayesreg.structure import X

SMALL = 3e8  # floating-point operations a batch: below this a second thread costs more than it gives


def choose_device(name: str | None) -> torch.device:
    """The device of that name; None takes a GPU where there is one. ValueError where it is not there."""
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(str(name))
        torch.zeros(1, device=device).item()  # "meta" has tensors, but no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {name!r} is not available here ({reason}); use --device cpu") from None
    return device


def choose_threads(work: int) -> int:
    """How many threads a batch of so many floating-point operations is worth, of those PyTorch has now."""
    return 1 if work < SMALL else torch.get_num_threads()


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Put PyTorch's random state back at the end, the device's too."""
    with torch.random.fork_rng([] if device.type == "cpu" else [device]):
        yield


def seed_of(*key: int) -> int:
    """One seed from several numbers, as a run's, the epoch and the step; PyTorch heeds only 32 bits of a seed."""
    return int(np.random.SeedSequence([number % 2**32 for number in key]).generate_state(1)[0])


@contextmanager
def random_stream(device: torch.device, *key: int) -> Iterator[None]:
    """Within, PyTorch's random numbers, the device's too, depend on `key` alone; outside nothing has been drawn.

    Some 30 µs: `torch.manual_seed` and `fork_rng` take several times as long.
    """
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    before, seed = [generator.get_state() for generator in generators], seed_of(*key)
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


def random_state(device: torch.device) -> Tensor:
    """The device's, as bytes: how many random numbers were drawn shows in it."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def give_back() -> None:
    """Return freed memory to the system. glibc keeps what lies between live tensors, half as much as they hold."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # another C library: it has no such call
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def only_new_garbage() -> Iterator[None]:
    """Within, `gc.collect` looks at what was made within: to look at all of PyTorch and Pyro takes 0.2 s."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def surroundings(device: torch.device, seed: int, threads: int) -> Iterator[None]:
    """The random state and the threads of a run; the caller's come back afterwards."""
    before = torch.get_num_threads()
    with random_state_kept(device):
        torch.manual_seed(seed)
        try:
            if device.type == "cpu":
                torch.set_num_threads(threads)
            yield
        finally:
            torch.set_num_threads(before)


def flops(model: Model, x: X) -> int:
    """Floating-point operations of the network's forward pass on a batch like x."""
    device = next(model.net.parameters()).device
    few = to_unit(structure.mapped(lambda leaf: leaf[:2].to(device), x))
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_rnn_layer: _rnn})
    with model.buffers_kept(), torch.no_grad(), random_state_kept(device), counter:
        structure.call(model.net, few)
    return counter.get_total_flops() * structure.size(x) // structure.size(few)


def _rnn(x: torch.Size, *weights: Any, **rest: Any) -> int:
    """Each step multiplies each example by the input's and the state's weights; x [T, B, inputs]."""
    return 2 * x[0] * x[1] * sum(math.prod(shape) for shape in weights[:2])
