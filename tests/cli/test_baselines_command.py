"""The command that prints the baselines of a data set."""

import re

import pytest

from bayesreg.cli import baselines


def test_the_command_prints_a_line_for_each(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["baselines", "diabetes"])
    baselines.main()
    lines = capsys.readouterr().out.splitlines()
    assert [re.match(r"(\w+) +mse \d\.\d{4} .* r2 -?\d\.\d{4}  nll \d\.\d{4}", line)[1] for line in lines] == [
        "mean",
        "ridge",
    ]


def test_the_command_refuses_an_unknown_data_set(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["baselines", "diabetis"])
    with pytest.raises(SystemExit) as end:
        baselines.main()
    assert end.value.code == 2
    assert "Did you mean 'diabetes'" in capsys.readouterr().err
