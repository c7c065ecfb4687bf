"""What the README and CONTRIBUTING say is run: their Python, their commands, their links."""

import re
import shlex
from pathlib import Path

import pytest
import tyro

from bayesreg.cli import baselines, compare, data, report
from bayesreg.cli.run import options_of
from bayesreg.methods import as_methods
from bayesreg.tasks import as_task, kind

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^    bayesreg (\w+)([^#\n]*)", re.MULTILINE)
README = (ROOT / "README.md").read_text()
TEN_LINES, LIBRARY, PYRO_USER = FENCE.findall(README)
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_the_ten_lines_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(TEN_LINES.replace("seeds=4, epochs=40", "seeds=1, epochs=4"), names)
    out = capsys.readouterr().out
    study = names["study"]
    assert set(study.results["method"]) == {"none", "l2", "early_stopping"}
    assert set(study.results["rows"]) == {178}
    assert study.recommendation in out
    assert (tmp_path / "runs/wine/report/index.html").exists()
    assert names["br"].Study.open("runs/wine").recommendation == study.recommendation


def test_the_library_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(LIBRARY, names)
    assert "accuracy" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"posterior.pt", "posterior.nc"}
    again = names["br"].Posterior.load("posterior.pt", names["net"])
    assert again.evaluate(names["data"].test) == names["posterior"].evaluate(names["data"].test)

    exec(PYRO_USER, names)
    names["pyro"].clear_param_store()


def contributed():
    """What the examples of the contributing guide define."""
    imports = "import pyro\nimport pyro.distributions as dist\nfrom torch import Tensor\n"
    imports += "from bayesreg import Batch, FunctionPrior, Latent, WeightPrior\n"
    names: dict[str, object] = {"__name__": "example"}
    exec(imports + "\n\n".join(FENCE.findall(CONTRIBUTING)), names)
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


@pytest.mark.parametrize(("name", "options"), COMMAND.findall(README))
def test_the_commands_of_the_readme_are_understood(monkeypatch, name, options):
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


def test_every_link_leads_somewhere():
    for document in (README, CONTRIBUTING):
        for target in re.findall(r"\]\(([^)#]+)\)", document):
            assert target.startswith("http") or (ROOT / target).exists(), target


def test_every_registered_prior_is_in_the_readme_table():
    from bayesreg.priors import PRIORS

    table = README.partition("## The priors")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(PRIORS)


def test_every_registered_technique_is_in_the_readme_table():
    from bayesreg.methods import ALIASES, TECHNIQUES

    table = README.partition("## What is compared")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {*TECHNIQUES, *ALIASES}


def test_every_registered_data_set_is_in_the_readme_table():
    from bayesreg.datasets import DATASETS

    table = README.partition("## The data")[2].partition("\n## ")[0]
    first = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first))) == set(DATASETS)


def test_the_makefile_has_the_commands_of_the_documents():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^    make (\w+)", README + CONTRIBUTING, re.MULTILINE)) <= targets


def test_the_citation_is_of_this_version():
    import bayesreg

    cited = dict(re.findall(r"^([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert cited["version"] == bayesreg.__version__
    assert cited["license"] == "MIT"
    assert cited["cff-version"] == "1.2.0"
