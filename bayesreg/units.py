"""Regression in any unit of y, as if y were standardised.

Adam moves a parameter by at most lr a step, whatever the unit of y: from weights near 0 it would take 20,000 steps of
1e-3 to a mean of 20. Of a network that ends in a linear layer, f = W h + b, the unit concerns that layer alone: the fit
of y = m + s z in W = s W', b = m + s b' is the fit of z in W', b'. So it starts there, and its steps are s times as
long. The logarithm of a learned noise scale starts at that of the residuals, and may move by some nats in all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bayesreg.datasets import Dataset
from bayesreg.device import random_state_kept
from bayesreg.model import Model, to_unit

Rates = dict[str, Tensor]
SAMPLE = 1024  # examples, to find the last layer and the residuals at the start
TRAVEL = 10.0  # nats that log σ may move, at most, if lr did not fall to 0
FASTEST = 0.1  # nats a step


def start_in_unit_of(model: Model, train: Dataset, lr: float, steps: int) -> Rates:
    """Let the model start in the unit of y, in place; what the steps of its parameters are multiplied by, by name.

    Nothing changes where y has no unit, as in classification; without a linear layer at the end of the network the
    noise scale alone starts in it.
    """
    some = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:SAMPLE]
    x, y = to_unit(train.x[some]), train.y[some]
    unit = model.likelihood.unit(train.y)
    rates = {} if unit is None else _move_last_layer(model, x, *unit)
    with torch.no_grad():
        model.start = model.likelihood.profile(_outputs(model, x)[0], y)
    return rates | {site: y.new_tensor(max(1.0, min(TRAVEL / steps, FASTEST) / lr)) for site in model.start}


def _move_last_layer(model: Model, x: Tensor, shift: Tensor, scale: Tensor) -> Rates:
    """W → scale · W, b → shift + scale · b, of the layer that gives the outputs [B, outputs]."""
    last = _outputs(model, x)[1]
    names = {id(p): name for name, p in model.net.named_parameters()}
    learned = {name for block in model.blocks for name in block.shapes}
    if last is None or not {names.get(id(p)) for p in last.parameters(recurse=False)} <= learned:
        return {}
    weight, bias = last.weight, last.bias
    rates = {names[id(weight)]: scale[:, None]}
    last.weight = nn.Parameter(weight * scale[:, None], requires_grad=False)
    if bias is not None:
        rates[names[id(bias)]] = scale
        last.bias = nn.Parameter(bias * scale + shift, requires_grad=False)
    return rates


def _outputs(model: Model, x: Tensor) -> tuple[Tensor, nn.Linear | None]:
    """f at the network's own weights, and the linear layer that it comes from, if it does."""
    results: list[tuple[nn.Linear, Tensor]] = []
    layers = [module for module in model.net.modules() if type(module) is nn.Linear]
    hooks = [layer.register_forward_hook(lambda *call: results.append((call[0], call[2]))) for layer in layers]
    try:
        with torch.no_grad(), model.buffers_kept(), random_state_kept(x.device):
            f = model.net(x)
    finally:
        for hook in hooks:
            hook.remove()
    last = [layer for layer, out in results if out.numel() == f.numel() and torch.equal(out.flatten(), f.flatten())]
    return f, last[0] if len(last) == 1 else None
