"""fit: from a model and data to a posterior."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import torch
from pyro.infer.autoguide import AutoDelta
from pyro.infer.autoguide.utils import deep_setattr
from torch import Tensor
from tqdm import tqdm

from bayesreg import guides
from bayesreg.checks import check
from bayesreg.datasets import Dataset
from bayesreg.device import choose_device, choose_threads, flops, random_stream, seed_of, surroundings
from bayesreg.files import write_atomically
from bayesreg.model import Model
from bayesreg.posterior import Posterior
from bayesreg.step import Step

log = logging.getLogger(__name__)


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
    train: Dataset,
    *,
    guide: str = "delta",
    epochs: int = 30,
    batch_size: int = 128,
    lr: float = 1e-3,
    seed: int = 0,
    validation: Dataset | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    device: str | None = None,
    threads: int | None = None,
    compile: str = "auto",
    bfloat16: bool = False,
    progress: bool = True,
    checkpoint: str | Path | None = None,
) -> Posterior:
    """The posterior of the model given the training data.

    Adam on −ELBO / N, with the learning rate falling from `lr` to 0 along a half cosine. guide: a name in
    GUIDES, "delta" for MAP, "normal" for mean-field variational inference. seed: the order of the data and
    the guide's draws; the weights at the start are the network's own. validation: judged after every epoch,
    into `Posterior.history`. augment: what is done to x [B, ...] of each batch, on the device, such as
    `datasets.flip_and_crop`; PyTorch's random numbers within it depend on the seed, the epoch and the step alone, so
    that all methods see the same. checkpoint: a file from which an interrupted run goes on, bit for bit.

    device: None takes a GPU where there is one. threads: of the CPU; None chooses by the work of a batch.
    compile: "never", "always", or "auto" for where it pays; the log says what was chosen. bfloat16: the
    network alone computes in it while it is trained; densities and parameters stay as they are.

    The model and the network stay as they are. ValueError for what cannot work (see `check`), before
    training; `Diverged` where the loss becomes NaN or infinite.
    """
    options: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "device": device}
    options |= {"threads": threads, "compile": compile}
    check(model, train, guide=guide, validation=validation, **options)
    target = choose_device(device)
    model = model.copy().to(target).train()
    model.autocast = torch.bfloat16 if bfloat16 else None
    work = flops(model, train.x[:batch_size])
    with surroundings(target, seed, threads or choose_threads(work)):
        steps = math.ceil(len(train) / batch_size)
        run = _Run(model, guides.create(guide, model), lr, epochs * steps, seed, augment)
        train = train.to(target)
        log.info("step: %s", run.prepare(train, batch_size, epochs, work, compile))
        first = run.resume(checkpoint)  # Adam's moments are the last to take memory
        posterior = Posterior(model, run.guide, guide, run.history)
        hidden = None if progress else True  # None: where there is no terminal
        bar = tqdm(range(first, epochs), initial=first, total=epochs, unit="epoch", disable=hidden)
        for epoch in bar:
            trained = run.epoch(train, order(len(train), seed, epoch).to(target), batch_size)
            row = {"epoch": epoch + 1, **trained}
            if validation is not None:
                row |= _judge(posterior, validation, run, steps)
            run.history.append(row)
            bar.set_postfix({k: f"{row[k]:.4g}" for k in row if k in ("loss", "validation_nll")})
            run.save(checkpoint)
        posterior.warmup_seconds = run.step.prepare_seconds
    model.autocast, model.step = None, None
    if isinstance(run.guide, AutoDelta):
        _profile(model, run.guide)
    return posterior


def _profile(model: Model, guide: AutoDelta) -> None:
    """Put each prior's own latents exactly at their maximum given θ, where Adam has only come near it."""
    with pyro.settings.context(module_local_params=True):
        sites = guide.median()
        for block in model.blocks:
            for site, value in (block.prior.profile(block.site, sites[block.site]) if block.prior else {}).items():
                deep_setattr(guide, site, value)


def _judge(posterior: Posterior, validation: Dataset, run: _Run, steps: int) -> dict[str, float]:
    """The validation metrics; `Diverged` where the last step has made the network's outputs overflow."""
    try:
        judged = posterior.evaluate(validation)
    except FloatingPointError:
        raise Diverged(len(run.history) + 1, steps, {"validation_nll": math.nan}, run.history) from None
    return {f"validation_{name}": value for name, value in judged.items()}


def order(size: int, seed: int, epoch: int) -> Tensor:
    """The order of the data in one epoch: it depends on the seed and the epoch alone."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed_of(seed, epoch)))


class _Run:
    """What changes while a model is trained, and what a checkpoint therefore holds."""

    def __init__(
        self, model: Model, guide: Any, lr: float, steps: int, seed: int, augment: Callable[[Tensor], Tensor] | None
    ) -> None:
        self.guide, self.seed, self.augment = guide, seed, augment
        self.step = Step(model, guide, lr, steps)
        self.history: list[dict[str, float]] = []
        self._saved_at = time.monotonic()

    def prepare(self, train: Dataset, batch_size: int, epochs: int, work: float, compile: str) -> str:
        """Make the step ready for full batches and for the smaller one that ends an epoch; says what was chosen."""
        full, rest = divmod(len(train), batch_size)
        rows = torch.arange(batch_size, device=train.y.device)  # an index, for the layout that an epoch's batches have
        x, y = self._augmented(train.x[rows], 0, 0), train.y[rows]
        how = self.step.prepare(x, y, epochs * full, work, compile)
        if rest:
            self.step.prepare(x[:rest], y[:rest], epochs, work * rest / batch_size, "never")
        return f"{how}; threads: {torch.get_num_threads()} ({work:.2g} operations a forward pass)"

    def _augmented(self, x: Tensor, epoch: int, number: int) -> Tensor:
        """x after `augment`, whose random numbers are those of this step, whatever the prior and the guide draw."""
        if self.augment is None:
            return x
        with random_stream(x.device, self.seed, epoch, number):
            return self.augment(x)

    def epoch(self, train: Dataset, order: Tensor, batch_size: int) -> dict[str, float]:
        """One pass over the data: {"seconds", "loss", and every term of it}, the means over its steps."""
        start = time.perf_counter()
        terms = []
        for number, batch in enumerate(order.split(batch_size), start=1):  # 0 is the order's own
            x = self._augmented(train.x[batch], len(self.history), number)
            terms.append(self.step(x, train.y[batch]))
        every = torch.stack(terms).cpu()  # waits for the device, so that the seconds are the whole epoch's
        seconds = time.perf_counter() - start
        self._refuse_divergence(every)
        if not all(bool(parameter.isfinite().all()) for parameter in self.step.parameters):
            last = {"a parameter after its update": math.nan}
            raise Diverged(len(self.history) + 1, len(terms), last, self.history)
        means = dict(zip(self.step.names, every.double().mean(0).tolist(), strict=True))
        return {"seconds": seconds, "loss": sum(means.values()), **{f"loss_{k}": v for k, v in means.items()}}

    def _refuse_divergence(self, terms: Tensor) -> None:
        bad = (~terms.sum(1).isfinite()).nonzero()
        if len(bad):
            step = int(bad[0, 0])
            named = dict(zip(self.step.names, terms[step].tolist(), strict=True))
            raise Diverged(len(self.history) + 1, step + 1, named, self.history)

    def save(self, checkpoint: str | Path | None, every: float = 20.0) -> None:
        """Write the checkpoint, at most once in `every` seconds."""
        if checkpoint is None or time.monotonic() - self._saved_at < every:
            return
        state = {
            "step": self.step.state(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state() if self.step.parameters[0].is_cuda else None,
            "history": self.history,
        }
        write_atomically(checkpoint, lambda path: torch.save(state, path))
        self._saved_at = time.monotonic()

    def resume(self, checkpoint: str | Path | None) -> int:
        """Go back to the checkpoint, if there is one; the number of epochs done."""
        if checkpoint is None or not Path(checkpoint).exists():
            return 0
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        self.step.restore(state["step"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] is not None and self.step.parameters[0].is_cuda:
            torch.cuda.set_rng_state(state["cuda_rng"])
        self.history += state["history"]
        return len(self.history)
