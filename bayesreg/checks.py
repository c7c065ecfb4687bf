"""What cannot be fitted is refused here, before training."""

from __future__ import annotations

import math
import os
import warnings
from numbers import Real
from typing import Any

import torch
from pyro import poutine
from torch import Tensor
from torch.func import functional_call

from bayesreg import guides, local, network, structure
from bayesreg.datasets import Dataset, as_dataset
from bayesreg.device import choose_device
from bayesreg.guides import Guide
from bayesreg.model import Model, to_unit
from bayesreg.priors.base import whole
from bayesreg.step import COMPILE
from bayesreg.structure import X
from bayesreg.update import Update

THREADS = 64  # at most, or the number of cores: some thousand end the process
SEEDS = 2**32  # PyTorch heeds no more bits of a seed
TRIAL = 8  # examples: with two BatchNorm divides by the difference of their outputs, which may be none


def given(model: Model, guide: Any, train: Any, validation: Any) -> tuple[Guide, Dataset, Dataset | None]:
    """What `fit` is given, as it needs it: the guide as an object, and Datasets in the precision of the network."""
    if not isinstance(model, Model):
        raise ValueError(
            f"fit(model={type(model).__name__}) is no br.Model; write "
            "br.Model(net, br.L2(scale=1.0), br.Categorical(), size=len(data.train))"
        )
    validation = None if validation is None else _in_precision(model, as_dataset(validation, "validation"))
    return guides.as_guide(guide), _in_precision(model, as_dataset(train)), validation


def _in_precision(model: Model, data: Dataset) -> Dataset:
    x = model.in_precision(data.x)
    same = all(ours is own for ours, own in zip(structure.leaves(x), structure.leaves(data.x), strict=True))
    return data if same else Dataset(x, data.y)


def check(
    model: Model,
    train: Dataset,
    *,
    guide: Any,
    epochs: int,
    batch_size: int,
    lr: float,
    device: str | None,
    seed: int = 0,
    threads: int | None = None,
    compile: str = "auto",
    validation: Dataset | None = None,
    early_stopping: bool = False,
    update: Update | None = None,
) -> None:
    """Raise ValueError, with the value, the place and the remedy, for anything that cannot be fitted."""
    whole("fit", epochs=epochs, batch_size=batch_size)
    if threads is not None:
        whole("fit", most=max(THREADS, os.cpu_count() or 1), threads=threads)
    check_seed("fit", seed)
    if compile not in COMPILE:
        raise ValueError(f"fit(compile={compile!r}): one of {', '.join(COMPILE)}")
    check_rate("fit", lr)
    if not isinstance(early_stopping, bool) or (early_stopping and validation is None):
        raise ValueError(
            f"fit(early_stopping={early_stopping!r}) keeps the parameters of the epoch that is best on validation: "
            "write early_stopping=True and validation=data.validation"
        )
    if early_stopping and not guides.as_guide(guide).rewinds:
        raise ValueError(
            f"the guide {guide} is made of the parameters at the end of training, and early stopping goes back to an "
            "earlier epoch: take one of the two, or the guide delta"
        )
    if update is not None:
        _check_update(update, model, guides.as_guide(guide), lr)
    if model.size != len(train):
        raise ValueError(
            f"Model(size={model.size}) is not the number of training data, {len(train)}: size scales the likelihood "
            "against the prior; write size=len(data.train)"
        )
    choose_device(device)
    guides.create(guide, model)
    trial = model.copy().train()  # as it will be trained; the caller's keeps its mode and buffers
    few = min(TRIAL, len(train) % batch_size or batch_size)  # one, where the last batch has one
    rows = torch.arange(few) * len(train) // few  # neighbours may be alike
    x, y = train.batch(rows)
    buffers = dict(trial.net.named_buffers())
    with torch.random.fork_rng([]):
        with torch.no_grad():
            outputs = _outputs(trial, x, y, train)
            _check_buffers(trial, buffers)
            _warn_of_probabilities(trial, to_unit(x), outputs)
            if validation is not None:
                _check_validation(trial.eval(), validation)
        trial.train()
        if trial.local:
            local.check(trial.net, to_unit(x))
        poutine.block(trial)(x, y, {site: term.turns[0] for site, term in trial.terms.items()})


def _check_update(update: Update, model: Model, guide: Guide, lr: float) -> None:
    if not isinstance(update, Update):
        raise ValueError(f"fit(update={update!r}): give an Update, as br.methods.AdamW(0.1), or none")
    update.check_guide(guide)
    update.check_rate(lr)
    names = {name for block in model.blocks for name in block.shapes}
    learned = {name: p for name, p in model.net.named_parameters() if name in names}
    if not any(update.claims(name, p) for name, p in learned.items()):
        raise ValueError(f"fit(update={update!r}) claims none of the network's parameters: {', '.join(learned)}")


def check_seed(owner: str, seed: int) -> None:
    """Raise ValueError for what is no seed: two that PyTorch can't tell apart would pass for two runs."""
    whole(owner, least=0, most=SEEDS - 1, seed=seed)


def check_rate(owner: str, lr: Any) -> None:
    """Raise ValueError for what is no learning rate."""
    if isinstance(lr, bool) or not isinstance(lr, Real) or not 0 < float(lr) < math.inf:
        raise ValueError(f"{owner}(lr={lr!r}): the learning rate must be a number, finite and above 0, as 1e-3")


def _outputs(trial: Model, x: X, y: Tensor, data: Dataset) -> Tensor:
    """The network's outputs for a few examples x, y of the data, from which all targets can come."""
    alone = "; the last batch of an epoch has one example: choose another batch_size" if len(y) == 1 else ""
    try:
        outputs = network.outputs(trial.net, to_unit(x), alone)
    except ValueError as error:
        if isinstance(x, Tensor) and _takes(trial, y):
            raise ValueError(f"{error}; it takes y, so x and y may be in each other's place") from error
        raise
    trial.likelihood.check(outputs, data.y)
    return outputs


def _check_buffers(trial: Model, before: dict[str, Tensor]) -> None:
    """In training the network computes on tensors that stand in for its own: one put in their place would be lost."""
    replaced = [name for name, buffer in trial.net.named_buffers() if buffer is not before.get(name)]
    if replaced:
        raise ValueError(
            f"the network puts another tensor in place of its buffer {replaced[0]!r}, which would be lost: write "
            f"into it, as in self.{replaced[0].rpartition('.')[2]}.copy_(...)"
        )


def _takes(trial: Model, x: Tensor) -> bool:
    try:
        network.outputs(trial.net, x)
    except ValueError:
        return False
    return True


def _check_validation(trial: Model, validation: Dataset) -> None:
    try:
        _outputs(trial, *validation.batch(slice(2)), validation)
    except ValueError as error:
        raise ValueError(f"validation: {error}") from error
    if len(validation) < 2 and "r2" in trial.likelihood.metrics(validation.y):
        raise ValueError("validation has one example, and r2 needs a variance: give at least 2, or no validation")


def _warn_of_probabilities(trial: Model, x: X, outputs: Tensor) -> None:
    """Warn of a network that ends in what the likelihood applies itself, softmax or sigmoid, at whatever parameters."""
    name = trial.likelihood.squashed(outputs)
    for _ in range(4 if name else 0):  # by chance a network without one gives such outputs once
        theta = {name: torch.randn_like(p) for name, p in trial.net.named_parameters()}
        if trial.likelihood.squashed(functional_call(trial.net, theta, *structure.arguments(x))) != name:
            return
    if name:
        warnings.warn(
            f"the network ends in a {name}, and {type(trial.likelihood).__name__}() applies one itself: let the "
            f"network return its values before the {name}, or no prediction can be certain",
            stacklevel=4,  # the line that calls `fit`
        )
