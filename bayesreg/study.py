"""compare(...) → Study: which method regularises this network best, at what strength, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bayesreg import comparison, report, runs, statistics
from bayesreg.comparison import Comparison
from bayesreg.conclusion import Conclusion, conclude
from bayesreg.datasets import Data
from bayesreg.grid import Repeat, Run, Where, data_of
from bayesreg.methods import as_methods
from bayesreg.posterior import Posterior
from bayesreg.schedule import LR
from bayesreg.tasks import Task, as_task

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
    seeds: int = 8,
    folds: int | None = None,
    select: str = statistics.SELECT,
    output: str | Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float = LR,
    augment: Callable[[Any], Any] | None = None,
    name: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Study:
    """Compare methods that regularise a network: strengths chosen on validation, methods judged on test.

    net: () → nn.Module, called under each seed; a module is taken too; None takes an MLP that fits the data. data: a
    Data, a pair (x, y), or with `target` a DataFrame or the path of a CSV or Parquet file. tasks: several `Task`s, or
    names as "housing" and "beijing --net transformer", in place of net and data. likelihood, metric, epochs,
    batch_size, lr, augment, name: see `Task`.

    methods: texts as "none", "l2", "l2:1e-4", "ard@normal", "dropout", "l2+early_stopping", or objects; see
    `bayesreg.methods`. By seed all have the same initial weights, batches and augmentation, and as many strengths,
    epochs and seeds. seeds: of the runs that are reported; strengths are chosen by others. folds: 1 takes the data's
    own split; None takes 5 for at most 5,000 rows without a published test split: each seed then divides the rows anew,
    every row is tested once a seed, and strengths are chosen within the rest. select: the metric on validation that
    strengths are chosen by.

    output: the folder of the runs, runs/<name> where None; what is done there is not done again, so an interrupted
    comparison goes on. workers: runs at a time; None takes one a core.

    Raises ValueError or TypeError, with what to write, before training, for whatever cannot be compared.
    """
    if tasks is None:
        settings: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "augment": augment}
        source = data if target is None else Data.from_table(data, target=target)
        compared: tuple[Task, ...] = (Task(net, source, likelihood=likelihood, metric=metric, name=name, **settings),)
    elif net is not None or data is not None:
        raise ValueError("tasks= stands in place of net and data: give one or the other")
    else:
        compared = tuple(as_task(task) for task in ([tasks] if isinstance(tasks, str | Task) else tasks))
    return study(
        Comparison(
            tasks=compared,
            methods=as_methods(methods),
            output=Path("runs", compared[0].name if len(compared) == 1 else "compare")
            if output is None
            else Path(output),
            seeds=seeds,
            folds=folds,
            select=select,
            where=Where(device=device, threads=threads),
            workers=workers,
        ),
        progress,
    )


def study(asked: Comparison, progress: bool = True) -> Study:
    """The study of a comparison; what is not done yet is done."""
    asked.check()
    asked.prepare()
    asked.run(progress)
    return Study(asked.output, asked.record(), asked.failed)


class Study:
    """A comparison that was made, as its folder holds it. Made by `compare`, or by `Study.open`.

    Printed it is a table, in a notebook too. failed: what stopped a run, in words, where one failed.
    """

    def __init__(self, path: Path, settings: dict[str, Any], failed: Sequence[str] = ()) -> None:
        self.path, self.settings, self.failed = Path(path), settings, list(failed)

    @classmethod
    def open(cls, path: str | Path) -> Study:
        """The study in a folder that `compare` wrote, complete or not.

        FileNotFoundError or ValueError for a folder that holds none, or one of another version.
        """
        return cls(Path(path), comparison.settings(Path(path)))

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a run of this study. ValueError where none has ended."""
        known = report.load(self.path, self.settings["tasks"])
        own = known["method"].isin(self.settings["methods"]) & known["stage"].notna()  # and no run on its own
        own &= known["folds"].eq(known["task"].map(self.settings["folds"]))  # nor one that was asked for before
        own &= known["seed"].mod(comparison.FIRST_TUNING) < self.settings["seeds"]
        if not own.any():
            raise ValueError(
                f"none of the {len(known)} runs in {str(self.path)!r} is of this study: go on with it first"
            )
        return known[own].reset_index(drop=True)

    @cached_property
    def _conclusions(self) -> dict[str, Conclusion]:
        results = statistics.results(self.runs, self.settings["select"])
        selected = statistics.select(self.runs, self.settings["select"])
        names = [name for name in self.settings["tasks"] if name in set(results["task"])]
        return {
            name: conclude(name, results[results["task"] == name], selected[selected["task"] == name], self.settings)
            for name in names
        }

    @property
    def results(self) -> pd.DataFrame:
        """One row a task and method.

        strength: the one chosen; with folds the best over all of them, and strength_low to strength_high what they
        chose. nll and the task's metric: means over seeds on test.
        <metric>_difference: method − none, paired by seed and test example, with the interval <metric>_low to
        <metric>_high at the confidence of Holm's step-down, in which seeds and test examples both count as samples,
        and <metric>_verdict: better, equal, worse or undecided. recommended: whether `recommendation` names it first.
        """
        return pd.concat([found.table for found in self._conclusions.values()], ignore_index=True)

    @property
    def recommendation(self) -> str:
        """What to use, at what strength, what is not told apart from it, and how sure that is: a sentence a task."""
        said = [found.sentence for found in self._conclusions.values()]
        names = self._conclusions
        return said[0] if len(said) == 1 else "\n".join(f"{n}: {s}" for n, s in zip(names, said, strict=True))

    @property
    def best(self) -> Posterior:
        """The posterior of what is recommended, of the first task; see `posterior`."""
        return self.posterior(next(iter(self._conclusions)))

    def posterior(self, task: str, method: str | None = None) -> Posterior:
        """The posterior of a method on a task at the strength that was chosen, on the task's own split, seed 0.

        method: None takes the one that is recommended. Fitted first where the study was made in folds. Of a table, its
        `predict` takes raw rows. The task is read from a pickle, which is code: use it on studies of your own.
        """
        asked = comparison.pickled(self.path)
        known = asked.named
        if task not in known:
            raise ValueError(f"no task {task!r} in this study: {', '.join(known)}")
        chosen = asked.method(*self._conclusions[task].candidate(method))
        folds = asked.folds_of(known[task])
        run = Run(known[task], chosen, Repeat(0, "test" if folds == 1 else None), asked.where, task)
        directory = run.directory(self.path)
        outcome = run.execute(directory, shared=self.path / comparison.BASELINES)
        if outcome["status"] != "done":
            raise ValueError(f"{chosen.text} on {task}: {outcome['message']}")
        posterior = runs.load(directory, run.build().model.net)
        posterior.inputs = data_of(run.task, run.repeat).inputs
        return posterior

    def report(self, output: str | Path) -> Path:
        """Write the page, its figures and tables into a folder; the path of the page."""
        sentences = {name: found.sentence for name, found in self._conclusions.items()}
        return report.write(self.path, output, self.runs, report.Said(sentences, self.results, self.settings["select"]))

    def __repr__(self) -> str:
        return f"{self._shown().to_string(index=False)}\n\n{self.recommendation}"

    def _repr_html_(self) -> str:
        return f"{self._shown().to_html(index=False)}<p>{self.recommendation}</p>"

    def _shown(self) -> pd.DataFrame:
        return pd.concat([found.shown for found in self._conclusions.values()], ignore_index=True)
