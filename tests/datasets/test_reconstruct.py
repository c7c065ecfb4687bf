from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bayesreg.datasets import load, reconstruct
from bayesreg.grid import Run
from bayesreg.methods import Method
from bayesreg.tasks.mnist import Mnist


def test_the_image_is_the_target(mnist_root: Path) -> None:
    before = load("mnist", mnist_root)
    data = reconstruct(before)
    for part, old in ((data.train, before.train), (data.validation, before.validation), (data.test, before.test)):
        assert torch.equal(part.x, old.x)
        torch.testing.assert_close(part.y, old.x.double().div(255).float())
    assert (data.name, data.classes) == ("mnist", None)
    assert data.test.y.max() <= 1


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="diabetes has no uint8 images"):
        reconstruct(load("diabetes"))


def test_the_task_takes_the_images_of_mnist(mnist_root: Path, tmp_path: Path) -> None:
    options = {"epochs": 1, "batch_size": 32, "hidden": 8, "latent": 3, "data_dir": mnist_root}
    outcome = Run(Mnist(**options), Method("none")).execute(tmp_path / "run")
    assert outcome["status"] == "done"
    assert set(outcome["metrics"]["test"]) == {"mse", "nll"}
    assert 0 < outcome["metrics"]["test"]["mse"] < 1
