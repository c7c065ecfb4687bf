"""One odd run costs its own row and one line of warning, and nothing else."""

import csv
import io
import json
import logging
import os
import xml.etree.ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayesreg import report
from bayesreg.report import curves, panels, sheets, strengths, style
from bayesreg.report.load import left_out

DEEP = "[" * 100_000
ODD = {
    "a list for a name": ("config.json", ("task", "dataset"), ["digits"]),
    "a number for strengths": ("config.json", ("candidate", "strengths"), 1),
    "a strength of zero": ("config.json", ("candidate", "strengths"), [0.0]),
    "a text for a strength": ("config.json", ("candidate", "strengths"), ["0.1"]),
    "another stage": ("config.json", ("replicate", "stage"), ["tune"]),
    "a fold without a number of folds": ("config.json", ("replicate", "fold"), 0),
    "a list for a fold": ("config.json", ("replicate", "fold"), [0]),
    "a large number": ("config.json", ("replicate", "seed"), 10**400),
    "a large strength": ("config.json", ("candidate", "strengths"), [10**400]),
    "a large option": ("config.json", ("task", "width"), 10**400),
    "a truth value for a seed": ("config.json", ("replicate", "seed"), True),
    "not a number": ("config.json", ("candidate", "strengths"), [float("nan")]),
    "an infinite option": ("config.json", ("task", "lr"), float("inf")),
    "half a surrogate pair": ("config.json", ("task", "net"), "\ud800"),
    "a control character": ("config.json", ("task", "dataset"), "digits\x00\x1b[31m"),
    "a line break": ("config.json", ("candidate", "text"), "l2\n:1"),
    "no method": ("config.json", ("candidate", "method"), None),
    "a huge name": ("config.json", ("task", "dataset"), "x" * 10**6),
    "a huge file": ("config.json", ("task", "dataset"), "x" * (10**7 + 1)),
    "an unknown metric": ("config.json", ("task", "metric"), "happiness"),
    "tables in tables": (
        "config.json",
        ("task", "net"),
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {}}}}}}}}}},
    ),
    "an odd option name": ("config.json", ("task", "\x07"), 1),
    "no task": ("config.json", ("task",), None),
    "another status": ("result.json", ("status",), "dreaming"),
    "a text for a score": ("result.json", ("metrics", "test", "accuracy"), "high"),
    "an unknown score": ("result.json", ("metrics", "test", "score"), 1.0),
    "a list for seconds": ("result.json", ("seconds",), [1.0]),
    "a text for seconds": ("result.json", ("seconds", "epoch"), "1 s"),
    "a number for a message": ("result.json", ("message",), 3),
    "a text for priors": ("result.json", ("priors",), "l2"),
    "a list for a device": ("result.json", ("device",), []),
}


def change(folder, name, path, value):
    """Put a value at the path of keys into a JSON file of the run."""
    content = json.loads((folder / name).read_text())
    table = content
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_run_costs_its_own_row_and_one_line(make, root, caplog, odd):
    folder = make(seed=0)
    make(seed=1)
    change(folder, *ODD[odd])
    with caplog.at_level(logging.WARNING):
        runs = report.load(root)
    assert runs["seed"].tolist() == [1]
    (record,) = caplog.records
    said = record.getMessage()
    assert said.isprintable()
    assert str(folder) in said
    assert ODD[odd][0] in said
    assert len(said) < len(str(folder)) + 400


@pytest.mark.parametrize("name", ["config.json", "result.json", "baselines.json"])
@pytest.mark.parametrize("text", [DEEP, '{"a": ' + DEEP, "1" * 5000, "NaN", "\ud800".encode("utf-8", "surrogatepass")])
def test_what_is_no_table_costs_its_own_run(make, root, caplog, name, text):
    folder = make(seed=0)
    make(seed=1)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with caplog.at_level(logging.WARNING):
        runs = report.load(root)
    assert runs["seed"].tolist() == ([0, 1] if name == "baselines.json" else [1])
    (record,) = caplog.records
    assert name in record.getMessage()


def test_runs_of_another_version_are_named_in_one_line(make, root, caplog):
    for seed in (0, 1):
        folder = make(seed=seed)
        groups = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(groups["task"] | groups["candidate"] | groups["replicate"]))
    make(seed=2)
    with caplog.at_level(logging.WARNING):
        assert report.load(root)["seed"].tolist() == [2]
    (record,) = caplog.records
    assert "2 runs, the first" in record.getMessage()
    assert "made by another version" in record.getMessage()
    assert len(left_out(root)) == 2


HISTORIES = ["", "\x00", "epoch,seconds\n1,2", "epoch,seconds,validation_accuracy\nfirst,1,0.5", "a" * (10**7 + 1)]
HISTORIES += [f"epoch,seconds,validation_accuracy\n{epoch},1,0.5" for epoch in ("nan", "inf", "1e300", "-1")]


@pytest.mark.parametrize("number", range(len(HISTORIES)))
def test_an_odd_history_costs_its_own_curve_and_one_line(make, root, caplog, number):
    folder = make(seed=0)
    make(seed=1)
    (folder / "history.csv").write_text(HISTORIES[number])
    with caplog.at_level(logging.WARNING):
        histories = report.histories(report.load(root))
    (record,) = caplog.records
    assert f"{folder}/history.csv cannot be read" in record.getMessage()
    assert set(histories["seed"]) == {1}
    assert words_of(panels.drawn(curves.curves(histories), "curves", style.LIGHT).svg)


def test_scores_out_of_hand_are_none(make, root, tmp_path):
    make("none", None, 0)
    make("l2", 0.1, 0, validation=1e300, test=1e300)
    change(make("l1", 0.1, 0), "result.json", ("metrics", "validation", "nll"), 10**400)
    assert report.terminal(report.load(root)).split("\n")[2].split() == ["digits", "0.800*", "diverged", "diverged"]
    assert report.write(root, tmp_path / "out").exists()


NAMES = ["$x_1$", r"\$a$ $b", "<b>&", "_hidden", "漢字 and 🙂", "%s {0} {{x}}", "日" * 100]


def words_of(picture):
    return ["".join(node.itertext()) for node in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_names_are_shown_as_they_are(make, root, tmp_path):
    for number, name in enumerate(NAMES):
        for prior in ("none", "l2"):
            folder = make(prior, 0.1, number, dataset="made")
            change(folder, "config.json", ("task", "dataset"), name)
            change(folder, "config.json", ("replicate", "seed"), 0)
            (folder / "baselines.json").write_text(json.dumps({name: {"accuracy": 0.1}}))
        change(folder, "config.json", ("candidate", "method"), name)
    path = report.write(root, tmp_path / "out")
    for picture in ("scores.svg", "curves.svg", "strengths.svg"):
        said = "".join("".join(words_of((path.parent / picture).read_bytes())).split())
        for name in NAMES:
            assert name[:30].replace(" ", "") in said


def test_the_axes_of_strengths_have_plain_numbers(comparison):
    from bayesreg import statistics

    picture = strengths.strengths(statistics.candidates(comparison), statistics.results(comparison))
    drawn = panels.drawn(picture, "strengths", style.LIGHT)
    assert not any("$" in text or "mathdefault" in text for text in words_of(drawn.svg))


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://x")', "-1-1"])
def test_a_spreadsheet_runs_no_cell(text):
    assert sheets.harmless(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-5", "+1e5", "-0.25", -3.5, 7, None, True, "digits", "1 - 1", ""])
def test_numbers_and_other_texts_stay(value):
    assert sheets.harmless(value) is value


def test_the_numbers_of_the_report_run_nothing(make, root, tmp_path):
    folder = make("none", None, 0, validation=-0.5, test=-0.25, net="@x", metric="r2")
    change(folder, "config.json", ("task", "dataset"), "=cmd|' /C calc'!A0")
    output = report.write(root, tmp_path / "out").parent
    for name in ("results.csv", "selected.csv"):
        (row,) = csv.DictReader(io.StringIO((output / name).read_text()))
        assert row["task"] == "'=cmd|' /C calc'!A0"
        assert row["task.net"] == "'@x"
        assert "-0.25" in row.values()
        assert not any(sheets.FORMULA.match(cell) and sheets.harmless(cell) != cell for cell in row.values())


def test_odd_names_of_folders_and_pictures_are_shown_as_text(make, root, tmp_path):
    folder = root / os.fsdecode(b"\xff\n$x$=<b>")
    make("none", None, 0).rename(folder)
    (folder / "diagnostics").mkdir()
    (folder / "diagnostics" / os.fsdecode(b"\xfe\x07.png")).write_bytes(b"")
    (make("l2", 0.1, 0, validation=None)).rename(root / os.fsdecode(b"\xfe"))
    text = report.write(root, tmp_path / "out").read_text(encoding="utf-8")
    assert "%FF%0A%24x%24%3D%3Cb%3E/diagnostics/%FE%07.png" in text
    assert "<b>" not in text
    (row,) = csv.DictReader(io.StringIO((tmp_path / "out/selected.csv").read_text(encoding="utf-8")))
    assert row["path"] == "� $x$=<b>"


texts = st.text(st.characters(codec=None), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(10**400)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
PLACES = [
    ("config.json", path)
    for path in (
        ("task",),
        ("task", "dataset"),
        ("task", "net"),
        ("task", "metric"),
        ("task", "new"),
        ("candidate", "text"),
        ("candidate", "method"),
        ("candidate", "strengths"),
        ("candidate", "ard"),
        ("candidate", "guide"),
        ("replicate", "seed"),
        ("replicate", "stage"),
        ("replicate", "fold"),
        ("replicate",),
    )
]
PLACES += [
    ("result.json", path)
    for path in (
        ("status",),
        ("message",),
        ("metrics",),
        ("metrics", "test"),
        ("metrics", "validation", "accuracy"),
        ("seconds",),
        ("seconds", "epoch"),
        ("priors",),
        ("prior",),
        ("prior", "natural"),
        ("device",),
        ("versions",),
        ("machine",),
        ("data",),
        ("parameters",),
    )
]
PLACES += [("baselines.json", ("majority",)), ("baselines.json", ("majority", "accuracy"))]


@pytest.fixture
def pair(make):
    """A run as it should be, and one to spoil."""
    make("none", None, 0)
    folder = make("l2", 0.1, 0)
    (folder / "baselines.json").write_text(json.dumps({"majority": {"accuracy": 0.1}}))
    return folder


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), anything), min_size=1, max_size=3))
def test_whatever_stands_in_a_file_there_is_a_report_of_the_others(pair, root, tmp_path, changes):
    files = {name: (pair / name).read_text() for name in ("config.json", "result.json", "baselines.json")}
    try:
        for (name, path), value in changes:
            try:
                change(pair, name, path, value)
            except (TypeError, KeyError, AttributeError):
                continue  # an earlier change left no such place
        runs = report.load(root)
        assert "none" in set(runs["method"])
        if len(runs) < 2:
            return  # then the report is that of a run alone
        written = report.write(root, tmp_path / "out", runs)
        written.read_text(encoding="utf-8")
        for picture in written.parent.glob("*.svg"):
            ET.parse(picture)
        assert report.terminal(runs).encode()
    finally:
        for name, text in files.items():
            (pair / name).write_text(text)
