"""The pages of measurements: made only from their tables, with an answer that the tables give, for any screen."""

import re
import shutil
from pathlib import Path

import browser
import pandas as pd
import pytest

from bayesreg.report import figures, style
from benchmarks.contestants import BAYESREG, HAND
from benchmarks.pages import __main__ as pages
from benchmarks.pages import performance, smoothness
from benchmarks.pages.cost import cost, relative
from benchmarks.pages.frontier import frontier
from benchmarks.settings import DEFAULT, DOUBLE_BACKWARD, WHOLE, text

REPORTS = Path(__file__).parents[2] / "reports"
STEPS = ["case", "batch", "width", "prior", "guide", "contestant", "median_ms", "q25_ms", "q75_ms"]
RATIOS = ["bar", "case", "width", "pair", "ratio", "limit", "limit_is", "verdict"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The committed tables, in a folder where both pages were made from them."""
    folder = tmp_path_factory.mktemp("reports")
    for name in pages.PAGES:
        shutil.copytree(REPORTS / name, folder / name, ignore=shutil.ignore_patterns("*.svg", "*.png", "*.html"))
    pages.main(["--reports", str(folder)])
    return folder


@pytest.mark.parametrize("name", pages.PAGES)
def test_the_committed_page_is_what_its_tables_give(made, name):
    then, now = (re.sub(r"<svg.*?</svg>", "", (root / name / "index.html").read_text()) for root in (REPORTS, made))
    assert then == now, "python -m benchmarks.pages"
    assert {path.name for path in (made / name).iterdir()} == {path.name for path in (REPORTS / name).iterdir()}


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_needs_nothing_else_and_answers_before_its_tables(made, name):
    page = made / name / "index.html"
    content = page.read_text()
    assert page.stat().st_size < 5e6
    assert not re.search(r"""(?:src|href)=["']?https?:|@import|url\((?!#)""", content)
    assert all((page.parent / target).exists() for target in re.findall(r'href="([^#"][^":]*)"', content))
    order = [
        content.index(part) for part in ('class="answer"', "<figure", "<table", 'id="machine"', "Measured on 2026-")
    ]
    assert order == sorted(order)
    assert content.count("<table") == content[: content.index('id="machine"')].count("<table")


@pytest.mark.skipif(browser.BROWSER is None, reason="there is no Chromium to look at the pages with")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_pages_in_a_browser(made, tmp_path, dark):
    every = [made / name / "index.html" for name in pages.PAGES]
    found = browser.seen(every, tmp_path, [390, 1400], dark)
    assert len(found) == 4
    for one, width in zip(found, [390, 1400] * 2, strict=True):
        browser.check(one, width, dark)


def test_a_page_that_is_not_there_is_refused(tmp_path, capsys):
    for asked, said in (
        (["speed"], "unknown page 'speed'; there are performance, smoothness"),
        (["smoothness"], "cost.csv"),
    ):
        with pytest.raises(SystemExit, match="2"):
            pages.main([*asked, "--reports", str(tmp_path)])
        assert said in capsys.readouterr().err


def steps(*rows):
    """Steps of MAP at batch 8: (case, width, prior, contestant, ms), the quartiles 10 % beside."""
    each = [(case, 8, width, prior, "delta", who, ms, 0.9 * ms, 1.1 * ms) for case, width, prior, who, ms in rows]
    return pd.DataFrame(each, columns=STEPS)


def test_a_step_is_relative_to_the_hand_written_step_without_a_prior():
    rows = [("mlp", 1, "none", HAND, 2.0), ("mlp", 1, "l2", BAYESREG, 3.0), ("mlp", 4, "l2", BAYESREG, 9.0)]
    found = relative(steps(*rows))
    assert list(found["ratio"]) == [1, 1.5]  # at 4 times the width there is nothing to compare with
    assert list(found["low"]) == pytest.approx([0.9, 1.35])
    assert cost(steps(*rows[1:])) is None
    [group] = cost(steps(*rows)).groups
    assert group.title == "mlp: 20-128-128-100"
    assert "l2 1.50" in group.panels[0].alt


def test_the_answer_is_the_range_over_the_networks_at_their_own_width():
    rows = [(case, width, "none", HAND, 1.0) for case in ("mlp", "lstm") for width in (1, 4)]
    rows += [("mlp", 1, "none", BAYESREG, 0.9), ("lstm", 1, "none", BAYESREG, 1.1), ("mlp", 1, "l2", BAYESREG, 1.2)]
    rows += [("mlp", 4, "l2", BAYESREG, 5.0)]
    same = f"{BAYESREG} / {HAND} (l2, delta)"
    ratios = [(same, "mlp", 1, "uncompiled", 0.8), (same, "mlp", 4, "uncompiled", 3), (same, "mlp", 1, "compiled", 7)]
    ratios += [(f"{BAYESREG} / {HAND} (l2, normal)", "mlp", 1, "uncompiled", 9)]
    assert performance.answer(steps(*rows), pd.DataFrame(ratios, columns=RATIOS[:5])) == [
        "On this machine a training step of bayesreg takes 0.90 to 1.20 times a hand-written PyTorch step without a "
        "prior, over 2 networks: none 0.90 to 1.10, l2 1.20.",
        "It takes 0.80 times as long as the same prior written by hand.",
    ]
    assert performance.answer(steps(), pd.DataFrame(columns=RATIOS)) == []


def test_what_was_promised_and_missed_is_said():
    memory = f"peak memory: {BAYESREG} / {HAND}"
    rows = [(f"{memory} (none, delta)", "mlp", 1, "uncompiled", 2.0, 1.1, "at most", "missed")]
    rows += [(f"{memory} (l2, delta)", "lstm", 1, "uncompiled", 1.2, 1.1, "at most", "missed")]
    rows += [(f"{memory} (l2, delta)", "mlp", 1, "uncompiled", 1.0, 1.1, "at most", "met")]
    rows += [("another / one (l2)", "mlp", 1, "uncompiled", 5.0, 8.0, "at least", "missed")]
    table = pd.DataFrame(rows, columns=RATIOS)
    assert performance.missed(table) == [
        "mlp and lstm: peak memory is 1.200 to 2.000 times that of the same step by hand, where at most 1.1 was "
        "promised",
        "mlp: another / one is 5.000, where at least 8 was promised",
    ]
    assert performance.missed(table[table["verdict"] == "met"]) == []


def costs():
    """Two networks: the default, the whole batch and double backward."""
    rows = [
        ("mlp", 1, text(DEFAULT), 1.5, 0.02),
        ("mlp", 1, text(WHOLE), 19.0, 0.0),
        ("mlp", 1, DOUBLE_BACKWARD, 300.0, None),
    ]
    rows += [("lstm", 1, text(DEFAULT), 1.25, 1.5), ("lstm", 4, text(DEFAULT), 9.0, 0.1)]
    return pd.DataFrame(rows, columns=["case", "width", "setting", "ratio", "deviation"]).assign(every=4)


def test_the_answer_about_smoothness_is_that_of_its_tables():
    assert smoothness.answer(costs()) == (
        "On this machine a training step with the smoothness prior at its default takes 1.25 to 1.50 times a step "
        "without a prior; taken over the whole batch at every step 19.0 times, and by double backward 300 times."
    )
    fits = [
        ("digits", s, 0, what, nll, d) for s, what, nll, d in ((0.1, "default", 1.0, 2.0), (0.1, "exact", 1.1, 4.0))
    ]
    fits += [("digits", 1.0, 0, what, 2.0, 1.0) for what in ("default", "exact")]
    table = pd.DataFrame(fits, columns=["dataset", "strength", "seed", "setting", "nll", "d"])
    spread = "Its estimate of the curvature, over 8 steps, has a standard deviation of 2 % (mlp) to 150 % (lstm) of the"
    spread += " mean."
    assert smoothness.exactness(costs(), table) == (
        f"{spread} Fits end within 0.100 nats of the exact prior’s validation NLL, furthest on digits at strength 0.1, "
        "where d comes out 50 % lower."
    )
    assert smoothness.exactness(costs(), table[:0]) == spread


def test_the_frontier_rings_the_default():
    picture = frontier(costs(), text(DEFAULT))
    assert [group.title.partition(":")[0] for group in picture.groups] == ["mlp", "lstm"]
    assert picture.groups[1].panels[0].alt.endswith(f"The default is {text(DEFAULT)}.")
    [shown] = figures.shown({"frontier": picture, "none": None}, style.variables(())[0]).values()
    assert shown.drawn.svg.count(b">default<") == 2
