"""The tasks on the data sets of files run from the files to the metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bayesreg.grid import Run, Where
from bayesreg.methods import Method
from bayesreg.tasks.beijing import Beijing
from bayesreg.tasks.imdb import Imdb

CPU = Where(device="cpu")


def metrics(outcome: dict) -> dict[str, float]:
    assert outcome["status"] == "done"
    return json.loads((Path(outcome["directory"]) / "result.json").read_text())["metrics"]["test"]


@pytest.mark.parametrize("prior", ["l2", "smoothness"])
def test_a_bidirectional_lstm_learns_the_words_of_reviews(imdb_root: Path, tmp_path: Path, prior: str) -> None:
    options = {"epochs": 30, "batch_size": 9, "lr": 0.02, "words": 100, "length": 5, "hidden": 4}
    run = Run(Imdb(data_dir=imdb_root, **options), Method(prior).candidate(), where=CPU)
    assert metrics(run.execute(tmp_path / "run"))["accuracy"] == 1.0


@pytest.mark.parametrize("net", ["lstm", "transformer"])
def test_networks_on_windows_of_the_air(beijing_root: Path, tmp_path: Path, net: str) -> None:
    task = Beijing(data_dir=beijing_root, net=net, epochs=2, batch_size=12, width=8)
    found = metrics(Run(task, Method("none"), where=CPU).execute(tmp_path / "run"))
    assert set(found) >= {"mse", "r2", "nll"}
    config = json.loads((tmp_path / "run" / "config.json").read_text())["task"]
    assert (config["net"], config["dataset"]) == (net, "beijing")
