"""Run directories with known numbers."""

import json

import pandas as pd
import pytest

from bayesreg import report, runs
from bayesreg.metrics import METRICS


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
