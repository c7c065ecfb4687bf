"""Over all tasks: the section of the page, its table and its three pictures."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import rankdata

from bayesreg.report import across, panels, style
from bayesreg.report.improvement import improvement
from bayesreg.report.profile import profile
from bayesreg.report.ranks import ranks
from bayesreg.statistics import across as over

SEEDS, SVG = 3, f"{{{panels.SVG}}}"


def made(gains, tasks=12, gone=None):
    """`Across` of methods with gains over none by task; gone: {method: {task: its status there}}."""
    rng = np.random.default_rng(0)
    base, noise = rng.normal(size=(tasks, 1)), 0.003 * rng.normal(size=(tasks, SEEDS))
    scores, status = {}, {}
    for t in range(tasks):
        lost = {method: where[t] for method, where in (gone or {}).items() if t in where}
        every = {"none": 0.0, **gains}
        own = {m: base[t] + np.resize(gain, tasks)[t] + noise[t, ::-1] for m, gain in every.items()}
        scores[f"t{t}"] = {m: values for m, values in own.items() if m not in lost}
        status[f"t{t}"] = dict.fromkeys(every, "done") | lost
    return over(scores, status, draws=200), scores


def axes_of(picture):
    axes = Figure().add_subplot()
    picture.groups[0].panels[0].draw(axes)
    return axes


def cells(found):
    """{method: {heading: text}}."""
    table = across.section(found)["table"]
    return {row[0].text: dict(zip(table.header, (cell.text for cell in row), strict=True)) for row in table.rows}


def everywhere(status, tasks=12):
    return dict.fromkeys(range(tasks), status)


# --- The section ---


def test_the_page_says_what_the_study_says(over_tasks):
    study, page = over_tasks
    text = page.read_text(encoding="utf-8")
    section = re.search(r'<section id="across">.*?</section>', text, re.DOTALL)[0]
    assert '<a href="#across">Over all tasks</a>' in text.partition("</nav>")[0]
    assert f"<p>{study.across.sentence}</p>" in section
    assert study.across.sentence == study.recommendation.split("\n")[-1]
    for name in ("improvement", "profile", "ranks"):
        assert f'id="figure-{name}"' in section
        assert (page.parent / f"{name}.svg").read_bytes().startswith(b"<?xml")
        assert (page.parent / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "Not compared on every task, and so without a rank: entropic and ard." in section
    for rule in ("diverged</em> on a task has lost there", "refused or lacks runs is not compared", "within 0.01 nats"):
        assert rule in section
    assert "nan" not in re.sub(r"<[^>]*>", "", section)
    assert "<b>" not in text
    kept = pd.read_csv(page.parent / "across.csv")
    pd.testing.assert_frame_equal(kept, study.across.table, check_dtype=False)
    found = {m: [row[name] for name in ("tasks", "missing", "diverged")] for m, row in cells(study.across).items()}
    assert found["smoothness"] == ["10", "0", "10"]
    assert found["entropic"] == found["ard"] == ["9", "1", "0"]


@pytest.mark.parametrize("methods", [["none"], ["l2"], ["l1", "l2"]], ids="-".join)
def test_without_none_beside_another_there_is_no_section(methods):
    scores = {f"t{t}": {method: np.zeros(2) for method in methods} for t in range(3)}
    assert across.told(over(scores, {task: dict.fromkeys(methods, "done") for task in scores})) is None


def test_one_task_and_runs_that_are_no_study_have_no_section():
    assert across.told(made({"l2": 0.1}, tasks=1)[0]) is None
    assert across.told(None) is None


HOSTILE = {"<b>&": 0.1, "$x_1$": 0.0, "_hidden": -0.1, "日" * 30: 0.2, "%s {0}": 0.05, "=1+1": 0.3}
NO_RANKS = "it needs 10 tasks, and there are"
CASES = {
    "two tasks": ({"l2": 0.1}, 2, {}, [NO_RANKS, "nothing can be shown: with one method besides none it takes 6"]),
    "nine tasks": ({"l2": 0.1}, 9, {}, [NO_RANKS, "l2 is better than none on 9 of 9"]),
    "all undecided": (
        {"l2": [0.1, -0.1], "l1": 0.0},
        12,
        {},
        ["no method can be told apart from none: the smallest p is 1"],
    ),
    "diverged everywhere": ({"l2": 0.1, "l1": 0.1}, 12, {"l1": everywhere("diverged")}, ["diverged on 12"]),
    "none diverged everywhere": ({"l2": 0.1}, 12, {"none": everywhere("diverged")}, ["l2 is better than none on 12"]),
    "all diverged": (
        {"l2": 0.1},
        12,
        {"none": everywhere("diverged"), "l2": everywhere("diverged")},
        ["no method can be told apart from none"],
    ),
    "refused everywhere": ({"l2": 0.1, "l1": 0.0}, 12, {"l1": everywhere("refused")}, ["l1 is not compared on 12"]),
    "refused on one": ({"l2": 0.1, "l1": 0.1}, 12, {"l1": {3: "refused"}}, ["l1 is not compared on 1", "rank: l1."]),
    "a missing cell": ({"l2": 0.1, "l1": 0.1}, 12, {"l1": {3: "incomplete"}}, ["l1 is not compared on 1"]),
    "none lacks a run": ({"l2": 0.1}, 12, {"none": {0: "incomplete"}}, ["no two methods were compared on every task"]),
    "compared on one": ({"l2": 0.1}, 3, {"l2": {0: "refused", 1: "refused"}}, ["l2 is not compared on 2"]),
    "one beside none": ({"l2": 0.1}, 12, {}, ["l2 is better than none on 12 of 12"]),
    "hostile names": (HOSTILE, 12, {}, ["=1+1 is better than none"]),
    "eight methods": (
        {f"l2:{n}": 0.05 * n for n in range(1, 8)},
        10,
        {},
        ["With 28 pairs it takes 11 tasks to tell any two apart, and there are 10."],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_case_has_its_words_and_its_pictures(case):
    gains, tasks, gone, expected = CASES[case]
    found, _ = made(gains, tasks, gone)
    section = across.section(across.told(found))
    for words in expected:
        assert words in f"{section['sentence']} {section['ranked']}"
    shown = cells(found)
    assert set(shown) == set(gains)
    assert not any(word in text for row in shown.values() for text in row.values() for word in ("nan", "inf"))
    pictures = [improvement(found.table), profile(found.profile), ranks(found.ranks)]
    assert (pictures[2] is None) == ("critical-difference" in section["ranked"])
    assert (pictures[1] is None) == (case == "all diverged")
    for picture in filter(None, pictures):
        axes_of(picture)
        assert not re.search(r"\b(nan|inf)\b", picture.alt)
    assert all(method in picture.alt for method in gains for picture in pictures[:2] if picture)


def test_hostile_names_are_shown_as_they_are():
    found, _ = made(HOSTILE)
    for picture in (improvement(found.table), profile(found.profile), ranks(found.ranks)):
        drawn = panels.drawn(picture, "name", style.variables(HOSTILE)[0])
        shown = [entry.svg for entry in (*drawn.groups[0][1], *drawn.legend)]
        words = {"".join(node.itertext()).strip() for part in shown for node in ET.fromstring(part).iter(f"{SVG}text")}
        most = 40 if drawn.legend else 20
        assert {style.shortened(name, most) for name in HOSTILE} <= words


def test_what_was_compared_on_one_task_has_no_interval():
    found, _ = made({"l2": 0.1}, 3, {"l2": {0: "refused", 1: "refused"}})
    assert cells(found)["l2"]["nll − none"] == "−0.100\nno interval"
    assert cells(found)["l2"]["improvement"] == "1.00 [0.00, 1.00]"


# --- The pictures ---


def test_improvement_is_drawn_beside_a_line_at_one_half():
    found, _ = made({"l2": 0.1, "l1": [0.1, -0.1, -0.1], "ard": 0.0}, gone={"ard": everywhere("refused")})
    axes = axes_of(improvement(found.table))
    table = found.table.set_index("method")
    assert list(axes.lines[0].get_xdata()) == [0.5, 0.5]
    drawn = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2][1:]
    assert drawn == table.loc[["l1", "l2"], ["improvement_low", "improvement_high"]].to_numpy().tolist()
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in points] == pytest.approx([1 / 3, 1.0])
    assert [line.get_markerfacecolor() == style.LIGHT["paper"] for line in points] == [True, False]  # undecided: hollow
    assert [text.get_text() for text in axes.texts][:3] == ["0.33 undecided", "1.00 better", "not compared"]


def test_the_profile_is_that_of_counting():
    found, scores = made({"l2": [0.2, 0.0, -0.3], "l1": [0.0, 0.4]}, gone={"l1": {0: "diverged"}, "l2": {1: "refused"}})
    axes = axes_of(profile(found.profile))
    means = {task: {m: np.mean(v) for m, v in own.items()} for task, own in scores.items()}
    drawn = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert set(drawn) == {"none", "l2", "l1"}
    for method, line in drawn.items():
        gaps = [max(own.values()) - own.get(method, -math.inf) for own in means.values()]
        assert line.get_drawstyle() == "steps-post"
        *points, end = line.get_xydata().tolist()
        assert [share for _, share in points] == [np.mean(np.array(gaps) <= at) for at, _ in points]
        assert end == [axes.get_xlim()[1], points[-1][1]]
    assert drawn["l1"].get_ydata()[-1] == 11 / 12
    assert axes.get_xlim()[0] == 0
    (rope,) = axes.patches
    assert (rope.get_x(), rope.get_width()) == (0, 0.01)


def test_methods_that_are_all_equal_still_have_a_profile():
    found, _ = made({"l2": 0.0})
    axes = axes_of(profile(found.profile))
    assert axes.get_xlim() == (0, 0.02)
    assert profile(found.profile).alt.count("best on 100%") == 2


def test_ranks_stand_on_the_line_and_bars_join_what_is_not_told_apart():
    gains = {"l2": 0.3, "l1": 0.2, "ard": 0.2 + 0.01 * np.tile([1, -1], 6), "dropout": -0.1}
    found, scores = made(gains)
    axes = axes_of(ranks(found.ranks))
    values = np.array([[np.mean(own[m]) for m in ("none", *gains)] for own in scores.values()])
    expected = dict(zip(("none", *gains), np.mean(rankdata(-values, axis=1), axis=0), strict=True))
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == sorted(names, key=expected.get)
    at_the_line = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    assert at_the_line == pytest.approx([expected[name] for name in names])
    stems = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xdata()) == 3]
    assert stems == [[[0, y], [x, y], [x, 0]] for x, y in zip(at_the_line, axes.get_yticks(), strict=True)]
    (bar,) = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    joined = [name for name in names if bar[0] <= expected[name] <= bar[1]]
    assert set(joined) == {"l1", "ard"} == {m for group in found.ranks.groups if len(group) > 1 for m in group}
    assert "Not told apart from each other: " + ", ".join(joined) in ranks(found.ranks).alt


def test_equal_ranks_have_a_bar_that_is_seen():
    axes = axes_of(ranks(made({"l2": 0.0})[0].ranks))
    (bar,) = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert bar[0] < 1.5 < bar[1]
