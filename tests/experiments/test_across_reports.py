"""python -m experiments.across: tables of two reports joined, against `statistics.across` of the same numbers."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from bayesreg.statistics import across as expected
from experiments import across

METHODS, SEEDS = ("none", "l2", "ard"), 3


def report(folder, tasks, methods=METHODS, diverged=(), folds=1):
    """The two tables of a report on these tasks; {task: {method: [seeds]}} of its scores, more is better."""
    rng, scores = np.random.default_rng(len(tasks)), {}
    selected, differences = [], []
    for task in tasks:
        scores[task] = {m: rng.normal(size=SEEDS) + 0.5 * (m == "l2") for m in methods if (task, m) not in diverged}
        for method in methods:
            done = method in scores[task]
            differences.append({"task": task, "method": method, "status": "done" if done else "diverged"})
            for seed, score in enumerate(scores[task].get(method, [np.nan] * SEEDS)):
                row = {"task": task, "method": method, "seed": seed, "stage": "test"}
                selected += [row | {"fold": fold, "test_nll": -score + fold - (folds - 1) / 2} for fold in range(folds)]
    folder.mkdir()
    pd.DataFrame(selected).to_csv(folder / "selected.csv", index=False)
    pd.DataFrame(differences).to_csv(folder / "differences.csv", index=False)
    return scores


def test_the_tasks_of_both_are_the_sample_and_one_in_both_counts_once(tmp_path, monkeypatch, capsys):
    first = report(tmp_path / "paper", [f"t{i}" for i in range(7)], diverged={("t1", "ard")})
    second = report(tmp_path / "tables", ["t0", *(f"u{i}" for i in range(4))], (*METHODS, "dropout"), folds=2)
    options = [tmp_path / "paper", tmp_path / "tables", "--output", tmp_path / "out"]
    monkeypatch.setattr("sys.argv", ["across", *map(str, options)])
    across.main()
    assert capsys.readouterr().out.strip() == str(tmp_path / "out/index.html")
    scores = second | first
    scores = {task: {m: own[m] for m in METHODS if m in own} for task, own in scores.items()}
    status = {task: {m: "done" if m in own else "diverged" for m in METHODS} for task, own in scores.items()}
    found = expected(scores, status)
    table = pd.read_csv(tmp_path / "out/across.csv")
    assert table["tasks"].tolist() == [11, 11]
    pd.testing.assert_frame_equal(
        table[["method", "better", "worse", "diverged", "p"]],
        found.table[["method", "better", "worse", "diverged", "p"]],
        check_dtype=False,
    )
    page = html.unescape((tmp_path / "out/index.html").read_text(encoding="utf-8"))
    assert f'<p class="answer">{found.sentence}</p>' in page
    assert re.search(r"The tasks: t0, t1, .*t6, u0, u1, u2, u3; from", page)
    assert {"improvement.svg", "profile.svg", "ranks.svg"} <= {file.name for file in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    ("methods", "words"), [(("dropout", "adamw"), "no method is compared in all of these"), (None, "make that report")]
)
def test_what_cannot_be_joined_is_said_in_a_line(tmp_path, monkeypatch, capsys, methods, words):
    report(tmp_path / "paper", ["t0"])
    if methods:
        report(tmp_path / "tables", ["t1"], methods)
    monkeypatch.setattr("sys.argv", ["across", str(tmp_path / "paper"), str(tmp_path / "tables")])
    with pytest.raises(SystemExit) as end:
        across.main()
    said = capsys.readouterr().err
    assert (end.value.code, words in said, said.count("\n")) == (2, True, 1)
