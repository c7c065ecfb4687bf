"""python -m experiments.lenet on pictures that are made up: its table against the posteriors of its runs."""

import pandas as pd
import pytest
import torch

import bayesreg as br
from bayesreg import datasets
from bayesreg.guides.variational_dropout import VariationalDropout
from experiments import lenet


@pytest.fixture
def pictures(monkeypatch):
    g = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (60, 1, 28, 28), generator=g, dtype=torch.uint8)
    data = br.Data.split(x, torch.arange(60) % 10)
    monkeypatch.setattr(datasets, "load", lambda name, directory: data)
    return data


def test_a_row_a_method_and_seed(pictures, monkeypatch, tmp_path, capsys):
    methods = ["none", "log_uniform@variational_dropout:threshold=-1.0"]
    options = ["--epochs", "1", "--batch-size", "20", "--quiet", "--output", tmp_path / "out", "--runs", tmp_path]
    monkeypatch.setattr("sys.argv", ["lenet", "--methods", *methods, *map(str, options)])
    lenet.main()
    table = pd.read_csv(tmp_path / "out/lenet.csv")
    assert table["method"].tolist() == methods
    assert table["weights"].tolist() == [28 * 28 * 300 + 300 * 100 + 100 * 10] * 2
    all_of_them, fewer = table["remain"]
    assert all_of_them == 266_200 > fewer > 0
    assert table["times fewer"][1] == pytest.approx(266_200 / fewer)
    assert table["test error, %"].between(0, 100).all()
    assert "lenet.csv" in capsys.readouterr().out


def test_the_weights_that_remain_are_those_the_guide_keeps(pictures):
    torch.manual_seed(0)
    model = br.Model(lenet.network(), br.LogUniform(), br.Categorical(), size=len(pictures.train))
    guide = VariationalDropout(threshold=-1.0)
    found = br.fit(model, pictures.train, guide=guide, epochs=1, device="cpu", progress=False)
    said = lenet.weights(found)
    assert (said["remain"], said["weights"]) == guide.remaining(found.guide)
    assert 0 < said["remain"] < 266_200


def test_what_is_missing_or_unknown_is_said_in_a_line(monkeypatch, tmp_path, capsys):
    for options, words in {
        ("--data-dir", str(tmp_path / "nothing")): "train-images",
        ("--methods", "l3"): "unknown prior or technique 'l3'",
    }.items():
        monkeypatch.setattr("sys.argv", ["lenet", *options])
        with pytest.raises(SystemExit) as end:
            lenet.main()
        said = capsys.readouterr().err
        assert (end.value.code, words in said, said.count("\n")) == (2, True, 1)
