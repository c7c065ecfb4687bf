"""What the README and CONTRIBUTING say is run: their Python, their commands, their links."""

import re
import shlex
from pathlib import Path

import pytest

from experiments import base, baselines, compare, data, report

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^    python -m experiments\.(\w+)([^#\n]*)", re.MULTILINE)
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_the_library_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    library, pyro_user = FENCE.findall(README)
    exec(library, names)
    assert "accuracy" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"posterior.pt", "posterior.nc"}
    again = names["br"].Posterior.load("posterior.pt", names["net"])
    assert again.evaluate(names["data"].test) == names["posterior"].evaluate(names["data"].test)

    exec(pyro_user, names)
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
    others = {"compare": compare.Compare, "report": report.Report, "data": data.Files, "baselines": baselines.Baselines}
    kind = others.get(name) or base.load(name)
    monkeypatch.setattr("sys.argv", ["experiment", *shlex.split(options)])
    read = base.command(kind, f"experiments.{name}")
    if isinstance(read, base.Experiment):
        read._text()


def test_every_link_leads_somewhere():
    for document in (README, CONTRIBUTING):
        for target in re.findall(r"\]\(([^)#]+)\)", document):
            assert target.startswith("http") or (ROOT / target).exists(), target


def test_every_registered_prior_is_in_the_readme_table():
    from bayesreg.priors import PRIORS

    table = README.partition("## The priors")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(PRIORS)


def test_every_registered_data_set_is_in_the_readme_table():
    from bayesreg.datasets import DATASETS

    table = README.partition("## The data")[2].partition("\n## ")[0]
    first = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first))) == set(DATASETS)


def test_the_makefile_has_the_commands_of_the_documents():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^    make (\w+)", README + CONTRIBUTING, re.MULTILINE)) <= targets
