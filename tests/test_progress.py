"""Where a progress bar appears."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace

import pytest
from tqdm import tqdm
from tqdm.notebook import tqdm_notebook

from bayesreg import progress
from bayesreg.progress import bar, in_notebook

KERNEL = SimpleNamespace(kernel=object())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def look(monkeypatch: pytest.MonkeyPatch, error: io.StringIO, shell: object = None) -> io.StringIO:
    """Standard error is `error`, and `shell` the running shell of IPython; there is no ipywidgets.

    In the test itself: pytest gives each of its phases a standard error of its own.
    """
    module = ModuleType("IPython")
    module.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(sys, "stderr", error)
    return error


def test_a_terminal_sees_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, Terminal())
    monkeypatch.setattr(progress, "QUIET", 0.0)
    assert list(bar(range(3), desc="reading")) == [0, 1, 2]
    assert "reading: 100%" in seen.getvalue()
    assert "3/3" in seen.getvalue()


def test_what_is_quick_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, Terminal())
    assert list(bar(range(3), desc="reading")) == [0, 1, 2]
    assert seen.getvalue() == ""


def test_a_log_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, io.StringIO())
    assert list(bar(range(3), delay=0)) == [0, 1, 2]
    assert seen.getvalue() == ""


@pytest.mark.parametrize(("kind", "shell"), [(Terminal, None), (io.StringIO, KERNEL)], ids=["terminal", "notebook"])
def test_hidden_on_demand_everywhere(kind: type[io.StringIO], shell: object, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, kind(), shell)
    assert list(bar(range(3), show=False, delay=0)) == [0, 1, 2]
    assert seen.getvalue() == ""


def test_a_notebook_without_widgets_sees_a_line_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, io.StringIO(), KERNEL)
    shown = bar(range(3), desc="reading", delay=0)
    assert type(shown) is tqdm
    assert list(shown) == [0, 1, 2]
    assert "reading: 100%" in seen.getvalue()


def test_a_notebook_with_widgets_gets_the_widget(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch, io.StringIO(), KERNEL)
    monkeypatch.setitem(sys.modules, "ipywidgets", ModuleType("ipywidgets"))
    assert isinstance(bar(range(3), show=False), tqdm_notebook)


@pytest.mark.parametrize("shell", [None, SimpleNamespace()], ids=["no shell", "the shell of a terminal"])
def test_ipython_alone_is_no_notebook(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    seen = look(monkeypatch, io.StringIO(), shell)
    assert not in_notebook()
    assert list(bar(range(3), delay=0)) == [0, 1, 2]
    assert seen.getvalue() == ""


def test_without_ipython_there_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()


def test_a_log_without_warnings_has_no_bar(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    seen = look(monkeypatch, Terminal())
    monkeypatch.setattr(progress, "QUIET", 0.0)
    with caplog.at_level("ERROR", logger="bayesreg"):
        assert list(bar(range(3))) == [0, 1, 2]
    assert seen.getvalue() == ""
