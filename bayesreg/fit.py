"""fit: from a model and data to a posterior."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bayesreg import schedule, structure
from bayesreg.checkpoint import Checkpoint, told_apart
from bayesreg.checks import check, given
from bayesreg.convergence import Convergence, judge
from bayesreg.datasets import Dataset
from bayesreg.device import choose_device
from bayesreg.guides import Guide
from bayesreg.model import Model
from bayesreg.posterior import Posterior
from bayesreg.progress import bar
from bayesreg.randomness import random_stream, seed_of
from bayesreg.step import Step
from bayesreg.structure import X
from bayesreg.threads import choose_threads, flops, surroundings
from bayesreg.units import start_in_unit_of
from bayesreg.update import Update

log = logging.getLogger(__name__)

SAVED_EVERY = 20.0  # seconds at least, between two checkpoints


class Diverged(ArithmeticError):
    """The loss became NaN or infinite. epoch and step count from 1; terms: nats per datum at that step."""

    def __init__(self, epoch: int, step: int, terms: dict[str, float], history: list[dict[str, float]]) -> None:
        name = max(terms, key=lambda name: abs(terms[name]) if math.isfinite(terms[name]) else math.inf)
        super().__init__(
            f"the loss is not finite at epoch {epoch}, step {step}; its largest term is {name} = {terms[name]:g} "
            "nats per datum; lower the learning rate or the prior's strength"
        )
        self.epoch, self.step, self.terms, self.history = epoch, step, terms, history


def fit(
    model: Model,
    train: Any,
    *,
    guide: Any = "delta",
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    validation: Any = None,
    augment: Callable[[X], X] | None = None,
    early_stopping: bool = False,
    update: Update | None = None,
    device: str | None = None,
    threads: int | None = None,
    compile: str = "auto",
    bfloat16: bool = False,
    progress: bool = True,
    checkpoint: str | Path | None = None,
) -> Posterior:
    """The posterior of the model given the training data.

    Adam on −ELBO / N, with the learning rate falling from `lr` to 0 along a half cosine. train: a Dataset, or what
    `datasets.as_dataset` makes one of, as (x, y). guide: a name in GUIDES, "delta" for MAP, "normal" for mean-field
    variational inference; one with options, such as br.guides.Normal(init_scale=0.1); or a Pyro guide of one's own, an
    automatic one built on `model.latents` or a function model → guide. lr: None means 5e-3. epochs: None means as many
    as make 4,000 steps; batch_size: None means 32 to 128, by the number of data, and a batch is never larger than that
    number. `Posterior.convergence` says if that was enough. seed: the order of the data and the guide's draws; the
    weights at the start are the network's own, where the noise scale is learned with the last layer in the unit of y
    (see `units`). validation: as train, judged after every epoch, into `Posterior.history`. augment: what is done to x
    [B, ...] of each batch, on the device, such as `datasets.flip_and_crop`; for several inputs it takes the tuple or
    dict, and returns one. PyTorch's random numbers within it depend only on the seed, the epoch and the step, so that
    all methods see the same. early_stopping: train for all epochs, and keep the parameters of the one with the lowest
    NLL on validation. update: what a step does to the weights besides Adam, such as `methods.AdamW(0.1)`. checkpoint: a
    file from which this fit, if interrupted, resumes bit for bit; it is removed at the end.

    device: None means a GPU where there is one. threads: of the CPU; None chooses by the work of a batch.
    compile: "never", "always", or "auto" for where it pays; the log says what was chosen. bfloat16: the
    network alone computes in it during training; densities and parameters stay as they are.

    The model and the network stay as they are. ValueError before training for what cannot work (see `check`), including
    a checkpoint of another fit; `Diverged` where the loss becomes NaN or infinite.
    """
    guide, train, validation = given(model, guide, train, validation)
    batch_size = schedule.batch_size(len(train)) if batch_size is None else batch_size
    lr = schedule.LR if lr is None else lr
    check(
        model,
        train,
        guide=guide,
        epochs=1 if epochs is None else epochs,
        batch_size=batch_size,
        lr=lr,
        device=device,
        seed=seed,
        threads=threads,
        compile=compile,
        validation=validation,
        early_stopping=early_stopping,
        update=update,
    )
    batch_size = min(int(batch_size), len(train))  # of NumPy's own kind, too
    epochs = schedule.epochs(len(train), batch_size) if epochs is None else int(epochs)
    once = partial(
        _fit,
        model=model,
        train=train,
        guide=guide,
        validation=validation,
        augment=augment,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        bfloat16=bfloat16,
        early_stopping=early_stopping,
        update=update,
        device=device,
        threads=threads,
        compile=compile,
        progress=progress,
        checkpoint=checkpoint,
    )
    return guide.train(once)


def _fit(
    *,
    guide: Guide,
    model: Model,
    train: Dataset,
    validation: Dataset | None,
    augment: Callable[[X], X] | None,
    device: str | None,
    threads: int | None,
    compile: str,
    progress: bool,
    checkpoint: str | Path | None,
    stays: bool = False,
    **decides: Any,
) -> Posterior:
    """One fit by gradient descent, of checked arguments. stays: its complete checkpoint is kept, as others follow."""
    epochs, batch_size, lr, seed = (decides[name] for name in ("epochs", "batch_size", "lr", "seed"))
    early_stopping, update = decides["early_stopping"], decides["update"]
    target = choose_device(device)
    model = model.copy().to(target).train()
    model.autocast = torch.bfloat16 if decides["bfloat16"] else None
    work = flops(model, structure.rows(train.x, slice(batch_size)))
    named = decides | {"guide": guide.name, "update": repr(update)}
    if guide.record():
        named["options of the guide"] = told_apart(tuple(sorted(guide.record().items())))
    kept = Checkpoint(checkpoint, model, train, validation, augment, stays, **named)
    with surroundings(target, seed, threads or choose_threads(work)), kept:
        steps = math.ceil(len(train) / batch_size)
        train = train.to(target)
        rates = start_in_unit_of(model, train, lr, epochs * steps)
        q = guide.create(model)
        run = _Run(q, Step(model, q, lr, epochs * steps, rates, update, guide.warm_up, guide.pace), seed, augment)
        log.info("step: %s", run.prepare(train, batch_size, epochs, work, compile))
        first = run.resume(kept)  # Adam's moments are the last to allocate memory
        posterior = Posterior(model, q, guide, run.history)
        shown = bar(range(first, epochs), initial=first, total=epochs, unit="epoch", show=progress)
        for epoch in shown:
            trained = run.epoch(train, order(len(train), seed, epoch), batch_size)
            guide.collect(q, (epoch + 1) / epochs)
            if epoch + 1 == epochs:
                guide.finish(posterior, train)
            row = {"epoch": epoch + 1, **trained}
            if validation is not None:
                row |= _judge(posterior, validation, run, steps)
            if early_stopping:
                row["best_epoch"] = run.best_epoch(row)
            run.history.append(row)
            shown_now = {k: f"{row[k]:.4g}" for k in row if k in ("nll", "penalty", "validation_nll")}
            shown.set_postfix(shown_now, refresh=False)  # a refresh would not wait the two seconds
            if guide.rewinds or epoch + 1 < epochs:  # else the checkpoint would lack what `finish` adds to q
                run.save(kept)
        posterior.warmup_seconds = run.step.prepare_seconds
        if run.best and run.best["epoch"] < epochs:
            run.back_to_best()
            posterior.convergence = Convergence(math.nan, math.nan, epochs, epochs, stopped=run.best["epoch"])
        else:
            losses = [row["loss"] for row in run.history]
            posterior.convergence = judge(run.step, train, batch_size, losses, work, augment)
    model.autocast = None
    posterior.convergence.say()
    return posterior


def _judge(posterior: Posterior, validation: Dataset, run: _Run, steps: int) -> dict[str, float]:
    """The validation metrics; `Diverged` where the last step has made the network's outputs overflow."""
    try:
        judged = posterior.evaluate(validation, progress=False)  # the progress bar is that of the epochs
    except FloatingPointError:
        raise Diverged(len(run.history) + 1, steps, {"validation_nll": math.nan}, run.history) from None
    return {f"validation_{name}": value for name, value in judged.items()}


def order(size: int, seed: int, epoch: int) -> Tensor:
    """The order of the data in one epoch, which depends only on the seed and the epoch."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed_of(seed, epoch)))


class _Run:
    """What changes while a model is trained, and what a checkpoint therefore holds."""

    def __init__(self, guide: Any, step: Step, seed: int, augment: Callable[[X], X] | None) -> None:
        self.guide, self.step, self.seed, self.augment = guide, step, seed, augment
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] | None = None  # of early stopping: the epoch, its NLL on validation, its tensors
        self._saved_at = time.monotonic()

    def prepare(self, train: Dataset, batch_size: int, epochs: int, work: float, compile: str) -> str:
        """Make the step ready for full batches and for the smaller one that ends an epoch; returns what was chosen."""
        full, rest = divmod(len(train), batch_size)
        rows = torch.arange(
            batch_size, device=train.y.device
        )  # an index, to get the memory layout of an epoch's batches
        x, y = train.batch(rows)
        x = self._augmented(x, 0, 0)
        how = self.step.prepare(x, y, epochs * full, work, compile)
        if rest:
            self.step.prepare(structure.rows(x, slice(rest)), y[:rest], epochs, work * rest / batch_size, "never")
        return f"{how}; threads: {torch.get_num_threads()} ({work:.2g} operations per forward pass)"

    def _augmented(self, x: X, epoch: int, number: int) -> X:
        """x after `augment`, whose random numbers are those of this step, whatever the prior and the guide draw."""
        if self.augment is None:
            return x
        with random_stream(self.step.parameters[0].device, self.seed, epoch, number):
            return self.augment(x)

    def epoch(self, train: Dataset, order: Tensor, batch_size: int) -> dict[str, float]:
        """One pass over the data: {"seconds", "loss", and every term of it}, the means over its steps."""
        start = time.perf_counter()
        terms = []
        for number, (x, y) in enumerate(train.batches(batch_size, order), start=1):  # 0 is that of the order
            terms.append(self.step(self._augmented(x, len(self.history), number), y))
        every = torch.stack(terms).cpu()  # waits for the device, so that the seconds are the whole epoch's
        seconds = time.perf_counter() - start
        self._refuse_divergence(every)
        if not all(bool(parameter.isfinite().all()) for parameter in self.step.parameters):
            last = {"a parameter after its update": math.nan}
            raise Diverged(len(self.history) + 1, len(terms), last, self.history)
        means = dict(zip(self.step.names, every.double().mean(0).tolist(), strict=True))
        moving = {"nll": means["likelihood"], "penalty": self.step.penalty(means)}  # no constants of densities
        terms_of_loss = {f"loss_{name}": value for name, value in means.items()}
        weights = [self.step.kl_weight(self.step.done - back) for back in range(len(terms), 0, -1)]
        weight = {"kl_weight": sum(weights) / len(weights)} if self.step.warm_up else {}
        return {"seconds": seconds, "loss": sum(means.values()), **moving, **terms_of_loss, **weight}

    def best_epoch(self, row: dict[str, float]) -> int:
        """The epoch with the lowest NLL on validation so far, whose parameters and buffers are kept."""
        nll = row["validation_nll"]
        if self.best is None or nll < self.best["nll"]:
            tensors = {name: tensor.clone() for name, tensor in self._tensors().items()}
            self.best = {"epoch": row["epoch"], "nll": nll, "tensors": tensors}
        return self.best["epoch"]

    def back_to_best(self) -> None:
        """Restore the guide and the network as they were at the end of that epoch."""
        if self.best:
            for name, tensor in self._tensors().items():
                tensor.copy_(self.best["tensors"][name])

    def _tensors(self) -> dict[str, Tensor]:
        return self.step.gradient.parameters | self.step.gradient.buffers

    def _refuse_divergence(self, terms: Tensor) -> None:
        bad = (~terms.sum(1).isfinite()).nonzero()
        if len(bad):
            step = int(bad[0, 0])
            named = dict(zip(self.step.names, terms[step].tolist(), strict=True))
            raise Diverged(len(self.history) + 1, step + 1, named, self.history)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint, unless the last one is recent; the one that is kept at the end in any case."""
        stays = checkpoint.stays and self.step.done == self.step.steps
        if checkpoint.path is None or (time.monotonic() - self._saved_at < SAVED_EVERY and not stays):
            return
        state = {
            "step": self.step.state(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state() if self.step.parameters[0].is_cuda else None,
            "history": self.history,
            "best": self.best,
        }
        checkpoint.write(state)
        self._saved_at = time.monotonic()

    def resume(self, checkpoint: Checkpoint) -> int:
        """Go back to the checkpoint, if there is one; the number of epochs done."""
        state = checkpoint.read()
        if state is None:
            return 0
        self.step.restore(state["step"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] is not None and self.step.parameters[0].is_cuda:
            torch.cuda.set_rng_state(state["cuda_rng"])
        self.history += state["history"]
        self.best = state["best"]
        return len(self.history)
