"""What the README and CONTRIBUTING say is run: their Python, their commands, their links."""

import re
import shlex
from pathlib import Path

import pytest

from bayesreg import tasks
from bayesreg.cli import data, report
from bayesreg.cli.baselines import Baselines
from bayesreg.cli.command import read
from bayesreg.cli.run import options_of
from experiments import compare as experiments

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXPERIMENT = re.compile(r"^    python -m experiments\.(\w+)([^#\n]*)", re.MULTILINE)
COMMAND = re.compile(r"^(?:    )?bayesreg (compare|run|report|data|baselines)\b([^#\n;]*)", re.MULTILINE)
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


def test_the_prior_of_the_contributing_guide_works():
    import torch

    import bayesreg as br

    (example,) = FENCE.findall(CONTRIBUTING)
    imports = "from torch import Tensor\nfrom bayesreg import Batch, FunctionPrior\n"
    names: dict[str, object] = {"__name__": "example"}
    exec(imports + example, names)
    x, y = torch.randn(32, 4), torch.arange(32) % 3
    prior = names["Confident"].from_strength(0.5, size=32)
    model = br.Model(torch.nn.Linear(4, 3), prior, br.Categorical(), size=32)
    opposite = br.Model(model.net.requires_grad_(), br.Entropic(0.5), br.Categorical(), size=32)
    flat = br.Model(model.net.requires_grad_(), br.Flat(), br.Categorical(), size=32)
    theta = {name: p.detach() for name, p in model.net.named_parameters()}
    joint, mirrored, likelihood = (m.log_joint(theta, x, y) for m in (model, opposite, flat))
    assert joint - likelihood == pytest.approx(float(likelihood - mirrored), rel=1e-4)
    assert abs(joint - likelihood) > 1


@pytest.mark.parametrize(("name", "options"), [*EXPERIMENT.findall(README), *COMMAND.findall(README)])
def test_the_commands_of_the_readme_are_understood(monkeypatch, name, options):
    """Read, and a comparison made of what it asks for where that is no file of the reader's own."""
    task, *arguments = shlex.split(options) if name == "run" else [name, *shlex.split(options)]
    others = {"compare": experiments.Compare, "report": report.Report, "data": data.Files, "baselines": Baselines}
    kind = options_of(tasks.kind(task)) if task in tasks.TASKS else others[name]
    monkeypatch.setattr("sys.argv", ["bayesreg", *arguments])
    asked = read(kind, "bayesreg")
    if task in tasks.TASKS:
        asked.settings.method(size=100)
    if name == "compare" and not any(Path(text).suffix for text in asked.given().tasks):
        asked.given().comparison()


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
