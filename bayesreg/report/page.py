"""One page from a folder of runs: index.html, its pictures, and the numbers as CSV."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import jinja2
import pandas as pd

from bayesreg import statistics
from bayesreg.metrics import METRICS
from bayesreg.report import figures, outside, tables, words
from bayesreg.report.baselines import against, baselines
from bayesreg.report.histories import histories
from bayesreg.report.load import Problem, left_out, load
from bayesreg.report.style import svg

FORMULA = re.compile(r"[=+\-@\t\r]")  # where a cell begins so, a spreadsheet runs it (OWASP, CSV injection)


class Said(NamedTuple):
    """What a study concludes, which its page leads with.

    sentences: {task: what to use}. table: a row a task and method, with the differences to none, as `Study.results`.
    select: the metric on validation that strengths were chosen by.
    """

    sentences: Mapping[str, str]
    table: pd.DataFrame
    select: str


def write(
    runs_root: str | Path, output: str | Path, runs: pd.DataFrame | None = None, said: Said | None = None
) -> Path:
    """Write the report of all runs below `runs_root` into the folder `output`; its page's path.

    `runs` is what `load(runs_root)` gave, where the caller has it already. said: what a study of these runs concludes;
    None: they are no study, and the page says which mean score is the best and whether by more than its sd over seeds.
    Everything is made before the first file is replaced, so an error leaves an old report as it was.
    Raises ValueError when no run is complete.
    """
    root, output = Path(runs_root), Path(output)
    files = _files(load(root) if runs is None else runs, root, output, said)
    replace(output, files)
    return output / "index.html"


def replace(output: Path, files: Mapping[str, bytes]) -> None:
    """Write every file under a temporary name, and only then put them all in place, the last one last."""
    output.mkdir(parents=True, exist_ok=True)
    waiting = {output / f".{name}.{os.getpid()}": output / name for name in files}
    try:
        for temporary, target in waiting.items():
            temporary.write_bytes(files[target.name])
        for temporary, target in waiting.items():
            os.replace(temporary, target)
    finally:
        for temporary in waiting:
            temporary.unlink(missing_ok=True)


def _files(runs: pd.DataFrame, root: Path, output: Path, said: Said | None) -> dict[str, bytes]:
    problems, rivals = left_out(root), baselines(runs)
    by = statistics.SELECT if said is None else said.select
    results, selected = against(statistics.results(runs, by), rivals), statistics.select(runs, by)
    pictures = _pictures(runs, results, selected, by)
    context = {
        **_content(runs, results, selected, rivals),
        **_led(results, selected, said),
        "select": by,
        "pictures": {name: alt for name, (_, alt) in pictures.items()},
        "diverged": _diverged(runs, root),
        "problems": [_placed(problem, root) for problem in problems],
        "diagnostics": _diagnostics(runs, root, output),
        "beside": "../performance/index.html" if (output.parent / "performance/index.html").exists() else None,
    }
    return {
        **{name: image for name, (image, _) in pictures.items()},
        "results.csv": _csv(results),
        "selected.csv": _csv(_placed_runs(selected, root).drop(columns="baselines")),
        **({} if said is None else {"differences.csv": _csv(said.table)}),
        "index.html": _render(context),
    }


def _render(context: dict) -> bytes:
    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(context).encode()


def _csv(frame: pd.DataFrame) -> bytes:
    texts = {name: frame[name].map(_harmless) for name in frame if frame[name].map(type).eq(str).any()}
    return frame.assign(**texts).to_csv(index=False).encode()


def _harmless(value: object) -> object:
    """A text that a spreadsheet would run as a formula behind an apostrophe; numbers as they are."""
    if not isinstance(value, str) or not FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _led(results: pd.DataFrame, selected: pd.DataFrame, said: Said | None) -> dict:
    """What the page leads with, and its differences to none: a study's own, or what the means say of other runs."""
    if said is not None:
        return {
            "study": True,
            "overall": None,
            "sentences": list(said.sentences.items()),
            "differences": tables.verdicts(said.table),
        }
    overall, sentences = words.answer(results, selected)
    paired = tables.differences(statistics.paired(selected))
    return {"study": False, "overall": overall, "sentences": sentences, "differences": paired}


def _pictures(
    runs: pd.DataFrame, results: pd.DataFrame, selected: pd.DataFrame, select: str
) -> dict[str, tuple[bytes, str]]:
    """File name → (picture, what it shows in words)."""
    scored = results[results["score_mean"].notna()].to_dict("records")
    scores = "; ".join(
        f"{r['task']}, {r['method']} {tables.number(r['score_mean'])}{tables.DAGGER * r['unbeaten']}" for r in scored
    )
    chosen = "; ".join(
        f"{r['task']}, {r['method']} {tables.strength(r, ' ')}" for r in scored if r["strength"] == r["strength"]
    )
    last = "; ".join(f"{r['task']}, {r['method']} {tables.number(_last(r))}" for r in scored)
    epochs = histories(selected)
    drawn = {
        "scores.svg": (figures.heatmap(results), f"Heatmap of mean test scores by task and method. {scores}."),
        "curves.svg": (
            figures.curves(epochs),
            "Lines of the validation metric by epoch, one a method, with a band of one standard deviation "
            f"over seeds. Validation scores in the end: {last}.",
        ),
        "seconds.svg": (
            figures.curves(epochs, over="seconds"),
            "Lines of the validation metric by seconds of training, one a method, with a band of one standard "
            f"deviation over seeds. Validation scores in the end: {last}.",
        ),
        "strengths.svg": (
            figures.strengths(statistics.candidates(runs, select), results, select),
            f"Lines of the validation {select} by strength, one a method. Chosen: {chosen or 'none'}.",
        ),
    }
    return {name: (svg(figure), alt) for name, (figure, alt) in drawn.items() if figure is not None}


def _last(row: dict) -> float:
    """The headline metric on validation in the end."""
    return float(row.get(f"validation_{row['metric']}_mean", math.nan))


def _content(runs: pd.DataFrame, results: pd.DataFrame, selected: pd.DataFrame, rivals: pd.DataFrame) -> dict:
    return {
        "seeds": tables.seeds(results),
        "staged": bool(runs["stage"].notna().any()),
        "folds": bool((runs["folds"] > 1).any()),
        "repeats": "seeds and folds" if (runs["folds"] > 1).any() else "seeds",
        "runs": int((runs["status"] != "refused").sum()),
        "scores": tables.scores(results),
        "metrics": {task: tables.metrics(results, task, rivals) for task in sorted(set(results["task"]))},
        "refused": words.refusals(results),
        "unconverged": words.unconverged(selected),
        "cells": int((results["status"] == "done").sum()),
        "dagger": tables.DAGGER,
        "baselines": bool(results["baseline"].notna().any()),
        "seconds": tables.seconds(results),
        "budget": tables.budget(results),
        "unequal": _unequal(runs, results),
        "higher": words.several([metric.name for metric in METRICS.values() if metric.higher_is_better]),
        "edges": [f"{r['method']} on {r['task']} ({tables.strength(r, '; ')})" for r in _rows(results, "edge")],
        "settings": [*_settings(runs, "task."), *_settings(runs, "candidate."), *_settings(runs, "replicate.")],
        "about": _settings(runs, "about."),
    }


def _rows(results: pd.DataFrame, flag: str) -> list[dict]:
    return results[results[flag]].to_dict("records")


def _unequal(runs: pd.DataFrame, results: pd.DataFrame) -> bool:
    """Whether methods that have a strength to tune were given different numbers of strengths on one task."""
    tuned = runs.loc[runs["strength"].notna(), ["task", "method"]].drop_duplicates()
    return bool((results.merge(tuned, on=["task", "method"]).groupby("task")["strengths"].nunique() > 1).any())


def _settings(runs: pd.DataFrame, group: str) -> list[tuple[str, str]]:
    """Each setting of a group with its values; where tasks differ, the tasks that have each."""
    columns = [column for column in map(str, runs) if column.startswith(group)]
    return [(column.removeprefix(group), text) for column in columns if (text := _setting(runs, column))]


def _setting(runs: pd.DataFrame, column: str) -> str:
    values: dict[str, set[str]] = {}
    for value, task in zip(runs[column], runs["task"], strict=True):
        text = _text(value)
        # Where this machine keeps its files is no setting of the comparison.
        if text and not Path(text).is_absolute():
            values.setdefault(text, set()).add(task)
    if len(values) == 1 or all(tasks == {text} for text, tasks in values.items()):
        return next(iter(values)) if len(values) == 1 else ""
    return "; ".join(f"{text} ({', '.join(sorted(tasks))})" for text, tasks in values.items())


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:g}"
    return "" if value is None else str(value)


def _diverged(runs: pd.DataFrame, root: Path) -> list[dict]:
    diverged = _placed_runs(runs[runs["status"] == "diverged"], root).to_dict("records")
    return [run | {"repeat": words.repeat(run)} for run in diverged]


def _placed_runs(runs: pd.DataFrame, root: Path) -> pd.DataFrame:
    return runs.assign(path=[_relative(path, root) for path in runs["path"]])


def _placed(problem: Problem, root: Path) -> Problem:
    """The problem with its path below the root only: a report is read on other machines."""
    return problem._replace(path=_relative(problem.path, root))


def _diagnostics(runs: pd.DataFrame, root: Path, output: Path) -> list[tuple[str, str]]:
    """(name, link) of each picture in a run's own diagnostics folder."""
    found = [file for path in runs["path"] for file in sorted(Path(path, "diagnostics").glob("*.png"))]
    links = [os.fsencode(os.path.relpath(file, output).replace(os.sep, "/")) for file in found]
    return [(_relative(str(file), root), quote(link)) for file, link in zip(found, links, strict=True)]


def _relative(path: str, root: Path) -> str:
    return outside.prose(Path(path).relative_to(root).as_posix())
