"""What a comparison is: every method on every task, their repeats, and the folder where it is kept."""

from __future__ import annotations

import functools
import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cloudpickle

from bayesreg import __version__, statistics
from bayesreg.comparison import stages
from bayesreg.comparison.budget import in_seconds
from bayesreg.comparison.dry_run import DryRun
from bayesreg.comparison.folder import FORMAT, PICKLED, SETTINGS, in_words, make_writable, settings
from bayesreg.engine import Engine, Local
from bayesreg.files import write_atomically
from bayesreg.grid import Repeat, Run, Stage, Where, data_of, plain
from bayesreg.labels import labels
from bayesreg.methods import Method
from bayesreg.metrics import METRICS
from bayesreg.priors.base import whole
from bayesreg.tasks import Registered, Task

log = logging.getLogger(__name__)

SEEDS, SEEDS_OF_FOLDS = 8, 4  # reported seeds, where a task has its own split, and where it has folds
TUNING = 3  # seeds for choosing a strength, without folds
FIRST_TUNING = 10_000  # the first of them: the reported ones begin at 0
MOST_SEEDS = 1_000
HERE = Where()
NONE = Method("none")


@dataclass
class Comparison:
    """Tasks × methods × strengths × repeats, below one folder.

    seeds: of the reported runs; None: 8, or 4 where each divides the rows into folds. folds: None means 5 for small
    data without a split of their own, else 1. select: the validation metric by which strengths are chosen. engine: what
    does the runs. budget: how long they may take, such as "2h", or in seconds; see `stages`.
    """

    tasks: tuple[Task, ...]
    methods: tuple[Method, ...]
    output: Path
    seeds: int | None = None
    folds: int | None = None
    select: str = statistics.SELECT
    where: Where = HERE
    engine: Engine = field(default_factory=Local)
    budget: str | float | None = None
    failed: list[str] = field(default_factory=list)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)  # the directories of all requested runs, below the output
    complete: bool = False  # every run was tried
    rounds: int | None = None  # seeds that fitted in the budget; None: all
    missing: str = ""  # what the budget left out, as a sentence
    noted: bool = False  # the folder holds this comparison

    @functools.cached_property
    def named(self) -> dict[str, Task]:
        """The tasks by name, with the options that distinguish registered ones of the same name."""
        given = [task.name for task in self.tasks if not isinstance(task, Registered)]
        if twice := [name for name in given if given.count(name) > 1]:
            raise ValueError(f"two tasks are called {twice[0]!r}: name them, as in br.Task(net, data, name='mine')")
        made = labels([task.name for task in self.tasks], [task.record() for task in self.tasks])
        if twice := [name for name in made if made.count(name) > 1]:
            raise ValueError(f"the task {twice[0]!r} is there twice: leave one out")
        return dict(zip(made, self.tasks, strict=True))

    @functools.cached_property
    def divided(self) -> dict[str, int]:
        """Into how many folds the rows of each task are divided; 1: it has its own split."""
        if self.folds is not None:
            return dict.fromkeys(self.named, self.folds)
        return {name: data_of(task, Repeat()).default_folds for name, task in self.named.items()}

    def seeds_of(self, task: str) -> int:
        """How many seeds of a task are reported."""
        usual = SEEDS if self.divided[task] == 1 else SEEDS_OF_FOLDS
        return usual if self.seeds is None else self.seeds

    def repeats(self, task: str, stage: Stage) -> list[Repeat]:
        """The repeats of a stage: tuning has seeds of its own, but the partitions of testing."""
        first = FIRST_TUNING if stage == "tune" else 0
        seeds, folds = self.seeds_of(task), self.divided[task]
        if folds == 1:
            number = min(TUNING, seeds) if stage == "tune" else seeds
            return [Repeat(first + seed, stage) for seed in range(number)]
        pairs = [(seed, fold) for seed in range(seeds) for fold in range(folds)]
        return [Repeat(first + seed, stage, partition=seed, fold=fold, folds=folds) for seed, fold in pairs]

    def check(self) -> None:
        """Raise ValueError for an impossible comparison, and for a folder that holds another one."""
        whole("compare", most=MOST_SEEDS, seeds=SEEDS if self.seeds is None else self.seeds)
        whole("compare", folds=1 if self.folds is None else self.folds)
        in_seconds(self.budget)
        if self.select not in METRICS:
            raise ValueError(f"select={self.select!r} is not a metric: {', '.join(METRICS)}")
        if not self.tasks:
            raise ValueError("no task to compare on: give at least one")
        names = [method.name for method in self.methods]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two methods are called {twice[0]!r}: results could not tell them apart; leave one out")
        for name in self.named:
            self._check(name)
        if (self.output / SETTINGS).exists():
            self._refuse_another(settings(self.output))
        self.engine.check(self.output)  # last, since it may start a cluster

    def _check(self, name: str) -> None:
        """Raise ValueError for what cannot be asked of a task."""
        task = self.named[name]
        data = data_of(task, Repeat())
        known = task.likelihood().metrics(data.train.y)
        if self.select not in known:
            raise ValueError(f"select={self.select!r} is not a metric of {name}: {', '.join(known)}")
        if self.divided[name] > 1:
            try:
                data.fold(0, self.divided[name])
            except ValueError as error:
                raise ValueError(f"folds={self.divided[name]} on {name}: {error}") from None

    def _refuse_another(self, there: dict[str, Any]) -> None:
        ours = json.loads(json.dumps(self.record()))
        for name in ours["tasks"].keys() & there["tasks"].keys():
            here, known = (one["tasks"][name] | {"folds": one["folds"].get(name)} for one in (ours, there))
            if differ := [key for key in known | here if known.get(key) != here.get(key)]:
                raise ValueError(
                    f"{self.output} holds the study of another task {name!r} (its {', '.join(differ)} differ): choose "
                    "another output, or give the task another name"
                )

    def record(self) -> dict[str, Any]:
        """For study.json."""
        missing = {"missing": self.missing} if self.missing else {}
        most = math.inf if self.rounds is None else self.rounds
        return missing | {
            "format": FORMAT,
            "version": __version__,
            "tasks": {name: task.record() for name, task in self.named.items()},
            "methods": [method.name for method in self.methods],
            "seeds": {name: min(self.seeds_of(name), most) for name in self.named},
            "folds": self.divided,
            "select": self.select,
            "runs": sorted(self.runs),
            "complete": self.complete,
        }

    def examine(self) -> None:
        """Try every method on every task, and note which have no meaning where; nothing is written.

        ValueError, OSError or MemoryError where a task cannot be trained at all, or every method is refused.
        """
        for name in self.named:
            self._try(name)
        if len(self.refused) == len(self.tasks) * len(self.methods):
            raise ValueError("; ".join(dict.fromkeys(self.refused.values())))

    def prepare(self) -> None:
        """Examine it, and write what the study is and what was refused."""
        self.examine()
        make_writable(self.output)
        self.note(())
        for (name, refused), reason in self.refused.items():
            log.warning("%s refused on %s: %s", refused, name, reason)
            self._refuse(name, refused, reason)

    def _try(self, name: str) -> None:
        task, (first, *others) = self.named[name], self._shapes(name)
        for method in self.methods:
            if reason := _refusal(Run(task, method.candidates[0], first, self.where, name)):
                self.refused[name, method.name] = reason
        for repeat in others:
            try:
                Run(task, NONE, repeat, self.where, name).check()
            except ValueError as error:
                raise ValueError(
                    f"{name}, {repeat}, where rare values in a column change the number of inputs: {error}; give "
                    "net=None, which fits any, or folds=1"
                ) from None

    def _shapes(self, name: str) -> list[Repeat]:
        """The first repeat of each shape of x: a rare category has no input in some folds."""
        first: dict[str, Repeat] = {}
        for repeat in self.repeats(name, "test")[: None if self.divided[name] > 1 else 1]:
            first.setdefault(str(data_of(self.named[name], repeat).features), repeat)
        return list(first.values())

    def _refuse(self, name: str, method: str, reason: str) -> None:
        task, repeat = self.named[name], self.repeats(name, "test")[0]
        run = Run(task, self.method(method).candidates[0], repeat, label=name)
        run.refuse(reason, self.output)
        self.note([run])

    def note(self, runs: Iterable[Run]) -> None:
        """Write that these runs belong to the study. An earlier complete study stays until this one is complete."""
        self.runs |= self._places(runs)
        path = self.output / SETTINGS
        there = settings(self.output) if path.exists() else {"complete": False}
        if self.complete or not there["complete"]:
            ours = json.loads(json.dumps(self.record()))
            if not self.noted or any(there.get(part) != ours[part] for part in ("tasks", "methods")):
                asked = replace(self, engine=Local(), budget=None, failed=[], refused={}, runs=set())
                content = cloudpickle.dumps(asked)
                write_atomically(self.output / PICKLED, lambda part: part.write_bytes(content))
                self.noted = True
            write_atomically(path, lambda part: part.write_text(json.dumps(ours, indent=2)))

    def leave_out(self, runs: Iterable[Run]) -> None:
        """Take these runs, which are not all there, out of the study; `note` writes it."""
        self.runs -= self._places(runs)

    def _places(self, runs: Iterable[Run]) -> set[str]:
        return {run.directory(self.output).relative_to(self.output).as_posix() for run in runs}

    def pairs(self) -> list[tuple[str, Method]]:
        """Every task, by name, with every method that has a meaning there."""
        return [(name, m) for name in self.named for m in self.methods if (name, m.name) not in self.refused]

    def outlook(self) -> DryRun:
        """What it would do, as far as that is known; nothing is written. The same errors as `prepare`."""
        self.examine()
        return DryRun(self)

    def run(self, progress: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        """Do every run that is not done yet, as far as the budget goes. OSError when the disk is full.

        clock: the time in seconds.
        """
        done = stages.run(self, progress, clock)
        self.rounds, self.missing = done.tested, done.missing
        self.complete = not self.missing
        self.note(())

    def method(self, name: str, strengths: Sequence[float] = ()) -> Method:
        """The method of that name, at its strengths."""
        method = next(method for method in self.methods if method.name == name)
        return method.at(strengths) if len(strengths) else method


def usual_output(tasks: Sequence[Task]) -> Path:
    """Where the runs go by default: runs/ and the name of the task, runs/compare for several."""
    return Path("runs") / (plain(tasks[0].name) if len(tasks) == 1 else "compare")


def _refusal(run: Run) -> str | None:
    """Why a method has no meaning on a task; None where it has. What would stop the task without a method is raised."""
    try:
        run.check()
    except (ValueError, MemoryError, RuntimeError) as error:  # RuntimeError from PyTorch's allocator
        run.under(method=NONE).check()
        return in_words(error)
    return None
