"""What cannot be fitted is refused here, before training."""

from __future__ import annotations

import math

import torch
from pyro import poutine

from bayesreg import guides, local
from bayesreg.datasets import Dataset
from bayesreg.device import choose_device
from bayesreg.model import Model, to_unit
from bayesreg.step import COMPILE

TRIAL = 8  # examples: with two BatchNorm divides by the difference of their outputs, which may be none


def check(
    model: Model,
    train: Dataset,
    *,
    guide: str,
    epochs: int,
    batch_size: int,
    lr: float,
    device: str | None,
    threads: int | None = None,
    compile: str = "auto",
    validation: Dataset | None = None,
) -> None:
    """Raise ValueError, with the value, the place and the remedy, for anything that cannot be fitted."""
    for name, value in {"epochs": epochs, "batch_size": batch_size}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"fit({name}={value!r}): {name} must be a whole number of at least 1")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ValueError(f"fit(threads={threads!r}): a whole number of at least 1, or None to choose by the work")
    if compile not in COMPILE:
        raise ValueError(f"fit(compile={compile!r}): one of {', '.join(COMPILE)}")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"fit(lr={lr}): the learning rate must be finite and above 0, as 1e-3")
    if batch_size > len(train):
        raise ValueError(
            f"fit(batch_size={batch_size}): larger than the {len(train)} training data; take at most {len(train)}"
        )
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
    x, y = train.x[rows], train.y[rows]
    buffers = dict(trial.net.named_buffers())
    with torch.random.fork_rng([]):
        try:
            with torch.no_grad():
                outputs = trial.net(to_unit(x))
        except (RuntimeError, TypeError, ValueError) as error:
            alone = "; the last batch of an epoch has one example: choose another batch_size" if few == 1 else ""
            raise ValueError(
                f"the network does not take x of shape {list(x.shape)}, {x.dtype}: {error}{alone}"
            ) from error
        replaced = [name for name, buffer in trial.net.named_buffers() if buffer is not buffers.get(name)]
        if replaced:  # in training it computes on tensors that stand in for its own
            raise ValueError(
                f"the network puts another tensor in place of its buffer {replaced[0]!r}, which would be lost: write "
                f"into it, as in self.{replaced[0].rpartition('.')[2]}.copy_(...)"
            )
        for data in (train, validation or train):
            trial.likelihood.check(outputs, data.y)
        if trial.local:
            local.check(trial.net, to_unit(x))
        trial.step = 0
        poutine.block(trial)(x, y)
