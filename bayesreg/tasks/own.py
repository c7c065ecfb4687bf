"""Data and a network of the user's own, as a task needs them."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from os import PathLike
from typing import Any

import torch
from torch import nn
from torch.utils import data as torch_data

from bayesreg import datasets, nets
from bayesreg.checkpoint import told_apart, without_addresses
from bayesreg.checks import check_rate
from bayesreg.files import sha256_of
from bayesreg.likelihoods import Categorical, Gaussian, Likelihood, as_likelihood
from bayesreg.metrics import METRICS
from bayesreg.network import copied
from bayesreg.priors.base import whole

WIDTHS = ((5_000, 64), (50_000, 128))  # units of a hidden layer, up to so many training examples
WIDEST = 256
LETTERS = 80  # of a name
HEADLINES = ("accuracy", "r2")  # the first of these that the likelihood has

Factory = Callable[[datasets.Data], nn.Module]  # for these data, or a fold of them


def as_data(value: Any) -> datasets.Data:
    """A Data as it is; a pair (x, y), a Dataset or one of PyTorch's is split. TypeError for anything else."""
    if isinstance(value, datasets.Data):
        return value
    if isinstance(value, torch_data.Dataset | torch_data.DataLoader):
        value = datasets.as_dataset(value)
    if isinstance(value, datasets.Dataset):
        return datasets.Data.split(value.x, value.y)
    if isinstance(value, tuple | list) and len(value) == 2:
        return datasets.Data.split(*value)
    hint = ""
    if hasattr(value, "columns") or isinstance(value, str | PathLike):
        table = repr(str(value)) if isinstance(value, str | PathLike) else "table"
        hint = f"; for a table say which column is y, as in br.Data.from_table({table}, target='price')"
    if isinstance(value, str) and value in datasets.DATASETS:
        hint = f"; the registered data set is br.datasets.load({value!r})"
    what = "None" if value is None else f"a {type(value).__name__}"
    raise TypeError(f"data is {what}: give a br.Data, or a pair (x, y), which br.Data.split splits{hint}")


def named(name: Any) -> str:
    """The name. ValueError where it cannot appear in a table."""
    if not isinstance(name, str) or not name or not name.isprintable() or len(name) > LETTERS:
        raise ValueError(f"name={name!r}: the name of a task has 1 to {LETTERS} printable characters")
    return name


def factory(net: Any, data: datasets.Data) -> Factory:
    """What makes a new network under each seed."""
    if net is None:
        fitting(data)  # refused now or never
        return fitting
    if isinstance(net, nn.Module):
        reinitialised(net)
        return lambda data: reinitialised(net)
    if not callable(net):
        raise TypeError(f"net={net!r} is a {type(net).__name__}: give a function that returns a new nn.Module")
    try:
        inspect.signature(net).bind()
    except TypeError as error:
        name = getattr(net, "__name__", "net")
        raise TypeError(f"net is called without arguments ({error}): give lambda: {name}(...)") from None
    except ValueError:  # a callable without a signature
        pass
    return lambda data: net()


def fitting(data: datasets.Data) -> nn.Module:
    """An MLP of two hidden layers for the data."""
    x, y = data.train.x, data.train.y
    if not isinstance(x, torch.Tensor) or not (x.is_floating_point() or x.dtype == torch.uint8):
        kind = f"{str(x.dtype).removeprefix('torch.')} numbers" if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"net=None takes an MLP, which has no meaning for x of {kind}: give a network of your own")
    width = next((width for most, width in WIDTHS if len(x) <= most), WIDEST)
    return nets.mlp(x[0].numel(), data.classes or y[0].numel(), hidden=width)


def reinitialised(net: nn.Module) -> nn.Module:
    """A copy of a module with its layers initialised again; frozen ones stay as they are.

    ValueError where a layer with parameters of its own has no `reset_parameters`.
    """
    made = copied(net)
    frozen = {name: p.detach().clone() for name, p in made.named_parameters() if not p.requires_grad}
    for name, layer in reversed(list(made.named_modules())):  # a layer may also set its parts
        if not any(parameter.requires_grad for parameter in layer.parameters(recurse=False)):
            continue
        reset = getattr(layer, "reset_parameters", None) or getattr(layer, "_reset_parameters", None)
        if reset is None:
            place = f"its part {name!r}, a {type(layer).__name__}," if name else f"{type(layer).__name__} itself"
            raise ValueError(
                f"the network cannot be initialised again for each seed: {place} has parameters and no "
                "reset_parameters(); give a function that makes it, such as lambda: MyNetwork(...)"
            )
        reset()
    made.load_state_dict(frozen, strict=False)
    return made


def settings(epochs: Any, batch_size: Any, lr: Any, augment: Any) -> dict[str, Any]:
    """Options of `fit`, as plain numbers. ValueError for invalid ones."""
    given = {name: value for name, value in (("epochs", epochs), ("batch_size", batch_size)) if value is not None}
    whole("Task", **given)
    check_rate("Task", lr)
    if not (augment is None or callable(augment)):
        raise TypeError(f"augment={augment!r} is a {type(augment).__name__}: give a function of a batch x")
    numbers = {"epochs": None, "batch_size": None} | {name: int(value) for name, value in given.items()}
    return numbers | {"lr": float(lr), "augment": augment}


def likelihood(given: Any, data: datasets.Data) -> Likelihood:
    """p(y | f): as given, else chosen by the targets."""
    if given is not None:
        return as_likelihood(given)
    return Gaussian() if data.classes is None else Categorical()


def headline(given: str | None, likelihood: Likelihood, data: datasets.Data) -> str:
    """The metric in tables: as given, else accuracy, R² or the first that the likelihood has."""
    known = likelihood.metrics(data.train.y)
    if given is None:
        return next((name for name in HEADLINES if name in known), known[0])
    if given not in known:
        raise ValueError(
            f"metric={given!r} is not a metric of {likelihood}: {', '.join(name for name in METRICS if name in known)}"
        )
    return given


def identity(data: datasets.Data, make: Factory, likelihood: Likelihood, settings: dict[str, Any]) -> dict[str, Any]:
    """What identifies a task: digests of the data and of the network, and the settings of training."""
    splits = (data.train, data.validation, data.test)
    net, fixed = _made(data, make)
    shapes = [f"{name} {list(p.shape)} {p.requires_grad}" for name, p in net.named_parameters()]
    return {
        "net": type(net).__name__,
        "data": _digest(*(split.sha256() for split in splits)),
        "network": _digest(told_apart(repr(net)), *_sources(net), *shapes, *fixed),
        "likelihood": without_addresses(likelihood),
        **{name: value for name, value in settings.items() if name != "augment"},
        "augment": None if settings["augment"] is None else _digest(told_apart(settings["augment"])),
    }


def _made(data: datasets.Data, make: Factory) -> tuple[nn.Module, list[str]]:
    """The network, and digests of its tensors that are not random, such as those of a pretrained network.

    ValueError where one seed gives different networks: methods would not start alike.
    """
    net, again, other = (_seeded(data, make, seed) for seed in (0, 0, 1))
    if net is again:
        raise ValueError(
            "net() returns the same module at each call, so all seeds would start at the same weights: let it "
            "make a new one, or give the module itself, whose layers are then initialised again"
        )
    copied(net)  # what is not a network, or cannot be copied, is refused in words
    first, same, drawn = (_tensors(one) for one in (net, again, other))
    if differ := [name for name in first if same.get(name) != first[name]]:
        raise ValueError(
            f"net() draws a different {differ[0]} at each call under one seed, so methods would not start alike: "
            "draw it from PyTorch's random numbers, which torch.manual_seed sets"
        )
    return net, [digest for name, digest in first.items() if drawn.get(name) == digest]


def _seeded(data: datasets.Data, make: Factory, seed: int) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = make(data)
    if not isinstance(net, nn.Module):
        raise TypeError(f"net() returned a {type(net).__name__}: give a function that returns a new nn.Module")
    return net


def _tensors(net: nn.Module) -> dict[str, str]:
    return {name: sha256_of({name: value}) for name, value in (*net.named_parameters(), *net.named_buffers())}


def _sources(net: nn.Module) -> list[str]:
    """The code of the classes that are not PyTorch's; "" where it is not available, as in a console."""
    kinds = {type(module) for module in net.modules() if not type(module).__module__.startswith("torch.")}
    return sorted(map(_source, kinds))


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
