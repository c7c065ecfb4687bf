"""PyTorch's random state: restored after use, and the same for the same run, epoch and step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Restore PyTorch's random state at the end, the device's too."""
    with torch.random.fork_rng([] if device.type == "cpu" else [device]):
        yield


def seed_of(*key: int) -> int:
    """One seed from several numbers, such as a run's, the epoch and the step; PyTorch uses only 32 bits of a seed."""
    return int(np.random.SeedSequence([number % 2**32 for number in key]).generate_state(1)[0])


@contextmanager
def random_stream(device: torch.device, *key: int) -> Iterator[None]:
    """Within, PyTorch's random numbers, the device's too, depend only on `key`; outside, none have been drawn.

    It takes some 30 µs: `torch.manual_seed` and `fork_rng` take several times as long.
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
    """The device's state, as bytes, which shows how many random numbers were drawn."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
