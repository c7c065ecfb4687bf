"""What README, CONTRIBUTING and docs/ say is tested: their Python, their commands, their links."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import tyro

from bayesreg.cli import baselines, compare, data, report
from bayesreg.cli.run import options_of
from bayesreg.datasets import DATASETS
from bayesreg.guides import GUIDES
from bayesreg.methods import ALIASES, TECHNIQUES, as_methods
from bayesreg.priors import PRIORS
from bayesreg.report import answer
from bayesreg.tasks import as_task, kind

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^    bayesreg (\w+)([^#\n]*)", re.MULTILINE)
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [README, CONTRIBUTING, *PAGES]
TEN_LINES, LIBRARY = FENCE.findall(README.read_text())
FEWER = ("seeds=4, epochs=40", "seeds=1, epochs=4")


def named(documents):
    return {"argvalues": documents, "ids": [path.stem for path in documents]}


def table(name, heading="# "):
    """What stands in backquotes in the first column of the tables of a page in docs/, below a heading."""
    text = (ROOT / f"docs/{name}.md").read_text().partition(heading)[2]
    return set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))


def test_the_ten_lines_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    assert FEWER[0] in TEN_LINES
    exec(TEN_LINES.replace(*FEWER), names)
    out = capsys.readouterr().out
    study = names["study"]
    assert set(study.results["method"]) == {"none", "l2", "early_stopping"}
    assert set(study.results["rows"]) == {178}
    assert study.recommendation in out
    assert (tmp_path / "runs/wine/report/index.html").exists()
    assert names["br"].Study.open("runs/wine").recommendation == study.recommendation


def test_the_library_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(LIBRARY, names)
    assert "accuracy" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"posterior.pt", "posterior.nc"}
    again = names["br"].Posterior.load("posterior.pt", names["net"])
    assert again.evaluate(names["data"].test) == names["posterior"].evaluate(names["data"].test)


@pytest.mark.parametrize("page", **named([page for page in PAGES if FENCE.search(page.read_text())]))
def test_the_examples_of_the_docs_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec("\n".join(FENCE.findall(page.read_text())), {})


def contributed():
    """What the examples of the contributing guide define."""
    imports = "import pyro\nimport pyro.distributions as dist\nfrom torch import Tensor\n"
    imports += "from bayesreg import Batch, FunctionPrior, Latent, WeightPrior\n"
    names: dict[str, object] = {"__name__": "example"}
    exec(imports + "\n\n".join(FENCE.findall(CONTRIBUTING.read_text())), names)
    return names


def test_the_weight_prior_of_the_contributing_guide_conforms(tmp_path):
    from bayesreg.testing import TARGETS, TINY_NETS, check

    for guide in ("delta", "normal"):
        check(TINY_NETS["mlp"], contributed()["SharedScale"](), TARGETS["categorical"], guide, tmp_path)


def test_the_prior_of_the_contributing_guide_works():
    import torch

    import bayesreg as br

    names = contributed()
    x, y = torch.randn(32, 4), torch.arange(32) % 3
    prior = names["Confident"].from_strength(0.5, size=32)
    model = br.Model(torch.nn.Linear(4, 3), prior, br.Categorical(), size=32)
    opposite = br.Model(model.net.requires_grad_(), br.Entropic(0.5), br.Categorical(), size=32)
    flat = br.Model(model.net.requires_grad_(), br.Flat(), br.Categorical(), size=32)
    theta = {name: p.detach() for name, p in model.net.named_parameters()}
    joint, mirrored, likelihood = (m.log_joint(theta, x, y) for m in (model, opposite, flat))
    assert joint - likelihood == pytest.approx(float(likelihood - mirrored), rel=1e-4)
    assert abs(joint - likelihood) > 1


COMMANDS = [found for path in DOCUMENTS for found in COMMAND.findall(path.read_text())]


@pytest.mark.parametrize(("name", "options"), dict.fromkeys(COMMANDS))
def test_the_commands_are_understood(name, options):
    given = shlex.split(options)
    kinds = {"report": report.Report, "data": data.Files, "baselines": baselines.Baselines}
    if name == "run":
        read = tyro.cli(options_of(kind(given[0])), args=given[1:])
        assert read.settings.method(size=100).text
    elif name == "compare":
        asked = tyro.cli(compare.Compare, args=given)
        assert as_methods(asked.methods)
        assert all(as_task(task) for task in asked.tasks if not task.endswith((".csv", ".py")))
    else:
        assert tyro.cli(kinds[name], args=given)


@pytest.mark.parametrize("document", **named(DOCUMENTS))
def test_every_link_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
        assert target.startswith("http") or (document.parent / target).exists(), target


def test_every_page_of_the_docs_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\(docs/([^)]+)\)", README.read_text()))
    assert linked == {path.name for path in (ROOT / "docs").iterdir()}


def test_every_registered_prior_technique_and_data_set_has_its_row():
    assert table("priors") == set(PRIORS)
    assert table("methods") == {*TECHNIQUES, *ALIASES}
    assert table("data", "## Published") == set(DATASETS)
    assert {*PRIORS, *TECHNIQUES, *ALIASES} <= set(re.findall(r"`(\w+)`", README.read_text()))


def test_every_registered_guide_has_its_row():
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/guides.md").read_text(), re.MULTILINE)
    assert {re.findall(r"`(\w+)`", row)[0] for row in rows} == set(GUIDES)


def test_the_makefile_has_the_commands_of_the_documents():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = {name for path in DOCUMENTS for name in re.findall(r"^    make (\w+)", path.read_text(), re.MULTILINE)}
    assert said <= targets


def test_the_citation_is_of_this_version():
    import bayesreg

    cited = dict(re.findall(r"^([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert cited["version"] == bayesreg.__version__
    assert cited["license"] == "MIT"
    assert cited["cff-version"] == "1.2.0"


def test_the_finding_is_that_of_its_report():
    table = pd.read_csv(ROOT / "reports/tables/differences.csv")
    said = " ".join(README.read_text(encoding="utf-8").replace("`", "").split())
    assert answer.overall(table) in said
    count = table["accuracy_verdict"].value_counts().reindex(["better", "worse", "equal", "undecided"], fill_value=0)
    told = f"{count['better']} are better and {count['worse']} are worse"
    assert f"of {count.sum()} differences in accuracy, {told}" in said
    better = table[table["nll_verdict"] == "better"].groupby("method").size()
    leaders, numbers = sorted(better.index[better == better.max()]), {3: "three", 4: "four"}
    assert f"{' and '.join(leaders)} are better than none on {numbers[better.max()]} of the six data sets" in said
    assert f"well above that of none, on {numbers[better['entropic']]}." in said
    assert (table["task"].nunique(), table["method"].nunique()) == (6, 1 + 10)
