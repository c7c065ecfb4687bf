"""Where a run computes: the device, the threads, the random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bayesreg.datasets import Dataset
from bayesreg.model import Model, to_unit

SMALL = 3e8  # floating-point operations a batch: below this a second thread costs more than it gives


def choose_device(name: str | None) -> torch.device:
    """The device of that name; None takes a GPU where there is one. ValueError where it is not there."""
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(str(name))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {name!r} is not available here ({reason}); use --device cpu") from None
    return device


@contextmanager
def surroundings(model: Model, train: Dataset, batch_size: int, device: torch.device, seed: int) -> Iterator[None]:
    """The random state and the threads of a run; the caller's come back afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng([] if device.type == "cpu" else [device]):
        torch.manual_seed(seed)
        try:
            if device.type == "cpu" and flops(model, train.x[:batch_size]) < SMALL:
                torch.set_num_threads(1)
            yield
        finally:
            torch.set_num_threads(threads)


def flops(model: Model, x: Tensor) -> int:
    """Floating-point operations of the network's forward pass on a batch like x."""
    few = to_unit(x[:2].to(next(model.net.parameters()).device))
    with (
        model.buffers_kept(),
        torch.no_grad(),
        torch.random.fork_rng([]),
        FlopCounterMode(display=False) as counter,
    ):
        model.net(few)
    return counter.get_total_flops() * len(x) // len(few)
