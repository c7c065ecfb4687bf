"""The experiments on the data sets of files run from the files to the metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.beijing import Beijing
from experiments.imdb import Imdb


def metrics(outcome: dict) -> dict[str, float]:
    assert outcome["status"] == "done"
    return json.loads((Path(outcome["directory"]) / "result.json").read_text())["metrics"]["test"]


@pytest.mark.parametrize("prior", ["l2", "smoothness"])
def test_a_bidirectional_lstm_learns_the_words_of_reviews(imdb_root: Path, tmp_path: Path, prior: str) -> None:
    options = {"epochs": 30, "batch_size": 9, "lr": 0.02, "words": 100, "length": 5, "hidden": 4}
    run = Imdb(data_dir=imdb_root, output=tmp_path / "run", prior=prior, device="cpu", **options)
    assert metrics(run.run())["accuracy"] == 1.0


@pytest.mark.parametrize("net", ["lstm", "transformer"])
def test_networks_on_windows_of_the_air(beijing_root: Path, tmp_path: Path, net: str) -> None:
    run = Beijing(
        data_dir=beijing_root, output=tmp_path / "run", net=net, epochs=2, batch_size=12, width=8, device="cpu"
    )
    found = metrics(run.run())
    assert set(found) >= {"mse", "r2", "nll"}
    config = json.loads((tmp_path / "run" / "config.json").read_text())["task"]
    assert (config["net"], config["dataset"]) == (net, "beijing")
