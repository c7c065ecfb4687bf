"""A run of a comparison: one repeat of one task under one method."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from bayesreg import baseline_cache, diagnostics, runs, schedule
from bayesreg.checks import check, check_seed, given
from bayesreg.claims import Config
from bayesreg.datasets import Data
from bayesreg.methods import Method
from bayesreg.model import Model
from bayesreg.posterior import Posterior
from bayesreg.tasks import Task

Stage = Literal["tune", "test"]
CACHED = 4  # data sets that a worker keeps: seed by seed, it goes from task to task
CHECKED = ("epochs", "batch_size", "lr", "device", "seed", "threads", "compile", "early_stopping", "update")


@dataclass(frozen=True)
class Repeat:
    """Which repeat of a task and method it is: what is drawn again in each repeat, the same for all methods.

    seed: of the initial weights, the order of the data and the guide's draws. stage: "tune" for a run that only helps
    to choose a strength, and never sees the test data; "test" for one that is reported; None for a single run, which
    does both. fold: of `folds`, into which the seed `partition` divides the rows; None for the task's own split.
    """

    seed: int = 0
    stage: Stage | None = None
    partition: int | None = None
    fold: int | None = None
    folds: int | None = None

    def record(self) -> dict[str, Any]:
        """For config.json."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        fold = "" if self.fold is None else f" fold {self.fold + 1}/{self.folds} of partition {self.partition}"
        return f"seed {self.seed}{fold}"


@dataclass(frozen=True)
class Where:
    """Where a run takes place, in the options of `fit`: it changes no result, and is not recorded."""

    device: str | None = None
    threads: int | None = None
    compile: str = "auto"


class Prepared(NamedTuple):
    """Everything a run needs, checked."""

    config: Config
    model: Model
    data: Data
    options: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One repeat of a task under a method."""

    task: Task
    method: Method
    repeat: Repeat = Repeat()
    where: Where = Where()
    label: str = ""  # of the task among others

    def __str__(self) -> str:
        return f"{self.label or self.task.name} {self.method.text} {self.repeat}"

    @cached_property
    def config(self) -> Config:
        """What is recorded and identifies this run: `bayesreg.runs` says what the groups are."""
        return {"task": self.task.record(), "candidate": self.method.record(), "replicate": self.repeat.record()}

    def directory(self, root: str | Path) -> Path:
        """The run's own directory below the root, named after its options."""
        return Path(root) / plain(self.task.name) / self._name

    @cached_property
    def _name(self) -> str:
        fold = "" if self.repeat.fold is None else f"_fold{self.repeat.fold}"
        return f"{plain(self.method.text)}_seed{self.repeat.seed}{fold}_{runs.key(self.config)}"

    def build(self) -> Prepared:
        """Load, build and check everything. ValueError or OSError for what cannot run, before any training.

        MemoryError for a network that is too large.
        """
        check_seed("fit", self.repeat.seed)
        self.task.check()
        data = data_of(self.task, self.repeat)
        with torch.random.fork_rng([]):
            torch.manual_seed(self.repeat.seed)  # the same weights for every method
            try:
                net = self.task.network(data)
            except RuntimeError as error:  # PyTorch's allocator
                why = str(error).partition("\n")[0]
                raise MemoryError(f"the network cannot be made, {why}: make it smaller") from None
        likelihood, size = self.task.likelihood(), len(data.train)
        self.method.check(net, likelihood, data)
        model = Model(self.method.network(net), self.method.prior(size), self.method.likelihood(likelihood), size)
        options = self.task.training() | asdict(self.where) | self.method.training()
        options |= {"guide": self.method.guide, "seed": self.repeat.seed}
        return Prepared(self.config, model, data, options)

    def check(self) -> None:
        """Build and try what `fit` would refuse."""
        _, model, data, options = self.build()
        guide, train, validation = given(model, options["guide"], data.train, data.validation)
        usual = {"epochs": 1, "batch_size": schedule.batch_size(len(train)), "lr": schedule.LR, "device": None}
        asked = {name: value for name, value in options.items() if name in CHECKED and value is not None}
        check(model, train, guide=guide, validation=validation, **(usual | asked))

    def execute(
        self, directory: Path, shared: Path | None = None, progress: bool = False, wait: bool = True, draw: bool = False
    ) -> dict[str, Any]:
        """Train, evaluate and record, with the baselines of its data; a finished run is not repeated.

        shared: the folder of the baselines of all runs; None: they are not shared. draw: plot diagnostics of what was
        learned. Returns the result and its directory.
        """
        tested = self.repeat.stage != "tune"
        config, model, data, options = self.build()
        with silenced("bayesreg.convergence"):  # the summary of the runs says it
            outcome = runs.execute(directory, config, model, data, test=tested, wait=wait, progress=progress, **options)
        if draw and outcome["status"] == "done":
            diagnostics.draw([runs.load(directory, model.net)], directory / "diagnostics")
        known = baseline_cache.record(directory, shared, data, **self.task.baseline_options()) if tested else {}
        return outcome | {"directory": str(directory), "baselines": known}

    def posterior(self, directory: Path, shared: Path | None = None, progress: bool = False) -> Posterior:
        """Its posterior; the run is executed first if need be. Raises ValueError where it ended without one."""
        outcome = self.execute(directory, shared, progress)
        if outcome["status"] != "done":
            raise ValueError(f"{self}: {outcome['message']}")
        return runs.load(directory, self.build().model.net)

    def done(self, directory: Path) -> dict[str, Any] | None:
        """The result, where nothing is left to do."""
        whole = self.repeat.stage == "tune" or (directory / baseline_cache.FILE).exists()
        return runs.done(directory, self.config) if whole else None

    def refuse(self, reason: str, root: str | Path) -> None:
        """Record why this run has no meaning, where it would have left its result."""
        runs.refuse(self.directory(root), self.config, reason, wait=True)

    def fail(self, reason: str, root: str | Path) -> None:
        """Record what stopped this run, unless another process is working on it by now."""
        with suppress(runs.Claimed):
            runs.fail(self.directory(root), self.config, reason)

    def under(self, **changes: Any) -> Run:
        """The same run with another method or repeat."""
        return replace(self, **changes)


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """Suppress the warnings of one logger."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def plain(text: str) -> str:
    """A text as part of a path."""
    return "".join(letter if letter.isalnum() or letter in "+@-_" else "=" for letter in text)[:80]


@lru_cache(maxsize=CACHED)
def _loaded(task: Task) -> Data:
    return task.load()


@lru_cache(maxsize=CACHED)
def _folded(task: Task, partition: int, fold: int, folds: int) -> Data:
    return _loaded(task).fold(fold, of=folds, seed=partition)


def data_of(task: Task, repeat: Repeat) -> Data:
    """The task's data as a repeat sees them; data read for an earlier run are not read again."""
    if repeat.fold is None:
        return task.limited(_loaded(task))
    return task.limited(_folded(task, repeat.partition or 0, repeat.fold, repeat.folds or 1))
