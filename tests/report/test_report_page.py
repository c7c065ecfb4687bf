"""The page: it is whole, it is honest about what failed, and an old one survives a failure."""

from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest

from bayesreg import report
from bayesreg.report import page

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

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
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


def test_page_is_whole(comparison, root, output):
    reader = written(root, output)
    images = reader.all("img")
    assert [image["src"] for image in images] == ["scores.svg", "curves.svg", "strengths.svg", "seconds.svg"]
    assert all((output / image["src"]).stat().st_size > 1000 and len(image["alt"]) > 40 for image in images)
    assert len(reader.all("h1")) == 1
    identities = {attrs["id"] for _, attrs in reader.elements if "id" in attrs}
    for link in (attrs["href"] for attrs in reader.all("a")):
        assert link[1:] in identities if link.startswith("#") else (output / unquote(link)).exists()
    assert not reader.all("script")
    assert not any("http" in str(value) for _, attrs in reader.elements for value in attrs.values())


def test_page_has_the_numbers(comparison, root, output):
    text = written(root, output).text
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
    assert str(root) not in text


def test_summary_and_selected_runs_as_csv(comparison, root, output):
    report.write(root, output)
    results = pd.read_csv(output / "results.csv", keep_default_na=False).set_index(["task", "method"])
    row = results.loc[("digits", "l2")]
    assert (float(row["strength"]), float(row["seeds"])) == (1e-3, 2)
    assert float(row["accuracy_mean"]) == pytest.approx(0.81)
    selected = pd.read_csv(output / "selected.csv")
    assert len(selected) == 10
    assert all((root / path / "result.json").exists() for path in selected["path"])


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


def test_unequal_budgets_are_told(comparison, root, output):
    assert "The budgets differ" in written(root, output).text  # l2 had two strengths, smoothness one


def test_edge_of_the_grid_is_told(comparison, root, output):
    assert "Chosen at the edge of the strengths tried" in written(root, output).text


def test_text_from_runs_is_escaped(make, root, output):
    make("l2", 1e-4, 0, dataset="<script>alert(1)", net="a&b")
    reader = written(root, output)
    assert not reader.all("script")
    assert "<script>alert(1)" in reader.text


def test_diagnostics_are_linked(make, root, output):
    folder = make() / "diagnostics"
    folder.mkdir()
    (folder / "alpha by layer.png").write_bytes(b"png")
    links = [attrs["href"] for attrs in written(root, output).all("a")]
    (link,) = [link for link in links if link.endswith(".png")]
    assert " " not in link
    assert (output / unquote(link)).read_bytes() == b"png"


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("step", ["_render", "_csv", "os.replace"])
def test_old_report_survives_a_failure(comparison, make, root, output, monkeypatch, step):
    report.write(root, output)
    old = contents(output)
    make("ard", 1e-4, 0)

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(page.os if step == "os.replace" else page, step.removeprefix("os."), fail)
    with pytest.raises(OSError, match="no space"):
        report.write(root, output)
    assert contents(output) == old


def test_same_runs_give_the_same_report(comparison, root, output, tmp_path):
    report.write(root, output)
    report.write(root, tmp_path / "again", comparison)
    assert contents(output) == contents(tmp_path / "again")


def test_root_without_runs_writes_nothing(root, output):
    with pytest.raises(ValueError, match="no complete run"):
        report.write(root, output)
    assert not output.exists()
