"""The command `bayesreg`, in this process."""

import sys

import pytest

from bayesreg.cli.__main__ import main


@pytest.fixture(autouse=True)
def _own_path(monkeypatch):
    """Folders of files that are compared are on the path of that test alone."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def bayesreg(monkeypatch, tmp_path, capsys):
    """Run the command in an empty folder: (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["bayesreg", *map(str, options)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        said = capsys.readouterr()
        return status, said.out, said.err

    return run
