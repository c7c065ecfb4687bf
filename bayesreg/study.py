"""compare(...) → Study: which method regularises this network best, at what strength, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from bayesreg import report, runs, statistics
from bayesreg.comparison import Comparison, folder, usual_output
from bayesreg.conclusion import Conclusion, conclude
from bayesreg.datasets import Data
from bayesreg.engine import Engine, as_engine
from bayesreg.files import Unusable, read_json
from bayesreg.grid import Repeat, Run, Where, data_of
from bayesreg.methods import as_methods
from bayesreg.posterior import Posterior
from bayesreg.tasks import Task, as_task

LAST = ("nll − none", "verdict", "")  # columns of the table as it is printed
DEFAULT = ("none", "l1", "l2", "ard", "dropout", "early_stopping")


def compare(
    net: Any = None,
    data: Any = None,
    *,
    methods: Sequence[Any] = DEFAULT,
    tasks: Sequence[Any] | None = None,
    target: str | None = None,
    likelihood: Any = None,
    metric: str | None = None,
    seeds: int | None = None,
    folds: int | None = None,
    select: str = statistics.SELECT,
    output: str | Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    augment: Callable[[Any], Any] | None = None,
    name: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    engine: str | Engine = "local",
    workers: int | None = None,
    timeout: float | None = None,
    address: str | None = None,
    slurm: Mapping[str, Any] | None = None,
    budget: str | float | None = None,
    progress: bool = True,
) -> Study:
    """Compare methods that regularise a network: strengths chosen on validation, methods judged on test.

    net: () → nn.Module, called under each seed; a module works too; None: an MLP that fits the data. data: a Data, a
    pair (x, y), or with `target` a DataFrame or the path of a CSV or Parquet file. tasks: several `Task`s, or names
    such as "housing" and "beijing --net transformer", in place of net and data. likelihood, metric, epochs, batch_size,
    lr, augment, name: see `Task`.

    methods: texts such as "none", "l2", "l2:1e-4", "ard@normal", "dropout", "l2+early_stopping", or objects; see
    `bayesreg.methods`. For each seed all have the same initial weights, batches and augmentation, and as many
    strengths, epochs and seeds. seeds: of the reported runs; strengths are chosen with others; None: 8, or 4 where
    there are folds. folds: 1: the data's own split; None: 5 for at most 5,000 rows without a published test split: each
    seed then divides the rows again, every row is tested once per seed, and strengths are chosen within the rest.
    select: the validation metric by which strengths are chosen.

    output: the folder of the runs, runs/<name> if None; finished runs there are not repeated, so an interrupted
    comparison resumes, and several in one folder share the work. engine: where runs take place, a name or an object,
    see `bayesreg.engine`; workers, timeout, address and slurm are options of an engine: runs at a time (None: as many
    as there are cores, as far as memory allows), seconds after which a run is stopped, the address of a Ray cluster,
    and what SLURM is asked for, such as {"partition": "gpu", "time": 120}. budget: how long the runs may take, such as
    "2h", "1h30m" or seconds. It is filled with whole rounds of one seed of every method: strengths are chosen within
    half of it, with fewer seeds if need be, and the study says what is missing. The same call with a longer budget, or
    without one, resumes; with more seeds for choosing it may choose another strength.

    Raises ValueError or TypeError before training, with a remedy, for whatever cannot be compared.
    """
    of_one = {"likelihood": likelihood, "metric": metric, "epochs": epochs, "batch_size": batch_size, "lr": lr}
    of_one |= {"augment": augment, "name": name}
    if tasks is None:
        given = {option: value for option, value in of_one.items() if value is not None}
        compared = [Task(net, data if target is None else Data.from_table(data, target=target), **given)]
    else:
        of_one |= {"net": net, "data": data, "target": target}
        if twice := [f"{option}=" for option, value in of_one.items() if value is not None]:
            raise ValueError(f"tasks= stands in place of {', '.join(twice)}: each br.Task has its own")
        compared = [as_task(task) for task in ([tasks] if isinstance(tasks, str | Task) else tasks)]
    asked = Comparison(
        tasks=tuple(compared),
        methods=as_methods(methods),
        output=usual_output(compared) if output is None else Path(output),
        seeds=seeds,
        folds=folds,
        select=select,
        where=Where(device=device, threads=threads),
        engine=as_engine(engine, workers=workers, timeout=timeout, address=address, slurm=slurm),
        budget=budget,
    )
    asked.check()
    asked.prepare()
    asked.run(progress)
    return Study(asked.output, asked.record(), asked.failed)


class Study:
    """The results of a comparison, read from its folder. Made by `compare`, or by `Study.open`.

    It prints as a table, in a notebook too. failed: for each run that failed, what stopped it.
    """

    def __init__(self, path: Path, settings: dict[str, Any], failed: Sequence[str] = ()) -> None:
        self.path, self.settings, self.failed = Path(path), settings, list(failed)

    @classmethod
    def open(cls, path: str | Path) -> Study:
        """The study in a folder that `compare` wrote, complete or not.

        FileNotFoundError or ValueError for a folder that has none, or one of another version.
        """
        return cls(Path(path), folder.settings(Path(path)))

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run of this study that has ended."""
        own = {str(self.path / place) for place in self.settings["runs"]}
        try:
            known = report.load(self.path, self.settings["tasks"])
        except ValueError:  # no run has ended
            known = pd.DataFrame(columns=["task", "method", "path", "status"])
        return known[known["path"].isin(own)].reset_index(drop=True)

    @cached_property
    def _conclusions(self) -> dict[str, Conclusion]:
        results = selected = self.runs
        if len(self.runs):
            results = statistics.results(self.runs, self.settings["select"])
            selected = statistics.select(self.runs, self.settings["select"])
        stopped = self._stopped()
        return {
            name: conclude(
                name, results[results["task"] == name], selected[selected["task"] == name], self.settings, stopped[name]
            )
            for name in self.settings["tasks"]
        }

    def _stopped(self) -> dict[str, dict[str, str]]:
        """By task and method, what stopped a run that did not end, where that was recorded."""
        names = {runs.key(task): name for name, task in self.settings["tasks"].items()}
        found: dict[str, dict[str, str]] = {name: {} for name in self.settings["tasks"]}
        for place in sorted({str(self.path / place) for place in self.settings["runs"]} - set(self.runs["path"])):
            if why := report.failure(Path(place)):
                with suppress(Unusable, OSError, KeyError):  # a damaged config.json loses only the reason
                    config = read_json(Path(place) / "config.json", "task", "candidate")
                    found[names[runs.key(config["task"])]].setdefault(config["candidate"]["method"], why)
        return found

    @property
    def results(self) -> pd.DataFrame:
        """One row per task and method.

        strength: the best on validation over all folds; strength_low to strength_high: those that the folds chose
        individually; edge: whether it is the weakest or strongest of the `strengths` that were tried. status: done, or
        why there are no numbers, diverged, refused or incomplete, with the reason. recommended: whether it is the
        method that `recommendation` names to use.

        metric: the task's. For it, the nll and what judges the probabilities (brier, ece, coverage_error), means over
        seeds on test, and <metric>_difference: method − none, paired by seed and test example, with the interval
        <metric>_low to <metric>_high at the confidence of Holm's step-down, with both seeds and test examples counted
        as samples, <metric>_p adjusted by Holm's correction, and <metric>_verdict: better, equal, worse or undecided
        with respect to the ROPE (`Metric.rope`). <metric>_detectable: the smallest difference that these seeds and rows
        detect with 80 % probability. <metric>_to_recommended_difference, … likewise: method − recommended.

        seconds, seconds_ratio, seconds_to_none, reached, gap: see `costs`. memory, memory_gpu: bytes at the peak.
        sparsity_zero, sparsity_small: the shares of weights that are 0, and below 1e-3 in size.
        """
        return pd.concat([found.table for found in self._conclusions.values()], ignore_index=True)

    def differences(self, to: str = "none") -> pd.DataFrame:
        """One row a task, method and metric: method − `to` on test, paired by seed and test example.

        The columns difference, low, high, p and verdict are those of `results` to none: intervals that hold together
        and p adjusted over the methods of a task. ValueError where `to` has no result on a task.
        """
        found = [found.differences(to).assign(task=name) for name, found in self._conclusions.items()]
        return pd.concat(found, ignore_index=True).set_index("task").reset_index()

    @property
    def scores(self) -> dict[str, Mapping[str, statistics.Tables]]:
        """{task: {metric: {method: [seeds, rows]}}}, what each test example contributed, more is better.

        Those of two methods are what `statistics.difference` takes; their means are the metrics of `results`.
        """
        return {name: found.scores for name, found in self._conclusions.items()}

    @property
    def recommendation(self) -> str:
        """What to use, at what strength, what it cannot be told apart from, and how sure that is: a sentence per task.

        With several tasks, a last sentence says what holds over all of them.
        """
        said = {name: found.sentence for name, found in self._conclusions.items()}
        if len(said) == 1:
            return next(iter(said.values()))
        overall = [self.across.sentence] if len(self.settings["methods"]) > 1 else []
        return "\n".join([*(f"{name}: {sentence}" for name, sentence in said.items()), *overall])

    @cached_property
    def across(self) -> statistics.Across:
        """What holds over all tasks in test NLL: each method against none, with the tasks as a sample; see `Across`."""
        by_seed = {task: {m: t.mean(1) for m, t in own["nll"].items()} for task, own in self.scores.items()}
        status = {task: own.set_index("method")["status"].to_dict() for task, own in self.results.groupby("task")}
        return statistics.across(by_seed, status)

    @property
    def best(self) -> Posterior:
        """The posterior of the recommended method on the first task; see `posterior`."""
        return self.posterior(next(iter(self._conclusions)))

    def posterior(self, task: str, method: str | None = None) -> Posterior:
        """The posterior of a method on a task at the chosen strength, on the task's own split, seed 0.

        method: None means the recommended one. It is fitted first if the study was made in folds. For a table, its
        `predict` takes raw rows. The task is read from a pickle, which is code: use it on studies of your own.
        """
        asked = folder.pickled(self.path)
        if task not in self._conclusions:
            raise ValueError(f"no task {task!r} in this study: {', '.join(self._conclusions)}")
        chosen = asked.method(*self._conclusions[task].candidate(method))
        repeat = Repeat(0, "test" if asked.divided[task] == 1 else None)
        run = Run(asked.named[task], chosen, repeat, asked.where, task)
        directory = run.directory(self.path)
        posterior = run.posterior(directory, self.path / folder.SHARED)
        posterior.inputs = data_of(run.task, run.repeat).inputs
        return posterior

    def report(self, output: str | Path) -> Path:
        """Write the page, its figures and tables into a folder; the path of the page."""
        if self.runs.empty:
            raise ValueError(f"no complete run in {self.path}: there is nothing to report yet")
        sentences = {name: found.sentence for name, found in self._conclusions.items()}
        missing = self.settings.get("missing", "")
        said = report.Said(sentences, self.results, self.settings["select"], missing, self.across)
        return report.write(self.path, output, self.runs, said)

    def __repr__(self) -> str:
        return "\n\n".join([self._shown().to_string(index=False), *self._said()])

    def _repr_html_(self) -> str:
        return self._shown().to_html(index=False) + "".join(f"<p>{escape(said)}</p>" for said in self._said())

    def _shown(self) -> pd.DataFrame:
        shown = pd.concat([found.shown for found in self._conclusions.values()], ignore_index=True).fillna("")
        shown = shown[[*(name for name in shown if name not in LAST), *LAST]]
        return shown if len(self._conclusions) > 1 else shown.drop(columns="task")

    def _said(self) -> list[str]:
        """The lines below the table."""
        reasons = self.results[self.results["status"] != "done"]
        lines = zip(reasons["task"], reasons["method"], reasons["status"], reasons["reason"], strict=True)
        missing = "\n".join(f"{method} on {task} {status}: {reason}" for task, method, status, reason in lines)
        said = (self._units(), missing, self.settings.get("missing"), self.recommendation)
        return [str(part) for part in said if part]

    def _units(self) -> str:
        low, high = self.results["seeds"].min(), self.results["seeds"].max()
        seeds = f"{low:.0f} to {high:.0f} seeds" if low < high else f"{high:.0f} seed{'' if high == 1 else 's'}"
        size = f" and {self.results['rows'].max():,} rows" if len(self._conclusions) == 1 else ""
        return (
            f"On test, means over {seeds}{size}. nll: nats per row, less is better; [ ]: where the difference lies "
            "at 95 % for all methods together."
        )
