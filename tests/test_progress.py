"""Where a progress bar appears, and what it says about a grid of runs."""

from __future__ import annotations

import io
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tqdm import tqdm
from tqdm.notebook import tqdm_notebook

from bayesreg import progress
from bayesreg.progress import Progress, bar, duration, in_notebook

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


# --- A grid of runs ---


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def grid(clock: Clock, left: float | None = 250.0, **options: Any) -> Progress:
    """120 of 400 runs have ended."""
    shown = Progress(lambda: left, refused=3, clock=clock, **options)
    shown.stage, shown.ended, shown.total = "tune", 120, 400
    shown.counts |= {"running": 2, "failed": 1}
    return shown


def test_a_line_says_what_has_become_of_the_runs() -> None:
    shown = grid(Clock())
    assert str(shown) == "tune 120 of 400 runs, 2 running, 1 failed, 3 refused, 4 min 10 s left"
    shown.counts |= {"running": 0, "elsewhere": 7}
    assert str(shown) == "tune 120 of 400 runs, 7 elsewhere, 1 failed, 3 refused, 4 min 10 s left"
    assert str(grid(Clock(), left=None)) == "tune 120 of 400 runs, 2 running, 1 failed, 3 refused"


def test_a_log_has_a_line_now_and_then_and_one_at_the_end_of_a_stage(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level("INFO"), grid(clock) as shown:
        for clock.now in range(100):
            shown.look()
        assert len(caplog.messages) == 3  # after 30, 60 and 90 s
        shown.end()
    assert len(caplog.messages) == 4
    assert set(caplog.messages) == {str(shown)}


def test_nothing_is_said_where_nobody_wants_it(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level("INFO"), grid(clock, show=False) as shown:
        clock.now = 100
        shown.look()
        shown.end()
    assert caplog.messages == []


def test_a_terminal_sees_a_bar_in_place_of_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen, clock = look(monkeypatch, Terminal()), Clock()
    monkeypatch.setattr(progress, "QUIET", 0.0)
    with caplog.at_level("INFO"), grid(clock) as shown:
        shown._bar.mininterval = 0  # tqdm has a clock of its own
        clock.now = 1.0
        shown.look()
        shown.stage, shown.ended = "test", 400
        shown.end()
    assert re.search(
        r"tune:  30%\|.*\| 120/400 runs \[.*, 2 running, 1 failed, 3 refused, 4 min 10 s left\]", seen.getvalue()
    )
    assert "test: 100%" in seen.getvalue()
    assert caplog.messages == []


def test_the_time_left_is_not_computed_more_often_than_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch, Terminal())
    clock, asked = Clock(), []
    with Progress(lambda: asked.append(clock.now), clock=clock) as shown:
        shown.total = 1
        for step in range(1000):
            clock.now = step / 100
            shown.look()
    assert len(asked) <= 10 / progress.LOOK


DURATIONS = {0.0: "1 s", 0.4: "1 s", 45: "45 s", 59.6: "1 min", 60: "1 min", 90: "1 min 30 s", 250: "4 min 10 s"}
DURATIONS |= {719: "11 min", 3600: "1 h", 5400: "1 h 30 min", 36_600: "10 h", 97_300: "1 d 3 h", 864_000: "10 d"}


@pytest.mark.parametrize(("seconds", "said"), DURATIONS.items(), ids=str)
def test_a_time_in_words(seconds: float, said: str) -> None:
    assert duration(seconds) == said
