"""python -m experiments.guides: its tables against the study and the posteriors that they are made from."""

import numpy as np
import pandas as pd
import pytest
from inprocess import InProcess

import bayesreg as br
from bayesreg.engine import ENGINES
from experiments import guides

TASK = """
import numpy as np
import bayesreg as br
x = np.random.default_rng(0).normal(size=(3, 20, 3)).astype("float32")
data = br.Data("mine", *(br.Dataset(part, part[:, 0]) for part in x), classes=None, target="y", provenance={})
task = br.Task(br.nets.mlp(3, 1, hidden=[2]), data, epochs=2, batch_size=8)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of the tables, and the study."""
    folder, patch = tmp_path_factory.mktemp("guides"), pytest.MonkeyPatch()
    (folder / "task.py").write_text(TASK)
    options = ["--tasks", folder / "task.py", "--guides", "normal", "laplace", "--prior", "l2:0.1", "--seeds", 2]
    options += ["--nuts", "--output", folder / "out", "--runs", folder / "runs", "--quiet"]
    with patch.context() as patched:
        patched.setitem(ENGINES, "local", InProcess)
        patched.setattr(br.Study, "report", lambda study, output: output.mkdir(exist_ok=True))  # has tests of its own
        patched.setattr("sys.argv", ["guides", *map(str, options)])
        guides.main()
    return folder / "out", br.Study.open(folder / "runs")


def test_a_row_a_guide_with_its_difference_to_map(made):
    folder, study = made
    table, results = pd.read_csv(folder / "guides.csv").set_index("method"), study.results.set_index("method")
    assert table.index.tolist() == ["l2:0.1", "l2:0.1@laplace", "l2:0.1@normal"]
    np.testing.assert_allclose(table["nll"], results["nll"])
    np.testing.assert_allclose(table["coverage error"], results["coverage_error"])
    gaps = (results["nll"] - results.loc["l2:0.1", "nll"]).iloc[1:]
    np.testing.assert_allclose(table["difference"].iloc[1:], gaps, atol=1e-9)
    assert table["low"].iloc[1:].lt(table["difference"].iloc[1:]).all()
    assert np.isnan(table.loc["l2:0.1", "difference"])


def test_cost_is_that_of_training_paired_by_run(made):
    folder, study = made
    runs = study.runs.set_index(["method", "seed", "fold"])["seconds_training"]
    ratio = np.exp(np.log(runs["l2:0.1@normal"] / runs["l2:0.1"]).mean())
    table = pd.read_csv(folder / "guides.csv").set_index("method")
    assert table.loc["l2:0.1@normal", "cost"] == pytest.approx(ratio)
    assert table.loc["l2:0.1", "cost"] == 1
    assert runs.min() > 0


def test_beside_nuts_a_guide_is_at_a_distance_and_nuts_is_drawn_once(tmp_path, monkeypatch):
    asked = guides.Guides(epochs=1, guides=["laplace"], hidden=1, draws=10, fits=1, runs=tmp_path)
    rows = pd.DataFrame(guides.beside_nuts(asked, "diabetes")).set_index("guide")
    assert rows.index.tolist() == ["nuts", "delta", "laplace"]
    assert rows["total_variation"].between(0, 1, inclusive="neither").all()
    monkeypatch.setattr(br, "nuts", None)  # its draws are taken from their files
    again = pd.DataFrame(guides.beside_nuts(asked, "diabetes")).set_index("guide")
    pd.testing.assert_frame_equal(again, rows)
