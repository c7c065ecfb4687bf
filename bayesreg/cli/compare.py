"""A comparison from the command line: `bayesreg compare wine.csv --target class`."""

from __future__ import annotations

import importlib.util
import logging
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from bayesreg.cli.command import Loudness, command, read, refused

if TYPE_CHECKING:
    from bayesreg.comparison import Comparison
    from bayesreg.tasks import Task

TABLES = (".csv", ".tsv", ".parquet", ".gz", ".bz2", ".xz", ".zip", ".zst")
TASKS = ("synthetic", "digits", "diabetes")
METHODS = ["none", "l1", "l2", "smoothness", "entropic", "ard", "l2@normal", "dropout", "early_stopping"]


@dataclass(frozen=True)
class Compare:
    """Compare methods that regularise a network: every method, strength and seed on every task, a table and a page.

    Strengths are chosen on validation, over as many candidates for each method, by seeds of their own; what is reported
    on test are fresh seeds. One seed gives every method the same initial weights and batches. What is done is not done
    again, so an interrupted comparison goes on.
    """

    tasks: Annotated[list[str], tyro.conf.Positional] = field(default_factory=lambda: list(TASKS))
    """Tasks by name, with options of their own where they need them ("beijing --net transformer"); tables, as wine.csv
    with --target class, for which an MLP is taken; or Python files that define task or tasks: br.Task(net, data)."""
    target: str | None = None
    """Of a table, the column that is to be predicted."""
    group: str | None = None
    """Of a table, a column: rows of one group stay together in train, validation or test."""
    time: str | None = None
    """Of a table, a column: train comes before validation, and that before test."""
    methods: list[str] = field(default_factory=lambda: METHODS)
    """Which: none, priors (l2, l2:1e-4, ard@normal), techniques (dropout, early_stopping), sums (l2+dropout); all."""
    seeds: int = 8
    """How many paired seeds are reported: 0, 1, …"""
    folds: int | None = None
    """Into how many folds each seed divides the rows; 1: the data's own split; None: 5 where the data are small."""
    select: str = "nll"
    """The metric on validation that strengths are chosen by."""
    epochs: int | None = None
    """Passes over the training data; None takes each task's own."""
    batch_size: int | None = None
    """Examples a step; None takes each task's own."""
    lr: float | None = None
    """Adam's learning rate at the start; None takes each task's own."""
    train_size: int | None = None
    """Train on that many examples only; None takes all. Not of a table or a file."""
    workers: int | None = None
    """Runs at a time; None takes one a core."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; None takes a GPU where there is one."""
    threads: int | None = None
    """Threads of a run on the CPU; None takes one for a small network and all of its share for a large one."""
    data_dir: Path | None = None
    """Where the data files are; else $BAYESREG_DATA, else the user's cache."""
    output: Path | None = None
    """Where the runs go; None takes runs/ and the name of the task, or runs/compare."""
    report: Path | None = None
    """Where the report goes, index.html and its pictures; None takes report/ below --output."""

    def comparison(self) -> Comparison:
        """What is asked for. ValueError, TypeError or OSError for what cannot be."""
        from bayesreg.comparison import Comparison
        from bayesreg.grid import Where
        from bayesreg.methods import as_methods

        if not self.methods:
            raise ValueError("--methods names none: give at least one, or leave the option out")
        methods = as_methods(self.methods)
        tasks = tuple(task for text in self.tasks for task in self._tasks(text))
        name = tasks[0].name if len(tasks) == 1 else "compare"
        return Comparison(
            tasks=tasks,
            methods=methods,
            output=self.output or Path("runs") / name,
            seeds=self.seeds,
            folds=self.folds,
            select=self.select,
            where=Where(device=self.device, threads=self.threads),
            workers=self.workers,
        )

    def _tasks(self, text: str) -> list[Task]:
        from bayesreg.tasks import as_task

        if text.endswith(TABLES):
            return [self._table(Path(text))]
        if text.endswith(".py"):
            return _defined(Path(text))
        given = {name: value for name in self._shared() if (value := getattr(self, name)) is not None}
        task: Any = as_task(text)
        if self.train_size is not None:
            given |= {"batch_size": min(given.get("batch_size", task.batch_size), self.train_size)}
        return [replace(task, **given)]

    def _shared(self) -> list[str]:
        """The options that every registered task has too."""
        from bayesreg.tasks import Registered

        return [field.name for field in fields(self) if field.name in {own.name for own in fields(Registered)}]

    def _table(self, path: Path) -> Task:
        from bayesreg.datasets import Data
        from bayesreg.schedule import LR
        from bayesreg.tasks import Task

        if self.target is None:
            raise ValueError(f"{path} is a table: say which column is to be predicted, as --target class")
        data = Data.from_table(path, target=self.target, group=self.group, time=self.time)
        lr = LR if self.lr is None else self.lr
        return Task(None, data, epochs=self.epochs, batch_size=self.batch_size, lr=lr)


def _defined(path: Path) -> list[Task]:
    """The task, or the tasks, that a Python file defines. ValueError where it defines none."""
    import cloudpickle

    from bayesreg.tasks import as_task

    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))
    spec.loader.exec_module(module)
    cloudpickle.register_pickle_by_value(module)  # workers do not find the file
    found = getattr(module, "tasks", None) or [getattr(module, "task", None)]
    if found == [None]:
        raise ValueError(f"{path} defines neither task nor tasks: write task = br.Task(net, data) in it")
    return [as_task(task) for task in found]


@dataclass(frozen=True)
class Command(Compare, Loudness):
    __doc__ = Compare.__doc__


@command
def main() -> None:
    """Run the grid, print the table, write the report. Exit status 2 for bad input, 1 where something failed."""
    asked = read(Command, sys.argv[0])
    asked.apply(usual="WARNING")
    logging.captureWarnings(True)
    run(asked)


def run(asked: Compare) -> None:
    """The same, asked for in whatever way."""
    from bayesreg.folder import in_words, make_writable
    from bayesreg.study import Study

    with refused():
        comparison = asked.comparison()
        report = asked.report or comparison.output / "report"
        comparison.check()
        make_writable(comparison.output, report)
        comparison.prepare()
    try:
        comparison.run()
        study = Study(comparison.output, comparison.record(), comparison.failed)
        page = study.report(report)
        print(study)
        print(page)
    except BrokenPipeError:  # nobody reads the table; the report is written
        raise
    except (OSError, ValueError) as error:
        comparison.failed.append(in_words(error))
    finally:
        for message in comparison.failed:
            print(f"failed: {message}", file=sys.stderr)
    sys.exit(1 if comparison.failed else 0)
