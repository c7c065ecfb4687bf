"""The page: it is whole, it needs nothing else, it is honest about what failed, and an old one survives a failure."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from bayesreg import report, statistics
from bayesreg.report import figures, page, style, wording

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Elements with their attributes, the text, and a check that every element is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def output(tmp_path):
    return tmp_path / "report"


def written(root, output):
    return Reader(report.write(root, output).read_text(encoding="utf-8"))


@pytest.fixture
def reader(reported):
    return Reader(reported[2].read_text(encoding="utf-8"))


def test_page_is_whole_and_needs_nothing_else(reported, reader):
    path = reported[2]
    assert len(reader.all("h1")) == 1
    identities = [attrs["id"] for _, attrs in reader.elements if "id" in attrs]
    assert len(identities) == len(set(identities))
    for link in (attrs["href"] for attrs in reader.all("a") + reader.all("use")):
        assert link[1:] in identities if link.startswith("#") else (path.parent / unquote(link)).exists()
    assert not reader.all("img")
    assert not any("src" in attrs for _, attrs in reader.elements)
    assert [link["href"] for link in reader.all("link")] == ["data:,"]
    assert not any(
        "://" in str(v) for _, attrs in reader.elements for k, v in attrs.items() if not k.startswith("xmlns")
    )
    assert "url(http" not in path.read_text(encoding="utf-8")
    assert path.stat().st_size < 5e6


def test_every_picture_is_there_with_words_and_as_files(reported, reader):
    output = reported[2].parent
    shown = [attrs["id"].removeprefix("figure-") for attrs in reader.all("figure")]
    assert shown == ["curves", "methods", "strengths", "seconds", "landscape"]
    for name in [*shown, "scores"]:
        assert (output / f"{name}.svg").read_bytes().startswith(b"<?xml")
        assert (output / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    panels = [attrs for _, attrs in reader.elements if attrs.get("class") == "panel"]
    assert len(panels) == 2 + 2 + 2 + 2 + 3  # two tasks, two methods against none, and three priors
    assert all(panel["role"] == "img" and len(panel["aria-label"]) > 40 for panel in panels)
    drawings = reader.all("svg")
    assert len(drawings) == len(panels) + sum(len(legend) for legend in (("none", "l2", "smoothness"),) * 4) + 2
    assert all(drawing["aria-hidden"] == "true" for drawing in drawings)


def test_pictures_too_large_for_the_page_are_files_alone(reported, output, monkeypatch):
    root, runs, whole = reported
    monkeypatch.setattr(figures, "MOST", 50_000)
    path = report.write(root, output, runs)
    reader = Reader(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < whole.stat().st_size
    assert "This picture is too large for the page: open its file." in reader.text
    assert (output / "seconds.svg").exists()


def test_the_style_sheet_has_both_themes(reported):
    _, runs, path = reported
    text = path.read_text(encoding="utf-8")
    light, dark = style.variables(runs["method"])
    used = set(re.findall(r"var\(--([\w-]+)\)", text)) - {"t"}
    assert used <= set(light)
    root_, dark_ = re.findall(r":root \{([^}]*)\}", text)
    for colours, sheet in ((light, root_), (dark, dark_)):
        assert {f"--{name}: {colour}" for name, colour in colours.items()} <= set(map(str.strip, sheet.split(";")))


def test_nothing_on_the_page_is_smaller_than_nine_pixels():
    sheet = (wording.HERE / "page.css").read_text(encoding="utf-8").partition("@media print")[0]
    sizes = re.findall(r"font(?:-size)?: ([\d.]+)(rem|em|px|pt)", sheet)
    assert sizes
    assert all(float(size) * {"rem": 16, "em": 14, "px": 1, "pt": 4 / 3}[unit] >= 9 for size, unit in sizes)


def test_page_has_the_numbers(reported, reader):
    text = reader.text
    for part in (
        "0.910 ± 0.014",
        "+0.2000 ± 0.0000",
        "1 × 2",
        "scale=0.5",
        "torch 2.6.0",
        "two cores",
        "batch_size",
    ):
        assert part in text
    assert str(reported[0]) not in text


def test_the_heatmap_says_whose_each_cell_is(reader):
    cells = [attrs for attrs in reader.all("td") if "data-label" in attrs]
    assert [cell["data-label"] for cell in cells[:4]] == ["metric", "none", "l2", "smoothness"]
    coloured = [cell for cell in cells if cell.get("class", "").strip()]
    assert [(cell["data-label"], cell["class"], cell["style"]) for cell in coloured] == [
        ("l2", "better", "--t: 100%"),
        ("smoothness", "better", "--t: 100%"),
    ]


def test_what_the_paper_says_stands_below_where_two_of_its_priors_are(reader, root, output, make):
    assert "(Kretsinger-Walters & Juliani, 2025, figure 1) states" in reader.text
    for seed in (0, 1):
        make("none", None, seed, dataset="a")
        make("l1", 0.1, seed, dataset="a")
    assert "figure 1) states" not in written(root, output).text


def test_one_task_has_no_average(make, root, output, reader):
    for seed in (0, 1):
        make("none", None, seed)
        make("l2", 0.1, seed)
    assert "The row “average”" in reader.text
    assert "average" not in written(root, output).text


def test_the_numbers_as_csv(reported):
    root, comparison, path = reported
    output = path.parent
    found = pd.read_csv(output / "results.csv", keep_default_na=False).set_index(["task", "method"])
    expected = statistics.results(comparison).set_index(["task", "method"])
    for name in ("score_mean", "score_sd", "strength", "nll_mean", "seconds_epoch_mean", "seeds"):
        assert pd.to_numeric(found[name]).to_numpy() == pytest.approx(expected[name].to_numpy(float), nan_ok=True)
    selected = pd.read_csv(output / "selected.csv")
    assert len(selected) == 10
    assert all((root / path / "result.json").exists() for path in selected["path"])


def test_every_cell_has_the_command_that_makes_it_again(reported, reader):
    _, runs, path = reported
    commands = pd.read_csv(path.parent / "commands.csv")
    done = statistics.results(runs).query("status == 'done'")
    assert set(zip(commands["task"], commands["method"], strict=True)) == set(
        zip(done["task"], done["method"], strict=True)
    )
    assert all(" ".join(command.split()) in reader.text for command in commands["command"])


def test_failures_are_listed(make, root, output):
    make("none", None, 0)
    make("l2", 1e-4, 0, validation=None)
    (make("l1", 1e-4, 0) / "result.json").unlink()
    (make("ard", 1e-4, 0) / "result.json").write_text("{")
    text = written(root, output).text
    assert "2 runs are complete; 1 of them diverged. 2 were left out" in text
    assert "digits, l2:0.0001 , seed 0: epoch 2, step 3: the loss is NaN" in text
    assert "digits, l1:0.0001, seed 0: not finished" in text
    assert "result.json is not valid JSON" in text


def test_unequal_budgets_are_told(reader):
    assert "The budgets differ" in reader.text  # l2 had two strengths, smoothness one


def test_edge_of_the_grid_is_told(reader):
    assert "Chosen at the edge of the strengths tried" in reader.text


def test_text_from_runs_is_escaped(make, root, output):
    make("l2", 1e-4, 0, dataset="<script>alert(1)", net="a&b")
    reader = written(root, output)
    assert len(reader.all("script")) == 1  # our own
    assert "<script>alert(1)" in reader.text


def test_diagnostics_are_linked(make, root, output):
    folder = make() / "diagnostics"
    folder.mkdir()
    (folder / "alpha by layer.png").write_bytes(b"png")
    links = [attrs["href"] for attrs in written(root, output).all("a")]
    (link,) = [link for link in links if "diagnostics" in link]
    assert " " not in link
    assert (output / unquote(link)).read_bytes() == b"png"


@pytest.mark.parametrize(
    ("methods", "title", "needed"),
    [
        ([("none", None)], "What none gives: one method is no comparison", "at least one other method and 8 seeds"),
        ([("none", None), ("l2", 0.1)], "One seed does not say which method to use", "Two are the least"),
    ],
    ids=["one method", "one seed"],
)
def test_where_nothing_can_be_compared_the_page_says_what_it_takes(make, root, output, methods, title, needed):
    for method, strength in methods:
        make(method, strength, 0)
    reader = written(root, output)
    assert title in reader.text
    assert needed in reader.text
    assert not {"differences"} & {attrs["id"] for attrs in reader.all("section")}
    assert "Kretsinger" not in reader.text
    assert "figure-landscape" not in {attrs.get("id") for attrs in reader.all("figure")}


def test_how_sure_predictions_were_is_drawn_where_it_is_recorded(make, root, output):
    for seed in (0, 1):
        for method in ("none", "l1"):
            folder = make(method, None, seed)
            sure = np.full(40, 0.65, dtype=np.float32)
            np.savez(folder / "scores.npz", confidence=sure, accuracy=np.arange(40) % 2)
    make("none", None, 0, dataset="older")
    text = written(root, output).text
    assert "The confidence of each prediction is not recorded by the runs of older" in text
    assert (output / "reliability.svg").exists()


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("step", ["render", "csv", "os.replace"])
def test_old_report_survives_a_failure(make, root, output, monkeypatch, step):
    make("none", None, 0)
    report.write(root, output)
    old = contents(output)
    make("ard", 1e-4, 0)

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(page.os if step == "os.replace" else page, step.removeprefix("os."), fail)
    with pytest.raises(OSError, match="no space"):
        report.write(root, output)
    assert contents(output) == old


def test_same_runs_give_the_same_report(reported, output):
    root, _, path = reported
    report.write(root, output)
    assert contents(output) == contents(path.parent)


def test_root_without_runs_writes_nothing(root, output):
    with pytest.raises(ValueError, match="no complete run"):
        report.write(root, output)
    assert not output.exists()
