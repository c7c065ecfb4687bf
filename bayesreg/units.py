"""Regression in any unit of y, as if y were standardised.

Adam moves a parameter by at most lr per step, whatever the unit of y: from weights near 0 it would take 20,000 steps of
1e-3 to reach a mean of 20. In a network that ends in a linear layer, f = W h + b, the unit concerns only that layer:
the fit of y = m + s z in W = s W', b = m + s b' is the fit of z in W', b'. So it starts there, and its steps are s
times as long. The logarithm of a learned noise scale starts at that of the residuals, and may move by a few nats in
all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bayesreg import structure
from bayesreg.datasets import Dataset
from bayesreg.model import Model, to_unit
from bayesreg.randomness import random_state_kept
from bayesreg.structure import X

Rates = dict[str, Tensor]
SAMPLE = 1024  # examples, to find the last layer and the residuals at the start
TRAVEL = 10.0  # nats that log σ may move, at most, if lr did not fall to 0
FASTEST = 0.1  # nats per step


def start_in_unit_of(model: Model, train: Dataset, lr: float, steps: int) -> Rates:
    """Make the model start in the unit of y, in place; returns the factors of its parameters' steps, by name.

    Nothing changes where y has no unit, as in classification; without a linear layer at the end of the network only the
    noise scale starts in it.
    """
    some = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:SAMPLE]
    x, y = train.batch(some)
    x = to_unit(x)
    model.units = _move_last_layer(model, x, train.y)
    with torch.no_grad():
        f, _ = _outputs(model, x)
        model.start = model.likelihood.profile(f, y)
    return model.units | {site: f.new_tensor(max(1.0, min(TRAVEL / steps, FASTEST) / lr)) for site in model.start}


def _move_last_layer(model: Model, x: X, y: Tensor) -> Rates:
    """W → scale · W, b → shift + scale · b, of the layer that gives the outputs; the scales by name."""
    last = _outputs(model, x)[1]
    names = _learned_alone(model, last) if last else None
    unit = model.likelihood.unit(y, last.out_features) if last and names else None
    if last is None or names is None or unit is None:
        return {}
    shift, scale = (part.to(last.weight) for part in unit)
    last.weight = nn.Parameter(last.weight * scale[:, None], requires_grad=False)
    units = {names["weight"]: scale[:, None]}
    if last.bias is not None:
        last.bias = nn.Parameter(last.bias * scale + shift, requires_grad=False)
        units[names["bias"]] = scale
    return units


def _learned_alone(model: Model, layer: nn.Linear) -> dict[str, str] | None:
    """ "weight" and "bias" -> their names in the network; None unless all are learned, and used by this layer only."""
    learned = {name for block in model.blocks for name in block.shapes}
    names = {id(p): name for name, p in model.net.named_parameters()}
    everywhere = [id(p) for module in model.net.modules() for p in module.parameters(recurse=False)]
    found = {own: names[id(p)] for own, p in layer.named_parameters(recurse=False)}
    alone = all(everywhere.count(id(p)) == 1 for p in layer.parameters(recurse=False))
    # the old spectral_norm has no parameter "weight", but computes it from another
    return found if alone and "weight" in found and learned.issuperset(found.values()) else None


def _outputs(model: Model, x: X) -> tuple[Tensor, nn.Linear | None]:
    """f at the network's own weights, and the linear layer that it comes from, if any."""
    results: list[tuple[nn.Linear, Tensor]] = []
    layers = [module for module in model.net.modules() if type(module) is nn.Linear]
    hooks = [layer.register_forward_hook(lambda *call: results.append((call[0], call[2]))) for layer in layers]
    try:
        with torch.no_grad(), model.buffers_kept(), random_state_kept(next(model.net.parameters()).device):
            f = structure.call(model.net, x)
    finally:
        for hook in hooks:
            hook.remove()
    last = [layer for layer, out in results if out.numel() == f.numel() and torch.equal(out.flatten(), f.flatten())]
    return f, last[0] if len(last) == 1 else None
