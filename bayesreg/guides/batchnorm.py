"""BatchNorm under a posterior: its running statistics are those of the networks that are drawn, at the end of training.

In training they follow the last batches, each under another draw, by an exponential mean; for prediction they are the
plain mean over one pass through the training data, with one draw of θ per batch, as in Izmailov et al. (2018) for means
of weights. Those of a point are left as training has made them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from bayesreg import schedule
from bayesreg.guides.start import local_parameters

if TYPE_CHECKING:
    from bayesreg.datasets import Dataset
    from bayesreg.posterior import Posterior


@torch.no_grad()
def reestimate(posterior: Posterior, train: Dataset) -> None:
    """Estimate the running statistics of every BatchNorm layer again, in place; without one nothing is drawn."""
    model = posterior.model
    layers = [layer for layer in model.net.modules() if isinstance(layer, _BatchNorm) and _is_running(layer)]
    if not layers:
        return
    momenta, size = [layer.momentum for layer in layers], schedule.batch_size(len(train))
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[: len(train) // size * size]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches, which have equal sizes
    with local_parameters():
        for x, _ in train.batches(size, order):
            draw = posterior.inference.draws(posterior.guide, 1)
            model.outputs(model.unpack({site: value[0] for site, value in draw.items()}), x)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _is_running(layer: _BatchNorm) -> bool:
    """Whether training updates its statistics: not where the network keeps it in eval mode."""
    return layer.training and layer.track_running_stats
