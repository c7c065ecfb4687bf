"""The page of a study says what the study recommends, and nothing that contradicts it."""

import ast
import functools
import html
import itertools
import json

import numpy as np
import pandas as pd
import pytest

from bayesreg import report
from bayesreg.comparison import FIRST_TUNING
from bayesreg.report import tables, wording
from bayesreg.study import Study

ROWS, FOLDS, SEEDS = 40, 2, 4
GAINS = {"none": 0.0, "l2": 0.2, "dropout": 0.0}  # in NLL on test


def write_study(root, make, seeds=SEEDS, gains=GAINS):
    """Three methods on one task, 4 seeds × 2 folds: l2 is ahead of none, dropout cannot be told from it."""
    noise = np.random.default_rng(0).normal(size=(3, seeds, ROWS))
    for m, (method, gain) in enumerate(gains.items()):
        strengths = [] if method == "none" else [0.01, 0.1]
        for seed, fold in itertools.product(range(seeds), range(FOLDS)):
            where = {"partition": seed, "fold": fold, "folds": FOLDS}
            chosen = strengths[fold] if strengths else None
            for strength in strengths:
                value = 0.6 + gain + 0.01 * (strength == chosen)
                make(method, strength, FIRST_TUNING + seed, value, 0.999, repeat={"stage": "tune"} | where)
            folder = make(method, chosen, seed, 0.6 + gain, 0.5 + gain, repeat={"stage": "test"} | where)
            rows = np.arange(fold, ROWS, FOLDS)
            nll = 0.5 - gain + 0.3 * noise[0, 0, rows] + 0.02 * noise[m, seed, rows]
            np.savez(folder / "scores.npz", row=rows, nll=nll, accuracy=np.ones(len(rows)), constant=nll + 1)
    known = {"tasks": {"digits": json.loads((folder / "config.json").read_text())["task"]}, "complete": True}
    known |= {"seeds": {"digits": seeds}, "runs": [str(c.parent.relative_to(root)) for c in root.rglob("config.json")]}
    known |= {"format": 1, "version": "0", "methods": list(gains), "folds": {"digits": FOLDS}, "select": "nll"}
    (root / "study.json").write_text(json.dumps(known))
    return Study.open(root)


@pytest.fixture
def study(make, root):
    """See `write_study`."""
    return functools.partial(write_study, root, make)


@pytest.fixture(scope="module")
def usual(making, tmp_path_factory):
    """(study, page) as `write_study` writes it, to be read only."""
    folder = tmp_path_factory.mktemp("usual")
    (folder / "runs").mkdir()
    study = write_study(folder / "runs", making(folder / "runs"))
    return study, study.report(folder / "out")


def test_the_page_leads_with_the_recommendation(usual):
    study, path = usual
    assert study.recommendation.startswith("Use l2 at strength 0.01 (0.01 to 0.1 by fold)")
    page = path.read_text(encoding="utf-8")
    assert study.recommendation.removesuffix(".") in page.partition("</ul>")[0]
    for said in ("4 seeds × 2 folds", "within each fold", "(0.01 to 0.1)", "<h1>Which method to use</h1>"):
        assert said in page
    for said in ("best test score", "came first", "normalised score, ", "larger than its own", "0.999"):
        assert said not in page
    assert study.across.sentence not in page
    assert 'id="across"' not in page
    assert not (path.parent / "across.csv").exists()


def test_the_first_screen_has_the_differences_in_one_picture(usual):
    study, path = usual
    page = path.read_text(encoding="utf-8")
    first, _, rest = page.partition("<nav")
    assert 'id="figure-forest"' in first
    assert 'id="figure-cost"' in rest
    row = study.results.set_index("method").loc["l2"]
    numbers = [f"{row[f'nll_{name}']:+.3f}".replace("-", "−") for name in ("difference", "low", "high")]
    assert "l2 {} [{}, {}] better (recommended)".format(*numbers) in first


def test_a_task_without_a_run_yet_is_told_and_the_others_are_shown(study, tmp_path):
    study = study()
    for name in ("tasks", "folds", "seeds"):
        study.settings[name] = study.settings[name] | {"wine": study.settings[name]["digits"]}
    study.settings["tasks"]["wine"] = study.settings["tasks"]["digits"] | {"dataset": "wine"}
    page = study.report(tmp_path / "out").read_text(encoding="utf-8")
    assert "<strong>wine</strong>: Nothing to recommend" in page
    assert "Use l2 on digits; on wine nothing is shown to help." in page
    assert f"<p>{html.escape(study.across.sentence)}</p>" in page.replace("&#39;", "&#x27;")
    assert "Over 2 tasks nothing can be shown: with 2 methods besides none it takes 7" in study.across.sentence
    assert "no critical-difference diagram: it needs 10 tasks, and there are 2." in page
    assert 'id="figure-ranks"' not in page


def test_one_seed_says_what_it_takes_and_shows_no_winner(study, tmp_path):
    page = study(seeds=1).report(tmp_path / "out").read_text(encoding="utf-8")
    assert "<h1>One seed does not say which method to use</h1>" in page
    for name in ("forest", "cost"):
        assert f'id="figure-{name}"' not in page
        assert not (tmp_path / f"out/{name}.svg").exists()


def test_nothing_is_recommended_for_a_higher_mean_alone(study, tmp_path):
    """l2 has the best mean in every column, by less than matters."""
    study = study(gains={"none": 0.0, "l2": 0.002, "dropout": 0.001})
    page = study.report(tmp_path / "out").read_text(encoding="utf-8")
    assert study.recommendation.startswith("Keep none")
    assert study.recommendation.removesuffix(".") in page
    assert "best test score" not in page


def test_differences_are_those_of_the_study(usual):
    study, path = usual
    table = tables.verdicts(study.results)
    assert table.header == ["", "metric", "l2", "dropout"]
    assert [[cell.text for cell in row[:2]] for row in table.rows] == [["digits", "nll"], ["digits", "accuracy"]]
    row = study.results.set_index("method").loc["l2"]
    numbers = [f"{row[f'nll_{name}']:+.3f}".replace("-", "−") for name in ("difference", "low", "high")]
    assert table.rows[0][2] == tables.Cell("{} [{}, {}]\nbetter".format(*numbers), marked=True)
    assert not table.rows[0][3].marked
    assert table.rows[1][3].text == "0.000 [0.000, 0.000]\nequal"
    assert table.rows[0][2].text in path.read_text(encoding="utf-8")
    kept = pd.read_csv(path.parent / "differences.csv").set_index("method")
    assert kept.loc["l2", "nll_difference"] == pytest.approx(row["nll_difference"])


def test_strengths_are_drawn_by_the_metric_that_chose(study, tmp_path):
    study = study()
    study.settings["select"] = "accuracy"
    study.report(tmp_path / "out")
    assert "validation accuracy" in (tmp_path / "out/strengths.svg").read_text()
    assert "validation nll" not in (tmp_path / "out/strengths.svg").read_text()


def test_runs_that_it_did_not_ask_for_are_not_of_the_study(study, make, root):
    """As where the same folder is asked again for less: what was done before must not hold up what is new."""
    study = study(seeds=SEEDS)
    seeds = {p: json.loads((root / p / "config.json").read_text())["replicate"]["seed"] for p in study.settings["runs"]}
    asked = [place for place, seed in seeds.items() if seed % FIRST_TUNING < 2]
    make("none", None, 0, repeat={"stage": "test", "partition": 0, "fold": 0, "folds": 5})
    make("none", None, 0)
    runs = Study(root, study.settings | {"runs": asked, "seeds": {"digits": 2}}).runs
    assert set(runs["seed"]) == {0, 1, FIRST_TUNING, FIRST_TUNING + 1}
    assert set(runs["folds"]) == {FOLDS}
    assert set(report.load(root)["task"]) == {"digits", "digits · folds 2", "digits · folds 5"}


def test_a_study_without_a_run_of_its_own_recommends_nothing_yet(study):
    study = study()
    study.settings["runs"] = []
    assert study.recommendation.startswith("Nothing to recommend")


def test_every_file_that_speaks_is_there_and_counts(tmp_path, monkeypatch):
    texts = wording._texts
    package = wording.HERE.parent
    for source in wording.speaking():
        place = tmp_path / source.relative_to(package)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(wording, "HERE", tmp_path / "report")
    monkeypatch.setattr(wording, "_texts", functools.cache(lambda tree: list(texts(tree))))
    monkeypatch.setattr(wording.ast, "parse", functools.cache(ast.parse))  # each content once
    before = wording.wording()
    files = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    assert {"base.html", "macros.html", "page.html", "page.css", "page.js", "forest.py", "conclusion.py"} <= {
        file.name for file in files
    }
    for file in files:
        text = file.read_text(encoding="utf-8")
        file.write_text(text + ("\nMORE = 'more'\n" if file.suffix == ".py" else "more"), encoding="utf-8")
        assert wording.wording() != before, file
        file.write_text(text, encoding="utf-8")
    assert wording.wording() == before
