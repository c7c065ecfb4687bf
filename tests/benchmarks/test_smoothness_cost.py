"""The benchmark of the smoothness prior leaves its tables and pictures, with numbers that can be true."""

import pandas as pd
import pytest

from benchmarks import smoothness


def test_a_tiny_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(smoothness, "SETTINGS", [smoothness.DEFAULT, smoothness.WHOLE])
    monkeypatch.setattr(smoothness, "STRENGTHS", (1e-3, 1.0))
    monkeypatch.setattr(smoothness, "EPOCHS", 200)
    options = "--cases housing --widths 1 --seconds 0.02 --draws 4 --seeds 0 --no-memory --device cpu"
    smoothness.main([*options.split(), "--output", str(tmp_path)])
    names = "cost.csv final.csv line.csv machine.json frontier.svg frontier.png line.svg line.png index.html"
    assert {path.name for path in tmp_path.iterdir()} == set(names.split())
    costs = pd.read_csv(tmp_path / "cost.csv").set_index("setting")
    assert costs.loc["no prior", "ratio"] == 1
    assert costs.loc["whole batch, every step", "deviation"] == pytest.approx(0, abs=1e-6)  # all 8 coordinates
    assert costs.loc["1/16 of the batch, at least 8, every 4 steps", "deviation"] > 0
    assert costs.loc["whole batch, every step", "ms"] > costs.loc["1/16 of the batch, at least 8, every 4 steps", "ms"]
    line = pd.read_csv(tmp_path / "line.csv").dropna().groupby("strength")["d"].first()
    assert line.iloc[1] < line.iloc[0]
    assert capsys.readouterr().out == f"{tmp_path / 'index.html'}\n"
    assert "by double backward" in (tmp_path / "index.html").read_text().partition("<figure")[0]


def test_an_unknown_case_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="unknown case 'mpl'"):
        smoothness.main(["--cases", "mpl", "--output", str(tmp_path)])
