from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from bayesreg import runs
from bayesreg.datasets import imbalanced, load
from bayesreg.grid import Run
from bayesreg.methods import Method
from bayesreg.tasks.cifar import Cifar


@pytest.mark.parametrize("ratio", [1, 2, 4.5, 9])
def test_sizes_fall_exponentially(cifar100_root: Path, ratio: float) -> None:
    data = load("cifar100", cifar100_root)
    fewer = imbalanced(data, ratio)
    sizes = fewer.train.y.bincount().tolist()
    assert sizes == [round(9 * ratio ** (-c / 99)) for c in range(100)]
    assert sizes[0] == 9
    assert sizes[-1] == round(9 / ratio)
    assert fewer.validation is data.validation
    assert fewer.test is data.test


def test_examples_stay_with_their_class_in_their_order(cifar100_root: Path) -> None:
    data = load("cifar100", cifar100_root)
    fewer = imbalanced(data, 3)
    assert torch.equal(fewer.train.x[:, 0, 0, 0].long(), fewer.train.y)
    whole, kept = (list(map(bytes, part.x.flatten(1).numpy())) for part in (data.train, fewer.train))
    places = [whole.index(image) for image in kept]  # no two images are alike
    assert places == sorted(set(places))
    assert len(places) < len(whole)


def test_is_drawn_by_the_seed(cifar100_root: Path) -> None:
    data = load("cifar100", cifar100_root)
    draws = [imbalanced(data, 3, seed).train.x for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("ratio", [0.5, 0, -1, 9.5, math.nan, math.inf])
def test_refuses_ratios_out_of_range(cifar10_root: Path, ratio: float) -> None:
    with pytest.raises(ValueError, match=f"imbalance={ratio}: the smallest class of cifar10 has 9, give 1 to 9"):
        imbalanced(load("cifar10", cifar10_root), ratio)


def test_refuses_regression() -> None:
    with pytest.raises(ValueError, match="imbalance=10: diabetes has no classes"):
        imbalanced(load("diabetes"), 10)


def test_the_task_records_it(cifar10_root: Path) -> None:
    def built(**options):
        return Run(Cifar(data_dir=cifar10_root, width=4, batch_size=8, **options), Method("none")).build()

    whole, fewer = built(), built(imbalance=3.0)
    assert (len(whole.data.train), len(fewer.data.train)) == (90, fewer.model.size)
    assert fewer.data.train.y.bincount().tolist() == [round(9 * 3 ** (-c / 9)) for c in range(10)]
    assert fewer.config == whole.config | {"task": whole.config["task"] | {"imbalance": 3.0}}
    assert runs.key(fewer.config) != runs.key(whole.config)
    assert len(built(imbalance=3.0, train_size=20).data.train) == 20
