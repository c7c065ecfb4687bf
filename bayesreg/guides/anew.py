"""A network with new weights, as if it had been made anew."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bayesreg.model import Model
from bayesreg.randomness import random_state_kept

log = logging.getLogger(__name__)

ENOUGH, APART = 100, 1.5  # numbers, of which two estimates of a standard deviation differ by that factor at most


@torch.no_grad()
def renewed(model: Model, seed: int) -> Model:
    """The same model before training, with the weights that the network's modules draw under that seed.

    In the order in which `nn.Module.apply` comes to them, which for most networks is that in which they were made.
    What is frozen stays, and so do all buffers, as the running statistics of what is frozen. ValueError for a parameter
    that no `reset_parameters` gives a new value.
    """
    again = copy.deepcopy(model)
    learned = {name for block in model.blocks for name in block.shapes}
    own = dict(again.net.named_parameters())
    for name in learned:
        own[name].fill_(math.nan)
    with random_state_kept(next(iter(own.values())).device):
        torch.manual_seed(seed)
        again.net.apply(_reset)
    if missed := [name for name in own if name in learned and not bool(own[name].isfinite().all())]:
        raise ValueError(
            f"the members of an ensemble start from other weights, and no module gives {', '.join(missed[:4])} new "
            "ones: write reset_parameters(self) in the module that holds it, as PyTorch's layers have it, or take "
            "ensemble:members=1"
        )
    for (name, value), (_, kept) in zip(_tensors(again.net), _tensors(model.net), strict=True):
        if name not in learned:
            value.copy_(kept)
    return again


def check_start(model: Model, again: Model) -> None:
    """Say where the network's own weights are of another size than the new ones: its modules draw them otherwise."""
    for name, own in model.net.named_parameters():
        if own.numel() < ENOUGH:
            continue
        size, new = own.std().item(), again.net.get_parameter(name).std().item()
        if max(size, new) > APART * min(size, new):
            log.warning(
                "all members of an ensemble but the first start from weights that reset_parameters draws: those of %s "
                "have a standard deviation of %.2g, the network's own of %.2g; what a module does to initialise its "
                "weights belongs in its reset_parameters(self), and weights that are trained already are the first "
                "member's alone",
                name,
                new,
                size,
            )
            return


def _tensors(net: nn.Module) -> list[tuple[str, Tensor]]:
    return [*net.named_parameters(), *net.named_buffers()]


def _reset(module: nn.Module) -> None:
    """Attention and the transformers of PyTorch's have it by a private name."""
    for name in ("reset_parameters", "_reset_parameters"):
        reset: Callable[[], Any] | None = getattr(module, name, None)
        if callable(reset):
            return reset()
