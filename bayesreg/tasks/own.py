"""Data and a network of one's own, as a task needs them."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bayesreg import datasets, nets
from bayesreg.checkpoint import told_apart
from bayesreg.likelihoods import Categorical, Gaussian, Likelihood, as_likelihood
from bayesreg.metrics import METRICS

WIDTHS = ((5_000, 64), (50_000, 128))  # units of a hidden layer, up to so many training examples
WIDEST = 256
HEADLINES = ("accuracy", "r2")  # the first that the likelihood has

Factory = Callable[[], nn.Module]


def as_data(value: Any) -> datasets.Data:
    """A Data as it is, a pair (x, y) split. TypeError for anything else."""
    if isinstance(value, datasets.Data):
        return value
    if isinstance(value, datasets.Dataset):
        return datasets.Data.split(value.x, value.y)
    if isinstance(value, tuple | list) and len(value) == 2:
        return datasets.Data.split(*value)
    hint = f"; the registered data set is br.datasets.load({value!r})" if isinstance(value, str) else ""
    if hasattr(value, "columns"):
        hint = "; of a table say which column is y, as br.Data.from_table(table, target='price')"
    what = "None" if value is None else f"a {type(value).__name__}"
    raise TypeError(f"data is {what}: give a br.Data, or a pair (x, y), which br.Data.split splits{hint}")


def factory(net: Any, data: datasets.Data) -> Factory:
    """What makes a new network under each seed."""
    if net is None:
        return _Fitting(data)
    if isinstance(net, nn.Module):
        anew(net)  # refused now or never
        return lambda: anew(net)
    if not callable(net):
        raise TypeError(f"net={net!r} is a {type(net).__name__}: give a function that returns a new nn.Module")
    return net


class _Fitting:
    """() → an MLP of two hidden layers for the data."""

    def __init__(self, data: datasets.Data) -> None:
        x, y = data.train.x, data.train.y
        if not isinstance(x, torch.Tensor) or not (x.is_floating_point() or x.dtype == torch.uint8):
            kind = f"{str(x.dtype).removeprefix('torch.')} numbers" if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"net=None takes an MLP, which has no meaning for x of {kind}: give a network of your own")
        self.inputs = x[0].numel()
        self.outputs = data.classes or y[0].numel()
        self.width = next((width for most, width in WIDTHS if len(x) <= most), WIDEST)

    def __call__(self) -> nn.Module:
        return nets.mlp(self.inputs, self.outputs, hidden=self.width)


def anew(net: nn.Module) -> nn.Module:
    """A copy of a module with its layers initialised anew; what is frozen stays as it is.

    ValueError where a layer with parameters of its own has no `reset_parameters`.
    """
    made = copy.deepcopy(net)
    for name, layer in made.named_modules():
        if not any(parameter.requires_grad for parameter in layer.parameters(recurse=False)):
            continue
        reset = getattr(layer, "reset_parameters", None) or getattr(layer, "_reset_parameters", None)
        if reset is None:
            place = f"its part {name!r}, a {type(layer).__name__}," if name else f"{type(layer).__name__} itself"
            raise ValueError(
                f"the network cannot be initialised anew for each seed: {place} has parameters and no "
                "reset_parameters(); give a function that makes it, as lambda: MyNetwork(...)"
            )
        reset()
    return made


def likelihood(given: Any, data: datasets.Data) -> Likelihood:
    """p(y | f): what is given, else by the targets."""
    if given is not None:
        return as_likelihood(given)
    return Gaussian() if data.classes is None else Categorical()


def headline(given: str | None, likelihood: Likelihood, data: datasets.Data) -> str:
    """The metric of tables: what is given, else accuracy, R² or the first that the likelihood has."""
    known = likelihood.metrics(data.train.y)
    if given is None:
        return next((name for name in HEADLINES if name in known), known[0])
    if given not in known:
        raise ValueError(
            f"metric={given!r} is none of {likelihood}: {', '.join(name for name in METRICS if name in known)}"
        )
    return given


def identity(data: datasets.Data, make: Factory, likelihood: Likelihood, settings: dict[str, Any]) -> dict[str, Any]:
    """What tells a task from others: digests of the data and of the network, and the settings of training."""
    splits = (data.train, data.validation, data.test)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = make()
    if not isinstance(net, nn.Module):
        raise TypeError(f"net() returned a {type(net).__name__}: give a function that returns a new nn.Module")
    return {
        "net": type(net).__name__,
        "data": _digest(*(split.sha256() for split in splits)),
        "network": _digest(repr(net), _source(type(net)), *(f"{n} {list(p.shape)}" for n, p in net.named_parameters())),
        "likelihood": repr(likelihood),
        **{name: value for name, value in settings.items() if name != "augment"},
        "augment": None if settings["augment"] is None else _digest(told_apart(settings["augment"])),
    }


def _source(kind: type) -> str:
    """The code of a class of the user's own; nothing where it is not to be had, as in an interactive session."""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
