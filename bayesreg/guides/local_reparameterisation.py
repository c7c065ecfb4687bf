"""Local reparameterisation (Kingma, Salimans & Welling, 2015): a layer draws its outputs, in place of its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from pyro.distributions import Normal
from torch import Tensor, nn
from torch.nn.functional import linear

from bayesreg.model import Model

Layer = nn.Linear | nn.Conv2d
LAYERS = (nn.Linear, nn.Conv2d)  # themselves: a subclass may use its weight in another way


@contextmanager
def outputs_drawn(model: Model, q: Mapping[str, Normal]) -> Iterator[None]:
    """Within, nn.Linear and nn.Conv2d draw each output from what their weights' q, by site, makes of it.

    With W ~ Normal(m, s) the outputs of x are Normal(m x, √(s² x²)), independent by example: the same mean gradient as
    with a draw of W for the whole batch, with less variance. What else uses weights (an LSTM, attention, a layer whose
    weight another shares) takes the draw of them that it is given.
    """
    means = model.unpack({site: normal.loc for site, normal in q.items()})
    scales = model.unpack({site: normal.scale for site, normal in q.items()})
    layers = {name: layer for name, layer in _layers(model.net).items() if name in means}
    for name, layer in layers.items():
        layer.forward = partial(_drawn, layer, means[name], scales[name])  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.forward


def _layers(net: nn.Module) -> dict[str, Layer]:
    """By the name of the weight, the layers that alone use theirs, in PyTorch's own way."""
    owners = Counter(id(p) for module in net.modules() for p in module._parameters.values())
    found = {f"{name}.weight".lstrip("."): layer for name, layer in net.named_modules() if type(layer) in LAYERS}
    return {name: layer for name, layer in found.items() if owners[id(layer.weight)] == 1}


def _drawn(layer: Layer, mean: Tensor, scale: Tensor, x: Tensor) -> Tensor:
    through = layer._conv_forward if isinstance(layer, nn.Conv2d) else linear
    at = through(x, mean, layer.bias)
    variance = through(x**2, scale**2, None)
    return at + variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt() * torch.randn_like(at)
