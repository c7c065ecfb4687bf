"""The notebook of docs/, run in a kernel."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

import bayesreg as br

NOTEBOOK = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"


def test_the_notebook_runs_in_a_kernel(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear its outputs: running it makes them"
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown = [str(cell.outputs) for cell in notebook.cells if cell.get("outputs")]
    assert any("<table" in output for output in shown)
    assert any(br.Study.open(tmp_path / "runs/quickstart").recommendation in output for output in shown)
    assert (tmp_path / "runs/quickstart/report/index.html").exists()
