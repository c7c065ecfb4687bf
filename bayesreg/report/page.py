"""One page from a folder of runs: index.html with all in it, and beside it its pictures and numbers as files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd

from bayesreg import statistics
from bayesreg.metrics import METRICS
from bayesreg.report import across, answer, figures, heatmap, landscape, outside, paper, phrases, style, tables
from bayesreg.report.again import commands, instead
from bayesreg.report.baselines import against, baselines
from bayesreg.report.load import Problem, left_out, load
from bayesreg.report.options import options
from bayesreg.report.render import render
from bayesreg.report.sheets import csv


class Said(NamedTuple):
    """What a study concludes, which its page leads with.

    sentences: {task: what to use}. table: a row a task and method, with the differences to none, as `Study.results`.
    select: the metric on validation that strengths were chosen by. missing: what did not fit in a budget, in words.
    across: what holds over all tasks.
    """

    sentences: Mapping[str, str]
    table: pd.DataFrame
    select: str
    missing: str = ""
    across: statistics.Across | None = None


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
    references, by = baselines(runs), statistics.SELECT if said is None else said.select
    table = None if said is None else said.table
    results, selected = against(statistics.results(runs, by), references), statistics.select(runs, by)
    needed = answer.needed(results)
    methods = [*results["method"], *(() if table is None else table["method"])]
    light, dark = style.variables(methods)
    together, alone = across.told(None if said is None else said.across), None if needed else table
    drawn, unsure = figures.pictures(runs, results, selected, by, light, alone, together, short=bool(needed))
    scores = _scores(results, heatmap.tints(results, selected, table))
    again = commands(selected, by)
    context = {
        **_led(results, selected, said),
        "light": light,
        "dark": dark,
        "together": across.section(together) if together else None,
        "needed": needed,
        "instead": instead(selected) if needed else None,
        **_content(runs, results, selected, references),
        **_failed(runs, root),
        "scores": paper.beside(scores),
        "cited": paper.CITED if paper.beside(scores) != scores else None,
        "figure_3": paper.figure_3(results["method"]),
        "figure_4": paper.figure_4(results["metric"]),
        "levels": landscape.LEVELS,
        "select": by,
        "pictures": drawn,
        "unsure": unsure,
        "again": again.to_dict("records"),
        "diagnostics": _diagnostics(runs, root, output),
        "beside": "../performance/index.html" if (output.parent / "performance/index.html").exists() else None,
    }
    whole = heatmap.heatmap(scores)
    return {
        "scores.svg": style.svg(whole),
        "scores.png": style.png(whole),
        **figures.files(drawn),
        "results.csv": csv(results),
        "selected.csv": csv(_placed_runs(selected, root).drop(columns="baselines")),
        "commands.csv": csv(again),
        **({} if said is None else {"differences.csv": csv(said.table)}),
        **({"across.csv": csv(together.table)} if together else {}),
        "index.html": render("page.html", context),
    }


def _led(results: pd.DataFrame, selected: pd.DataFrame, said: Said | None) -> dict[str, Any]:
    """What the page leads with: a study's answer, or what the means say of other runs."""
    if said is not None:
        return {
            "study": True,
            "overall": answer.overall(said.table),
            "sentences": answer.sentences(said.sentences, said.table, results),
            "differences": tables.verdicts(said.table),
            "missing": said.missing,
        }
    overall, sentences = phrases.answer(results, selected)
    paired = tables.differences(statistics.paired(selected))
    return {"study": False, "overall": overall, "sentences": sentences, "differences": paired, "missing": ""}


def _scores(results: pd.DataFrame, tints: Mapping[tuple[str, str], float]) -> tables.Table:
    """The heatmap as a table; of one task or method without an average, and of one method without a best one."""
    made = heatmap.tinted(tables.scores(results, joint="\n±\u00a0"), tints)
    rows = made.rows if _averaged(results) else made.rows[:-1]
    if results["method"].nunique() == 1:
        rows = [[cell._replace(marked=False) for cell in row] for row in rows]
    return tables.Table(made.header, rows)


def _averaged(results: pd.DataFrame) -> bool:
    return bool(results["method"].nunique() > 1 and results["task"].nunique() > 1)


def _content(
    runs: pd.DataFrame, results: pd.DataFrame, selected: pd.DataFrame, references: pd.DataFrame
) -> dict[str, Any]:
    return {
        "averaged": _averaged(results),
        "seeds": tables.seeds(results),
        "staged": bool(runs["stage"].notna().any()),
        "folds": bool((runs["folds"] > 1).any()),
        "repeats": "seeds and folds" if (runs["folds"] > 1).any() else "seeds",
        "metrics": {task: tables.metrics(results, task, references) for task in sorted(set(results["task"]))},
        "refused": phrases.refusals(results),
        "unconverged": phrases.unconverged(selected),
        "cells": int((results["status"] == "done").sum()),
        "dagger": tables.DAGGER,
        "baselines": bool(results["baseline"].notna().any()),
        "seconds": tables.seconds(results),
        "budget": tables.budget(results),
        "unequal": _unequal(runs, results),
        "higher": phrases.several([metric.name for metric in METRICS.values() if metric.higher_is_better]),
        "edges": [f"{r['method']} on {r['task']} at {tables.strength(r, ' ')}" for r in _rows(results, "edge")],
        "settings": [*options(runs, "task."), *options(runs, "candidate."), *options(runs, "replicate.")],
        "about": options(runs, "about."),
    }


def _rows(results: pd.DataFrame, flag: str) -> list[dict[str, Any]]:
    return results[results[flag]].to_dict("records")


def _unequal(runs: pd.DataFrame, results: pd.DataFrame) -> bool:
    """Whether methods that have a strength to tune were given different numbers of strengths on one task."""
    tuned = runs.loc[runs["strength"].notna(), ["task", "method"]].drop_duplicates()
    return bool((results.merge(tuned, on=["task", "method"]).groupby("task")["strengths"].nunique() > 1).any())


def _failed(runs: pd.DataFrame, root: Path) -> dict[str, Any]:
    """What diverged, and what was left out."""
    diverged = _placed_runs(runs[runs["status"] == "diverged"], root).to_dict("records")
    return {
        "runs": int((runs["status"] != "refused").sum()),
        "diverged": [run | {"repeat": phrases.repeat(run)} for run in diverged],
        "problems": [_placed(problem, root) for problem in left_out(root)],
    }


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
