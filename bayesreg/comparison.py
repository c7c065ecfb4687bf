"""The grid of a comparison: every method on every task, in two stages, and what each run of it gave.

1. tune    every strength of every method, with seeds of its own, judged on validation alone. Where the best strength of
           a method is the weakest or strongest of its grid, every method that has strengths gets one more candidate.
2. test    the strength that was chosen, with fresh seeds, judged on test.

Where rows are divided into folds, anew by each seed, both stages are done in each fold, and a strength is chosen there
by runs that have not seen the fold's test rows.
"""

from __future__ import annotations

import functools
import json
import logging
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cloudpickle
import pandas as pd

from bayesreg import __version__, statistics
from bayesreg.files import FULL, read_json, write_atomically
from bayesreg.grid import Repeat, Run, Where, data_of
from bayesreg.labels import labels
from bayesreg.methods import Method
from bayesreg.metrics import METRICS
from bayesreg.priors.base import whole
from bayesreg.progress import bar
from bayesreg.sweep import sweep
from bayesreg.tasks import Task

log = logging.getLogger(__name__)

SEEDS, SEEDS_OF_FOLDS = 8, 4  # that are reported, where a task has its own split, and where it has folds
TUNING = 3  # seeds that choose a strength, where there are no folds
FIRST_TUNING = 10_000  # the first of them: those that are reported begin at 0
EXTENSIONS = 2  # more candidates at most, where the best strength is at an edge
MOST_SEEDS = 1_000
HERE = Where()
FORMAT = 1
SETTINGS, PICKLED, BASELINES = "study.json", "study.pkl", "baselines"  # in the folder of a comparison


@dataclass
class Comparison:
    """Tasks × methods × strengths × repeats, below one folder.

    seeds: of the runs that are reported; None takes 8, and 4 where each divides the rows into folds. folds: None takes
    5 for small data without a split of their own, else 1. select: the metric on validation that strengths are chosen
    by. workers: runs at a time, which share the cores; None takes one a core.
    """

    tasks: tuple[Task, ...]
    methods: tuple[Method, ...]
    output: Path
    seeds: int | None = None
    folds: int | None = None
    select: str = statistics.SELECT
    where: Where = HERE
    workers: int | None = None
    failed: list[str] = field(default_factory=list)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)

    @functools.cached_property
    def named(self) -> dict[str, Task]:
        """The tasks by name, with the options that tell them apart where two have the same."""
        made = labels([task.name for task in self.tasks], [task.record() for task in self.tasks])
        if twice := [name for name in made if made.count(name) > 1]:
            raise ValueError(f"the task {twice[0]!r} is there twice: leave one out")
        return dict(zip(made, self.tasks, strict=True))

    def folds_of(self, task: Task) -> int:
        """Into how many folds the rows of a task are divided; 1: it has its own split."""
        return data_of(task, Repeat()).default_folds if self.folds is None else self.folds

    def seeds_of(self, task: Task) -> int:
        """How many seeds of a task are reported."""
        usual = SEEDS if self.folds_of(task) == 1 else SEEDS_OF_FOLDS
        return usual if self.seeds is None else self.seeds

    def repeats(self, task: Task, stage: Any) -> list[Repeat]:
        """The repeats of a stage: those that tune have seeds of their own, and the partitions of those that test."""
        first = FIRST_TUNING if stage == "tune" else 0
        seeds, folds = self.seeds_of(task), self.folds_of(task)
        if folds == 1:
            number = min(TUNING, seeds) if stage == "tune" else seeds
            return [Repeat(first + seed, stage) for seed in range(number)]
        pairs = [(seed, fold) for seed in range(seeds) for fold in range(folds)]
        return [Repeat(first + seed, stage, partition=seed, fold=fold, folds=folds) for seed, fold in pairs]

    def check(self) -> None:
        """Raise ValueError for what no comparison can be, and for a folder that holds another one."""
        whole("compare", most=MOST_SEEDS, seeds=1 if self.seeds is None else self.seeds)
        whole("compare", folds=1 if self.folds is None else self.folds)
        whole("compare", workers=1 if self.workers is None else self.workers)
        if self.select not in METRICS:
            raise ValueError(f"select={self.select!r} is no metric: {', '.join(METRICS)}")
        if not self.named:
            raise ValueError("no task to compare on: give at least one")
        if (self.output / SETTINGS).exists():
            self._refuse_another(settings(self.output))

    def _refuse_another(self, there: dict[str, Any]) -> None:
        for name, ours in json.loads(json.dumps(self.record()))["tasks"].items():
            known = there["tasks"].get(name, ours)
            if differ := [key for key in known | ours if known.get(key) != ours.get(key)]:
                raise ValueError(
                    f"{self.output} holds the study of another task {name!r} (its {', '.join(differ)} differ): choose "
                    "another output, or give the task another name"
                )

    def record(self) -> dict[str, Any]:
        """For study.json."""
        return {
            "format": FORMAT,
            "version": __version__,
            "tasks": {name: task.record() for name, task in self.named.items()},
            "methods": [method.name for method in self.methods],
            "seeds": {name: self.seeds_of(task) for name, task in self.named.items()},
            "folds": {name: self.folds_of(task) for name, task in self.named.items()},
            "select": self.select,
        }

    def prepare(self) -> None:
        """Try every method on every task, and record which have no meaning there; write what the study is.

        ValueError, OSError or MemoryError where a task cannot be trained at all, or every method is refused.
        """
        runs = []
        for name, task in self.named.items():
            repeat = self.repeats(task, "test")[0]
            for method in self.methods:
                run = Run(task, method.candidates[0], repeat, self.where, name)
                if reason := _refusal(run):
                    self.refused[name, method.name] = reason
                    runs.append(run)
        if len(self.refused) == len(self.tasks) * len(self.methods):
            raise ValueError("\n".join(dict.fromkeys(self.refused.values())))
        make_writable(self.output)
        kept = json.dumps(self.record(), indent=2)
        write_atomically(self.output / SETTINGS, lambda part: part.write_text(kept))
        content = cloudpickle.dumps(replace(self, failed=[], refused={}))
        write_atomically(self.output / PICKLED, lambda part: part.write_bytes(content))
        for run, reason in zip(runs, self.refused.values(), strict=True):
            log.warning("%s refused on %s: %s", run.method.name, run.label, reason)
            run.refuse(reason, self.output)

    def run(self, progress: bool = True) -> None:
        """Do every run that is not done yet. OSError when the disk is full."""
        tried = {(name, m.name): list(m.candidates) for name, m in self._pairs() if len(m.candidates) > 1}
        known: list[dict[str, Any]] = []
        total = self._expected()
        with bar(total=total, unit="run", desc="tune", show=progress) as shown:
            new = {pair: list(found) for pair, found in tried.items()}
            for extension in range(EXTENSIONS + 1):
                known += self._do(self._tuning(new), shown)
                new = self._more(tried, pd.DataFrame(known)) if extension < EXTENSIONS and known else {}
                if not new:
                    break
                for pair, more in new.items():
                    tried[pair] += more
                shown.total += sum(1 for _ in self._tuning(new))
            shown.set_description("test")
            self._do(self._testing(tried, known), shown)

    def _pairs(self) -> list[tuple[str, Method]]:
        return [(name, m) for name in self.named for m in self.methods if (name, m.name) not in self.refused]

    def _expected(self) -> int:
        number = 0
        for name, method in self._pairs():
            tune, test = (len(self.repeats(self.named[name], stage)) for stage in ("tune", "test"))
            number += test + (tune * len(method.candidates) if len(method.candidates) > 1 else 0)
        return number

    def method(self, name: str, strengths: Sequence[float]) -> Method:
        """The method of that name at its strengths."""
        method = next(method for method in self.methods if method.name == name)
        return method.at(strengths) if len(strengths) else method

    def _tuning(self, new: dict[tuple[str, str], list[Method]]) -> Iterator[Run]:
        for name, task in self.named.items():
            for repeat in self.repeats(task, "tune"):  # a worker keeps the data of a fold while it is at them
                for method in self.methods:
                    for candidate in new.get((name, method.name), []):
                        yield Run(task, candidate, repeat, self.where, name)

    def _more(
        self, tried: dict[tuple[str, str], list[Method]], known: pd.DataFrame
    ) -> dict[tuple[str, str], list[Method]]:
        """One more candidate for every method of a task where the best of some method is at an edge."""
        best = statistics.best(statistics.candidates(known, self.select), self.select)
        found: dict[tuple[str, str], list[Method]] = {}
        for name in self.named:
            own = {pair: m for pair, m in tried.items() if pair[0] == name and pair in best}
            chosen = {pair: next(m for m in all_ if m.text == best[pair]) for pair, all_ in own.items()}
            if any(chosen[pair].at_edge(all_, chosen[pair]) for pair, all_ in own.items()):
                more = {pair: chosen[pair].another(all_, chosen[pair]) for pair, all_ in own.items()}
                found |= {pair: [method] for pair, method in more.items() if method is not None}
        return found

    def _testing(self, tried: dict[tuple[str, str], list[Method]], known: list[dict[str, Any]]) -> Iterator[Run]:
        chosen: dict[tuple[Any, ...], str] = {}
        if known:
            table = statistics.choose(pd.DataFrame(known), self.select).query("status == 'done'")
            cells = zip(table["task"], table["method"], table["partition"], table["fold"], strict=True)
            chosen = dict(zip(cells, table["candidate"], strict=True))
        for name, task in self.named.items():
            for repeat in self.repeats(task, "test"):
                for method in self.methods:
                    pair = name, method.name
                    if pair in self.refused:
                        continue
                    if pair not in tried:
                        yield Run(task, method, repeat, self.where, name)
                        continue
                    text = chosen.get((*pair, _number(repeat.partition), _number(repeat.fold)))
                    for candidate in tried[pair]:
                        if candidate.text == text:
                            yield Run(task, candidate, repeat, self.where, name)

    def _do(self, found: Iterable[Run], shown: Any) -> list[dict[str, Any]]:
        """Do runs on the workers; a row of what each gave."""
        wanted = list(found)
        jobs = [functools.partial(_execute, self.output, r.label, r.method, r.repeat, r.where) for r in wanted]
        rows = []
        with closing(sweep(jobs, self.workers)) as outcomes:
            for outcome in outcomes:
                run = wanted[outcome.number]
                shown.set_postfix_str(str(run), refresh=False)
                shown.update()
                if isinstance(outcome.error, OSError) and outcome.error.errno in FULL:
                    raise outcome.error
                if outcome.error is not None:
                    self.failed.append(f"{run}: {in_words(outcome.error)}")
                    log.warning("failed: %s", self.failed[-1])
                else:
                    log.info("%s: %s", outcome.result["status"], run)
                    rows.append(row(run, outcome.result))
        return rows


def row(run: Run, result: dict[str, Any]) -> dict[str, Any]:
    """What `statistics` needs of a run."""
    return {
        "task": run.label,
        "method": run.method.name,
        "candidate": run.method.text,
        "strength": float("nan") if run.method.strength is None else run.method.strength,
        "seed": run.repeat.seed,
        "tuned": tuple(run.method.record()["strengths"]),
        "stage": run.repeat.stage,
        "partition": _number(run.repeat.partition),
        "fold": _number(run.repeat.fold),
        "metric": run.task.metric,
        "status": result["status"],
        "message": result["message"],
        **{f"validation_{name}": value for name, value in result["metrics"]["validation"].items()},
    }


def _number(value: int | None) -> int:
    """−1 where there are no folds: a table cannot be grouped by what is missing."""
    return -1 if value is None else value


def in_words(error: BaseException) -> str:
    """What an error says, after its kind where that is not plain bad input; of a full disk what to do."""
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{error}; nothing that was finished is lost: make room, and the same command goes on"
    return str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"


def _refusal(run: Run) -> str | None:
    """Why a method has no meaning on a task; None where it has. What would stop the task without a method is raised."""
    try:
        run.check()
    except (ValueError, MemoryError, RuntimeError) as error:  # the last of PyTorch's allocator
        run.under(method=Method("none")).check()
        return in_words(error)
    return None


def make_writable(*directories: Path) -> None:
    """Make the directories. ValueError for one that cannot be written, before the first run and not after the last."""
    for directory in directories:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            raise ValueError(f"{directory} cannot be written ({error.strerror}): choose another directory") from None


def settings(folder: Path) -> dict[str, Any]:
    """What study.json says. FileNotFoundError or ValueError where there is none, or one of another version."""
    path = folder / SETTINGS
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no study (it has no {SETTINGS}): give the output of a comparison")
    known = read_json(path, "format", "version", "tasks", "methods", "seeds", "folds", "select")
    if known["format"] != FORMAT:
        raise ValueError(
            f"{folder} holds a study of bayesreg {known['version']}, which this version cannot read: make it again"
        )
    return known


def pickled(folder: Path) -> Comparison:
    """The comparison in a folder of one's own: a pickle is code."""
    path = (folder / PICKLED).resolve()
    return _pickled(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _pickled(path: Path, written: int) -> Comparison:
    return pickle.loads(path.read_bytes())


def _execute(folder: Path, task: str, method: Method, repeat: Repeat, where: Where) -> dict[str, Any]:
    """One run, in a worker."""
    run = Run(pickled(folder).named[task], method, repeat, where, task)
    return run.execute(run.directory(folder), shared=folder / BASELINES)
