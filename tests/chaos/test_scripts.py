"""A comparison from a script, with a guard against being imported or without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bayesreg as br

SCRIPT = """
import os, sys, torch
import numpy as np
import bayesreg as br

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, x):
        return shape(self.layer(x))

shape = lambda f: f.tanh()
folder = sys.argv[1]

def make():
    with open(folder + "/processes", "a") as file:
        file.write(f"{os.getpid()}\\n")
    return Net()

x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
study = br.compare(make, (x, x[:, 0]), methods=["none", "l2:0.1"], seeds=1, folds=1, epochs=2, lr=0.01,
                   augment=lambda x: x + 0.01, workers=1, output=folder + "/runs", progress=False)
print(study.recommendation)
print(type(study.best).__name__, os.getpid())
"""


@pytest.mark.parametrize("how", ["a file", "-c"])
def test_it_works_from_a_script_without_a_guard_and_leaves_no_process(tmp_path, how):
    (tmp_path / "mine.py").write_text(SCRIPT)
    program = ["-c", SCRIPT] if how == "-c" else ["mine.py"]
    paths = {"PYTHONPATH": str(Path(br.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, *program, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | paths,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("Posterior ")
    processes = set((tmp_path / "processes").read_text().split())
    assert len(processes) == 2  # the script and its worker
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), 0)
