"""A comparison from the command line: `bayesreg compare wine.csv --target class`."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from bayesreg.cli.command import Verbosity, command, read, refused

if TYPE_CHECKING:
    from bayesreg.comparison import Comparison
    from bayesreg.tasks import Task

COLUMNS = ("target", "group", "time")  # options of a table
SETTINGS = ("epochs", "batch_size", "lr", "train_size")  # options that tasks have too
FILE = "bayesreg_file"  # names the module made of a user's file, so that it hides no other
TASKS = ("synthetic", "digits", "diabetes")
METHODS = ["none", "l1", "l2", "smoothness", "entropic", "ard", "l2@normal", "dropout", "early_stopping"]
HELP_TASKS = (
    'Names of tasks, in quotes with options of theirs ("beijing --net transformer"); tables, such as wine.csv with '
    "--target class, for which an MLP is trained; or Python files that define task or tasks: br.Task(net, data)."
)
HELP_BUDGET = (
    "Time for the runs, such as 2h, 1h30m or 45s: up to half of it to choose strengths, the rest for as many whole "
    "seeds of every method as fit. The same command with a longer budget, or without one, resumes."
)


@dataclass(frozen=True)
class Compare(Verbosity):
    """Compare methods that regularise a network: every method, strength and seed on every task; a table and a page.

    Strengths are chosen on validation, from as many candidates for each method, with seeds used for nothing else; the
    test results come from fresh seeds. One seed gives every method the same initial weights and batches. Finished runs
    are not repeated, so the same command resumes an interrupted comparison.
    """

    tasks: Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(help=HELP_TASKS)] = field(
        default_factory=lambda: list(TASKS)
    )
    target: str | None = None
    """Of a table: the column to predict."""
    group: str | None = None
    """Of a table: a column of groups, each of which stays together in train, validation or test."""
    time: str | None = None
    """Of a table: a column of times, by which train comes before validation, and validation before test."""
    methods: list[str] = field(default_factory=lambda: list(METHODS))
    """none; priors (l2, l2:1e-4, ard@normal); techniques (dropout, early_stopping); sums (l2+dropout); or all."""
    seeds: int | None = None
    """How many paired seeds (0, 1, …) are reported; None: 8, or 4 where each divides the rows into folds."""
    folds: int | None = None
    """How many folds each seed divides the rows into; 1: the data's own split; None: 5 where the data are small."""
    select: str = "nll"
    """The validation metric by which strengths are chosen."""
    epochs: int | None = None
    """Passes over the training data; None: each task's own."""
    batch_size: int | None = None
    """Examples per step; None: each task's own."""
    lr: float | None = None
    """Adam's learning rate at the start; None: each task's own."""
    train_size: int | None = None
    """Train on that many examples only; None: all. For registered tasks only."""
    engine: str = "local"
    """Where runs take place: local (worker processes on this machine), or ray or slurm (a cluster)."""
    workers: int | None = None
    """Runs at a time, which share the cores; None: one per core, as far as memory allows (slurm: 16)."""
    timeout: float | None = None
    """Seconds after which a run is stopped; None: no limit."""
    address: str | None = None
    """Of ray: the address of the cluster, such as head:6379; None: one that runs on this machine, else a new one."""
    slurm: list[str] | None = None
    """Of slurm: options of the array job, as submitit names them: partition=gpu time=120 (minutes) mem=8GB."""
    budget: Annotated[str | None, tyro.conf.arg(help=HELP_BUDGET)] = None
    dry_run: bool = False
    """Say which runs there are, which are done and how long the others would take; train and write nothing."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; None: a GPU where there is one."""
    threads: int | None = None
    """CPU threads of a run; None: one for a small network, all of its share for a large one."""
    data_dir: Path | None = None
    """Where the data files are; None: $BAYESREG_DATA, else the user's cache."""
    output: Path | None = None
    """Where the runs go; None: runs/ and the name of the task, or runs/compare for several."""
    report: Path | None = None
    """Where the report goes (index.html and its figures); None: report/ below --output."""

    def comparison(self) -> Comparison:
        """The comparison that the options ask for. ValueError, TypeError or OSError for bad input."""
        from bayesreg.comparison import Comparison, usual_output
        from bayesreg.engine import as_engine
        from bayesreg.grid import Where
        from bayesreg.methods import as_methods

        columns = [name for name in COLUMNS if getattr(self, name) is not None]
        if columns and not any(map(_is_table, self.tasks)):
            raise ValueError(f"--{columns[0]} {getattr(self, columns[0])} has no effect: none of the tasks is a table")
        methods = as_methods(self.methods)
        tasks = tuple(task for text in self.tasks for task in self._tasks(text))
        return Comparison(
            tasks=tasks,
            methods=methods,
            output=self.output or usual_output(tasks),
            seeds=self.seeds,
            folds=self.folds,
            select=self.select,
            where=Where(device=self.device, threads=self.threads),
            engine=as_engine(
                self.engine, workers=self.workers, timeout=self.timeout, address=self.address, slurm=self.slurm
            ),
            budget=self.budget,
        )

    def _tasks(self, text: str) -> list[Task]:
        from bayesreg.tasks import Registered, as_task

        found = [self._table(Path(text))] if _is_table(text) else _defined(Path(text)) if _is_file(text) else [text]
        settings = {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}
        place = {} if self.data_dir is None else {"data_dir": self.data_dir}
        tasks = [as_task(task) for task in found]
        return [task.under(**settings, **(place if isinstance(task, Registered) else {})) for task in tasks]

    def _table(self, path: Path) -> Task:
        from bayesreg.datasets import Data
        from bayesreg.tasks import Task

        if self.target is None:
            raise ValueError(f"{path} is a table: say which column to predict, as in --target class")
        return Task(None, Data.from_table(path, target=self.target, group=self.group, time=self.time))


def _is_file(text: str) -> bool:
    """A file has a suffix, and the name of a task has none."""
    return bool(Path(text.partition(" -")[0]).suffix)


def _is_table(text: str) -> bool:
    return _is_file(text) and not text.endswith(".py")


def _defined(path: Path) -> list[Any]:
    """The tasks that a Python file defines as `tasks`, else as `task`. ValueError where it defines none, or raises."""
    module = _imported(path)
    if not hasattr(module, "tasks") and not hasattr(module, "task"):
        raise ValueError(f"{path} defines neither task nor tasks: write task = br.Task(net, data) in it")
    found = getattr(module, "tasks", None) or module.task
    return list(found) if isinstance(found, list | tuple) else [found]


def _imported(path: Path) -> ModuleType:
    """The module of a file, pickled by value, since workers could not import it."""
    import cloudpickle

    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"{FILE}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.parent.resolve()))  # what lies beside it can be imported, here and by workers
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        why = " ".join(str(getattr(error, "msg", error)).split())
        raise ValueError(f"{path}, line {_line(path, error)}: {type(error).__name__}: {why}") from None
    cloudpickle.register_pickle_by_value(module)
    return module


def _line(path: Path, error: Exception) -> int | None:
    """The line of a file at which an error arose."""
    passed = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        passed += [(error.filename or "", error.lineno)]
    return [line for file, line in passed if Path(file).resolve() == path.resolve()][-1]


@command
def main() -> None:
    """Exit status 2 for bad input, 1 where something failed."""
    sys.exit(run(read(Compare, sys.argv[0])))


def run(asked: Compare) -> int:
    """Run the grid, print the table, write the report. 1 where something failed; ends with 2 for bad input."""
    from bayesreg.comparison.folder import check_writable, in_words, make_writable
    from bayesreg.study import Study

    with refused():
        comparison = asked.comparison()
        report = asked.report or comparison.output / "report"
        comparison.check()
        if asked.dry_run:
            check_writable(comparison.output, report)
            print(comparison.outlook())
            return 0
        comparison.prepare()
        make_writable(report)
    try:
        comparison.run()
        study = Study(comparison.output, comparison.record(), comparison.failed)
        page = study.report(report) if comparison.rounds else None
        print(study)
        if page:
            print(page)
    except BrokenPipeError:  # nobody reads the table, but the report is written
        raise
    except (OSError, ValueError) as error:
        comparison.failed.append(in_words(error))
    finally:
        for message in comparison.failed:
            print(f"failed: {message}", file=sys.stderr)
    return int(bool(comparison.failed))
