"""The baselines against their closed forms on small made data, and against known figures on the real ones."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from bayesreg.datasets import DATASETS, Data, Dataset, Windows, reconstruct
from experiments import baselines
from experiments.baselines import BASELINES, baseline


def made(train, test, classes=None, name="mine"):
    return Data(name, Dataset(*train), Dataset(*test), Dataset(*test), classes, "made", {})


@pytest.fixture
def images():
    """Of 3 classes, uint8 [n, 1, 2, 3], each class about a mean of its own."""
    random = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [30, 40, 20])
    x = (20 * y[:, None] + random.integers(0, 100, (90, 6))).astype(np.uint8).reshape(90, 1, 2, 3)
    order = random.permutation(90)
    return made((x[order[:60]], y[order[:60]]), (x[order[60:]], y[order[60:]]), classes=3)


def test_every_registered_data_set_has_some():
    assert set(BASELINES) == set(DATASETS)


def test_majority():
    data = made((np.zeros((5, 1)), [0, 1, 1, 2, 1]), (np.zeros((4, 1)), [1, 0, 2, 1]), classes=3)
    assert baselines.majority(data) == {"accuracy": 0.5, "macro_f1": pytest.approx((2 * 2 / (4 + 2)) / 3)}


def test_nearest_class_mean(images):
    x, y = images.train.x.flatten(1).double(), images.train.y
    means = [x[y == c].mean(0) for c in range(3)]
    nearest = [min(range(3), key=lambda c: float((one - means[c]).norm())) for one in images.test.x.flatten(1).double()]
    expected = np.mean(np.array(nearest) == images.test.y.numpy())
    assert baselines.nearest_class_mean(images)["accuracy"] == pytest.approx(expected)
    assert 0.5 < expected < 1


@pytest.mark.parametrize("latent", [1, 3])
def test_principal_components(images, latent):
    train, test = (part.x.flatten(1).double().numpy() / 255 for part in (images.train, images.test))
    centre = train.mean(0)
    basis = np.linalg.svd(train - centre, full_matrices=False)[2][:latent]
    error = (test - centre) - (test - centre) @ basis.T @ basis
    assert baselines.principal_components(images, latent) == {"mse": pytest.approx((error**2).mean(), rel=1e-4)}


def test_images_as_their_own_targets_have_no_classes_to_find(images):
    data = reconstruct(dataclasses.replace(images, name="mnist"))
    found = baseline(data, principal_components={"latent": 2})
    assert found == {"principal components": baselines.principal_components(images, 2)}


def test_no_more_components_than_training_images(images):
    few = made((images.train.x[:4], images.train.y[:4]), (images.test.x, images.test.y), classes=3)
    assert baselines.principal_components(few, 20) == baselines.principal_components(few, 4)


def test_a_class_without_training_examples_is_never_the_nearest(images):
    kept = images.train.y != 1
    lacking = made((images.train.x[kept], images.train.y[kept]), (images.test.x, images.test.y), classes=3)
    two = [i for i, y in enumerate(images.test.y.tolist()) if y != 1]
    found = baselines.nearest_class_mean(lacking)["accuracy"] * len(images.test)
    alone = made((images.train.x[kept], images.train.y[kept]), (images.test.x[two], images.test.y[two]), classes=3)
    assert found == pytest.approx(baselines.nearest_class_mean(alone)["accuracy"] * len(two))
    assert found > len(two) / 2


def test_mean_and_ridge():
    random = np.random.default_rng(0)
    x, noise = random.normal(1, 2, (50, 3)), random.normal(0, 0.1, 50)
    y = x @ [1.0, -2.0, 0.5] + 3 + noise
    data = made((x[:40], y[:40]), (x[40:], y[40:]))
    centred = x[:40] - x[:40].mean(0)
    weights = np.linalg.solve(centred.T @ centred + np.eye(3), centred.T @ (y[:40] - y[:40].mean()))
    predicted = (x[40:] - x[:40].mean(0)) @ weights + y[:40].mean()
    assert baselines.ridge(data)["mse"] == pytest.approx(((predicted - y[40:]) ** 2).mean(), rel=1e-3)
    assert baselines.mean(data)["mse"] == pytest.approx(((y[:40].mean() - y[40:]) ** 2).mean(), rel=1e-4)


def test_persistence_in_the_unit_of_the_target():
    series = np.random.default_rng(0).normal(50, 10, 40).cumsum()
    rows = torch.from_numpy(np.stack([(series - 7) / 3, np.zeros(40)], 1)).float()
    y = torch.from_numpy(series).float()
    parts = [torch.arange(4, 20), torch.arange(25, 39)]
    train, test = ((Windows(rows, ends, 5), y[ends + 1]) for ends in parts)
    expected = ((series[26:] - series[25:-1]) ** 2).mean()
    assert baselines.persistence(made(train, test))["mse"] == pytest.approx(expected, rel=1e-3)


def test_bag_of_words():
    """Token 5 makes a review good, token 6 a bad one; padding, unknown words and the others say nothing."""
    random = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = random.integers(1, 5, (80, 12))
    x[:, 4] = 6 - y
    x[:, 10:] = 0
    data = made((x[:60], y[:60]), (x[60:], y[60:]), classes=2)
    assert baselines.bag_of_words(data)["accuracy"] == 1
    counts = baselines._counts(data.test.x, 7).toarray()
    np.testing.assert_array_equal(counts[:, 2:], [np.bincount(row, minlength=7)[2:] for row in x[60:]])
    assert counts[:, :2].sum() == 0


def test_a_word_of_the_test_split_alone_says_nothing():
    train, y = np.array([[5, 2], [6, 2], [5, 3], [6, 3]]), [1, 0, 1, 0]
    plain, longer = np.array([[5, 0], [6, 0]]), np.array([[5, 99], [6, 7]])
    answers = [baselines.bag_of_words(made((train, y), (x, [1, 0]), classes=2)) for x in (plain, longer)]
    assert answers[0] == answers[1] == {"accuracy": 1, "macro_f1": 1}


def test_bag_of_words_of_one_class_alone_is_the_majority():
    data = made((np.full((3, 4), 5), [1, 1, 1]), (np.full((4, 4), 5), [0, 1, 1, 1]), classes=2)
    assert baselines.bag_of_words(data) == baselines.majority(data)


KNOWN = [  # computed from the same files by others, on the published training split with validation in it
    ("cifar10", "nearest_class_mean", "accuracy", 0.277, 0.005),
    ("cifar100", "nearest_class_mean", "accuracy", 0.100, 0.005),
    ("mnist", "principal_components", "mse", 0.0235, 0.0001),
    ("beijing", "persistence", "r2", 0.941, 0.003),
    ("imdb", "bag_of_words", "accuracy", 0.885, 0.005),
]


@pytest.mark.parametrize(("name", "which", "metric", "value", "tolerance"), KNOWN)
def test_known_figures_of_the_real_data(real, name, which, metric, value, tolerance):
    assert getattr(baselines, which)(real(name))[metric] == pytest.approx(value, abs=tolerance)


def test_the_command_prints_a_line_for_each(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["baselines", "diabetes"])
    baselines.main()
    lines = capsys.readouterr().out.splitlines()
    assert [re.match(r"(\w+) +mse \d\.\d{4}  r2 -?\d\.\d{4}", line)[1] for line in lines] == ["mean", "ridge"]


def test_the_command_refuses_an_unknown_data_set(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["baselines", "diabetis"])
    with pytest.raises(SystemExit) as end:
        baselines.main()
    assert end.value.code == 2
    assert "Did you mean 'diabetes'" in capsys.readouterr().err


def test_all_baselines_of_a_data_set():
    from bayesreg.datasets import load

    assert {name: set(metrics) for name, metrics in baseline(load("digits")).items()} == {
        "majority": {"accuracy", "macro_f1"},
        "nearest class mean": {"accuracy", "macro_f1"},
    }
