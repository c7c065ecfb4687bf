"""Run directories with known numbers."""

import json

import numpy as np
import pandas as pd
import pytest

from bayesreg import report, runs
from bayesreg.metrics import METRICS
from bayesreg.study import Study


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def maker(root):
    """make(method, strength, seed, validation, test, ...) writes one run directory and returns it.

    validation, test: the headline metric, None where the run diverged; the NLL is 1 − it, or it where less is better.
    own: options of the candidate; repeat: of the replicate; everything else that is named is an option of the task.
    """

    def make(
        method="l2", strength=1e-4, seed=0, validation=0.9, test=0.8, dataset="digits", own=None, repeat=None, **more
    ):
        metric = more.setdefault("metric", "accuracy")
        text = method if strength is None else f"{method}:{strength:g}"
        task = {"dataset": dataset, "net": "mlp", "epochs": 4, "batch_size": 128, "lr": 0.001} | more
        candidate = {"method": method, "text": text, "strengths": [] if strength is None else [strength]} | (own or {})
        config = {"task": task, "candidate": candidate, "replicate": {"seed": seed} | (repeat or {})}
        folder = root / f"{text}-{seed}-{runs.key(config)}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        done = validation is not None
        history = {
            "epoch": range(1, 5),
            "seconds": 0.5 if method == "smoothness" else 0.25,
            "loss": 1.0,
            f"validation_{metric}": [0.1, 0.5, 0.7, validation or 0.0],
        }
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
        result = {
            "status": "done" if done else "diverged",
            "message": None if done else "epoch 2, step 3: the loss is NaN",
            "metrics": {
                "validation": scores(metric, validation) if done else {},
                "test": scores(metric, test) if done and test is not None else {},
            },
            "seconds": {"warmup": 1.5, "epoch": 0.5 if method == "smoothness" else 0.25, "total": 9.0},
            "priors": [{"name": method, "natural": {"scale": 0.5}, "strength": strength, "size": 100}],
            "device": "cpu",
            "versions": {"torch": "2.6.0"},
            "machine": "two cores",
        }
        (folder / "result.json").write_text(json.dumps(result))
        return folder

    return make


@pytest.fixture(scope="session")
def making():
    """`maker` itself, for a folder that several tests share."""
    return maker


@pytest.fixture
def make(root):
    """See `maker`: it writes run directories below `root`."""
    return maker(root)


def scores(metric, value):
    return {metric: value, "nll": 1 - value if METRICS[metric].higher_is_better else value}


def write_comparison(make):
    """Three methods, two data sets of different metrics, two seeds: test means are easy to work out."""
    for seed in (0, 1):
        d = 0.02 * seed
        make("none", None, seed, 0.80 + d, 0.70 + d)
        make("l2", 1e-4, seed, 0.82 + d, 0.75 + d)
        make("l2", 1e-3, seed, 0.90 + d, 0.80 + d)
        make("smoothness", 1e-2, seed, 0.95 + d, 0.90 + d)
        make("none", None, seed, 0.40 + d, 0.30 + d, "diabetes", metric="r2")
        make("l2", 1e-3, seed, 0.39 + d, 0.29 - d, "diabetes", metric="r2")


@pytest.fixture
def comparison(make, root):
    """The runs of `write_comparison`."""
    write_comparison(make)
    return report.load(root)


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """(folder of the runs, runs, page) of `write_comparison`, to be read only."""
    folder = tmp_path_factory.mktemp("reported")
    root = folder / "runs"
    root.mkdir()
    write_comparison(maker(root))
    runs = report.load(root)
    return root, runs, report.write(root, folder / "out", runs)


GAINS = {"none": 0.0, "l2": 0.1, "l1": 0.004, "dropout": -0.2}  # in NLL
TROUBLES = ("smoothness", "entropic", "ard")  # diverged everywhere, refused on the first task, missing on the second
TASKS = [*(f"t{t}" for t in range(7)), "<b>$x_1$</b>", "=1+1", "日" * 40]


def write_tasks(root, make, tasks, seeds=2, rows=30):
    """A study in which l2 is better on every task, l1 cannot be told from none, dropout is worse; see TROUBLES."""
    rng = np.random.default_rng(0)
    for t, task in enumerate(tasks):
        easy, level = rng.normal(0, 0.3, rows), 0.5 + 0.1 * t
        for seed in range(seeds):
            for method in (*GAINS, *TROUBLES):
                lost = method == "smoothness"
                if (method, t) == ("ard", 1):
                    continue
                gain = GAINS.get(method, 0.05) * (1 + 0.1 * t) * (-1 if method == "l1" and t % 2 else 1)
                score = None if lost else level - gain
                folder = make(method, None, seed, score, score, task, repeat={"stage": "test"}, metric="nll")
                (folder / "history.csv").write_text("epoch,seconds,validation_nll\n")  # no curves: they take time
                if (method, t) == ("entropic", 0):
                    refused = {"status": "refused", "message": "it does nothing", "metrics": {}, "seconds": {}}
                    (folder / "result.json").write_text(json.dumps(refused))
                elif not lost:
                    nll = level - gain + easy + 0.02 * rng.normal(size=rows)
                    np.savez(folder / "scores.npz", row=np.arange(rows), nll=nll)
    configs = {str(file.parent.relative_to(root)): json.loads(file.read_text()) for file in root.rglob("config.json")}
    known = {config["task"]["dataset"]: config["task"] for config in configs.values()}
    settings = {"format": 1, "version": "0", "methods": [*GAINS, *TROUBLES], "select": "nll", "complete": True}
    settings |= {"tasks": known, "seeds": dict.fromkeys(known, seeds), "folds": dict.fromkeys(known, 1)}
    (root / "study.json").write_text(json.dumps(settings | {"runs": list(configs)}))
    return Study.open(root)


@pytest.fixture
def study_on(root, make):
    """study_on(tasks): the study of `write_tasks`."""
    return lambda tasks: write_tasks(root, make, tasks)


@pytest.fixture(scope="session")
def over_tasks(tmp_path_factory):
    """(study, page) of ten tasks with every kind of trouble, to be read only."""
    folder = tmp_path_factory.mktemp("over_tasks")
    root = folder / "runs"
    root.mkdir()
    study = write_tasks(root, maker(root), TASKS)
    return study, study.report(folder / "out")
