"""The threads of a run on the CPU: as many as the work of a batch is worth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bayesreg import structure
from bayesreg.model import Model, to_unit
from bayesreg.randomness import random_state_kept
from bayesreg.structure import X

SMALL = 3e8  # floating-point operations per batch: below this a second thread costs more than it gives


def choose_threads(work: int) -> int:
    """How many of PyTorch's present threads a batch of so many floating-point operations is worth."""
    return 1 if work < SMALL else torch.get_num_threads()


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


@contextmanager
def surroundings(device: torch.device, seed: int, threads: int) -> Iterator[None]:
    """The random state and the threads of a run; the caller's are restored afterwards."""
    before = torch.get_num_threads()
    with random_state_kept(device):
        torch.manual_seed(seed)
        try:
            if device.type == "cpu":
                torch.set_num_threads(threads)
            yield
        finally:
            torch.set_num_threads(before)
