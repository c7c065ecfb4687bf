"""The baselines against their closed forms on small made data, and against known figures on the real ones."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from bayesreg import baselines
from bayesreg.baselines import BASELINES, baseline, log_likelihood, predictions
from bayesreg.datasets import DATASETS, Data, Dataset, Windows, load, reconstruct


def made(train, test, classes=None, name="mine"):
    return Data(name, Dataset(*train), Dataset(*test), Dataset(*test), classes, "made", {})


def judged(compute, data, **options):
    return baselines.judge(compute(data, **options), data)


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
    found = judged(baselines.majority, data)
    assert found["accuracy"] == 0.5
    assert found["macro_f1"] == pytest.approx((2 * 2 / (4 + 2)) / 3)
    assert found["nll"] == pytest.approx(-np.log([4 / 8, 2 / 8, 2 / 8, 4 / 8]).mean())  # 1, 3 and 1, and one of each


def test_nearest_class_mean(images):
    x, y = images.train.x.flatten(1).double(), images.train.y
    means = [x[y == c].mean(0) for c in range(3)]
    nearest = [min(range(3), key=lambda c: float((one - means[c]).norm())) for one in images.test.x.flatten(1).double()]
    expected = np.mean(np.array(nearest) == images.test.y.numpy())
    assert judged(baselines.nearest_class_mean, images)["accuracy"] == pytest.approx(expected)
    assert 0.5 < expected < 1


@pytest.mark.parametrize("latent", [1, 3])
def test_principal_components(images, latent):
    train, test = (part.x.flatten(1).double().numpy() / 255 for part in (images.train, images.test))
    centre = train.mean(0)
    basis = np.linalg.svd(train - centre, full_matrices=False)[2][:latent]
    error = (test - centre) - (test - centre) @ basis.T @ basis
    assert judged(baselines.principal_components, images, latent=latent) == {
        "mse": pytest.approx((error**2).mean(), rel=1e-4)
    }


def test_images_as_their_own_targets_have_no_classes_to_find(images):
    data = reconstruct(dataclasses.replace(images, name="mnist"))
    found = baseline(data, principal_components={"latent": 2})
    assert found == {"principal components": judged(baselines.principal_components, images, latent=2)}


def test_no_more_components_than_training_images(images):
    few = made((images.train.x[:4], images.train.y[:4]), (images.test.x, images.test.y), classes=3)
    assert torch.equal(baselines.principal_components(few, 20), baselines.principal_components(few, 4))


def test_a_class_without_training_examples_is_never_the_nearest(images):
    kept = images.train.y != 1
    lacking = made((images.train.x[kept], images.train.y[kept]), (images.test.x, images.test.y), classes=3)
    two = [i for i, y in enumerate(images.test.y.tolist()) if y != 1]
    found = judged(baselines.nearest_class_mean, lacking)["accuracy"] * len(images.test)
    alone = made((images.train.x[kept], images.train.y[kept]), (images.test.x[two], images.test.y[two]), classes=3)
    assert found == pytest.approx(judged(baselines.nearest_class_mean, alone)["accuracy"] * len(two))
    assert found > len(two) / 2


def test_mean_and_ridge():
    random = np.random.default_rng(0)
    x, noise = random.normal(1, 2, (50, 3)), random.normal(0, 0.1, 50)
    y = x @ [1.0, -2.0, 0.5] + 3 + noise
    data = made((x[:40], y[:40]), (x[40:], y[40:]))
    x = (x - x[:40].mean(0)) / x[:40].std(0)
    weights = np.linalg.solve(x[:40].T @ x[:40] + np.eye(3), x[:40].T @ (y[:40] - y[:40].mean()))
    predicted = x[40:] @ weights + y[:40].mean()
    assert judged(baselines.ridge, data)["mse"] == pytest.approx(((predicted - y[40:]) ** 2).mean(), rel=1e-3)
    assert judged(baselines.mean, data)["mse"] == pytest.approx(((y[:40].mean() - y[40:]) ** 2).mean(), rel=1e-4)


def test_persistence_in_the_unit_of_the_target():
    series = np.random.default_rng(0).normal(50, 10, 40).cumsum()
    rows = torch.from_numpy(np.stack([(series - 7) / 3, np.zeros(40)], 1)).float()
    y = torch.from_numpy(series).float()
    parts = [torch.arange(4, 20), torch.arange(25, 39)]
    train, test = ((Windows(rows, ends, 5), y[ends + 1]) for ends in parts)
    expected = ((series[26:] - series[25:-1]) ** 2).mean()
    found = judged(baselines.persistence, made(train, test))
    assert found["mse"] == pytest.approx(expected, rel=1e-3)
    variance = ((series[5:21] - series[4:20]) ** 2).mean()  # of the same guess on train
    assert found["nll"] == pytest.approx(0.5 * np.log(2 * np.pi * variance) + expected / variance / 2, rel=1e-3)


def test_bag_of_words():
    """Token 5 makes a review good, token 6 a bad one; padding, unknown words and the others say nothing."""
    random = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = random.integers(1, 5, (80, 12))
    x[:, 4] = 6 - y
    x[:, 10:] = 0
    data = made((x[:60], y[:60]), (x[60:], y[60:]), classes=2)
    assert judged(baselines.bag_of_words, data)["accuracy"] == 1
    counts = predictions._counts(data.test.x, 7).toarray()
    np.testing.assert_array_equal(counts[:, 2:], [np.bincount(row, minlength=7)[2:] for row in x[60:]])
    assert counts[:, :2].sum() == 0


def test_a_word_of_the_test_split_alone_says_nothing():
    train, y = np.array([[5, 2], [6, 2], [5, 3], [6, 3]]), [1, 0, 1, 0]
    plain, longer = np.array([[5, 0], [6, 0]]), np.array([[5, 99], [6, 7]])
    answers = [judged(baselines.bag_of_words, made((train, y), (x, [1, 0]), classes=2)) for x in (plain, longer)]
    assert answers[0] == answers[1]
    assert (answers[0]["accuracy"], answers[0]["macro_f1"]) == (1, 1)


def test_bag_of_words_of_one_class_alone_is_the_majority():
    data = made((np.full((3, 4), 5), [1, 1, 1]), (np.full((4, 4), 5), [0, 1, 1, 1]), classes=2)
    assert judged(baselines.bag_of_words, data) == judged(baselines.majority, data)


KNOWN = [  # computed from the same files by others, on the published training split with validation in it
    ("cifar10", "nearest_class_mean", "accuracy", 0.277, 0.005),
    ("cifar100", "nearest_class_mean", "accuracy", 0.100, 0.005),
    ("mnist", "principal_components", "mse", 0.0235, 0.0001),
    ("beijing", "persistence", "r2", 0.941, 0.003),
    ("imdb", "bag_of_words", "accuracy", 0.885, 0.005),
]


@pytest.mark.parametrize(("name", "which", "metric", "value", "tolerance"), KNOWN)
def test_known_figures_of_the_real_data(real, name, which, metric, value, tolerance):
    assert judged(getattr(baselines, which), real(name))[metric] == pytest.approx(value, abs=tolerance)


def test_all_baselines_of_a_data_set():
    assert {name: set(metrics) for name, metrics in baseline(load("digits")).items()} == {
        "majority": {"accuracy", "macro_f1", "nll", "brier"},
        "nearest class mean": {"accuracy", "macro_f1"},
    }


def classes(n=90, seed=0, of=3):
    """x [n, 4] of unequal scales, y of three classes about means of their own: two thirds to train."""
    random = np.random.default_rng(seed)
    y = np.resize([0, 1, 2, 2], n) % of
    x = (random.normal(size=(n, 4)) + y[:, None]) * [1, 10, 0.1, 1000]
    cut = 2 * n // 3
    return made((x[:cut], y[:cut]), (x[cut:], y[cut:]), classes=3, name="own")


def numbers(n=60, inputs=3, outputs=None, seed=0, unit=1.0):
    random = np.random.default_rng(seed)
    x = random.normal(2, 3, (n, inputs))
    weights = random.normal(size=(inputs, outputs or 1))
    y = unit * (x @ weights + random.normal(0, 0.5, (n, outputs or 1)) + 7)
    y = y if outputs else y[:, 0]
    return made((x[:40], y[:40]), (x[40:], y[40:]), name="own")


def standardised(data):
    x, other = (part.x.double().numpy() for part in (data.train, data.test))
    return (x - x.mean(0)) / x.std(0), (other - x.mean(0)) / x.std(0)


def test_data_of_ones_own_have_a_constant_and_a_linear_baseline():
    found = baseline(classes())
    assert list(found) == ["constant", "linear"]
    assert all(set(metrics) == {"accuracy", "macro_f1", "nll", "brier"} for metrics in found.values())
    found = baseline(numbers())
    assert list(found) == ["constant", "linear"]
    assert all(set(metrics) == {"mse", "rmse", "r2", "nll"} for metrics in found.values())
    assert found["linear"]["nll"] < found["constant"]["nll"]


def test_the_constant_of_classes_is_scikit_learns_with_one_more_of_each():
    data = classes()
    extended = np.concatenate([data.train.y, [0, 1, 2]])
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(extended), 1)), extended)
    probs = dummy.predict_proba(np.zeros((len(data.test), 1)))
    np.testing.assert_allclose(baselines.constant(data).probs, probs)
    assert baseline(data)["constant"]["nll"] == pytest.approx(log_loss(data.test.y, probs, labels=[0, 1, 2]))
    assert baseline(data)["constant"]["accuracy"] == dummy.score(np.zeros((len(data.test), 1)), data.test.y)


@pytest.mark.parametrize("outputs", [None, 2])
def test_the_constant_of_numbers_is_scikit_learns_mean_with_their_deviation(outputs):
    data = numbers(outputs=outputs, unit=1000.0)
    train, test = data.train.y.double().numpy(), data.test.y.double().numpy()
    predicted = DummyRegressor().fit(np.zeros((40, 1)), train).predict(np.zeros((20, 1)))
    sd = train.std(0)
    densities = -0.5 * ((test - predicted) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))
    found = log_likelihood("constant", data)
    np.testing.assert_allclose(found, densities.reshape(20, -1).sum(1), rtol=1e-6)
    assert baseline(data)["constant"]["nll"] == pytest.approx(-float(found.mean()))
    assert baseline(data)["constant"]["rmse"] == pytest.approx(np.sqrt(((test - predicted) ** 2).mean()))


def test_the_linear_classifier_is_scikit_learns():
    data = classes()
    train, test = standardised(data)
    model = LogisticRegression(max_iter=1000).fit(train, data.train.y)
    probs = model.predict_proba(test)
    np.testing.assert_allclose(baselines.linear(data).probs, probs, rtol=1e-4, atol=1e-6)
    wanted = np.log(probs[np.arange(30), data.test.y])
    np.testing.assert_allclose(log_likelihood("linear", data), wanted, rtol=1e-3, atol=1e-5)
    assert baseline(data)["linear"]["accuracy"] == model.score(test, data.test.y)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, None), (3, 2), (60, None)], ids=["one", "two", "wide"])
def test_the_linear_regression_is_scikit_learns_with_the_residuals_of_rows_left_out(inputs, outputs):
    data = numbers(inputs=inputs, outputs=outputs)
    train, test = standardised(data)
    y = data.train.y.double().numpy()
    predicted = Ridge(1.0).fit(train, y).predict(test)
    left_out = cross_val_predict(Ridge(1.0), train, y, cv=LeaveOneOut())
    found = baselines.linear(data)
    np.testing.assert_allclose(found.mean, predicted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.variance[0], ((y - left_out) ** 2).mean(0), rtol=1e-5)


def test_linear_does_not_depend_on_the_units_of_x_and_moves_with_that_of_y():
    data = numbers()
    scaled = made(*((part.x * 1000, part.y * 10) for part in (data.train, data.test)), name="own")
    np.testing.assert_allclose(
        log_likelihood("linear", scaled), log_likelihood("linear", data) - np.log(10), rtol=1e-4, atol=1e-4
    )


def test_a_class_that_train_has_not_is_possible():
    data = classes()
    two = data.train.take(data.train.y < 2)
    lacking = dataclasses.replace(data, train=two)
    for name in ("constant", "linear"):
        assert log_likelihood(name, lacking).isfinite().all()
    probs = baselines.linear(lacking).probs
    np.testing.assert_allclose(probs[:, 2], 1 / (len(two) + 3))
    np.testing.assert_allclose(probs.sum(1), 1)
    one = dataclasses.replace(data, train=data.train.take(data.train.y == 1))
    assert torch.equal(baselines.linear(one).probs, baselines.constant(one).probs)


@pytest.mark.parametrize("n", [1, 4])
def test_targets_of_one_value_leave_a_density_that_is_finite(n):
    data = made((np.arange(3.0 * n).reshape(n, 3), np.full(n, 5.0)), (np.ones((3, 3)), [5.0, 6.0, 7.0]), name="own")
    for name in ("constant", "linear"):
        assert log_likelihood(name, data).isfinite().all()


def test_linear_takes_what_is_floating_or_stays_away(images, monkeypatch):
    assert set(baseline(images)) == {"constant"}
    tokens = made((np.ones((6, 3), int), [0, 1] * 3), (np.ones((4, 3), int), [0, 1] * 2), classes=2)
    assert set(baseline(tokens)) == {"constant"}
    with pytest.raises(ValueError, match="x of mine has nothing in floating point"):
        baselines.linear(tokens)
    monkeypatch.setattr(predictions, "LARGEST", 100)
    assert set(baselines.applicable(classes())) == {"constant"}


def test_a_table_called_as_a_registered_data_set_has_those_of_its_own():
    random = np.random.default_rng(0)
    own = Data.split(random.normal(size=(60, 2)), np.arange(60) % 2, name="housing")
    assert set(baseline(own)) == {"constant", "linear"}
    assert set(baseline(own.fold(1))) == {"constant", "linear"}


def test_labels_in_a_column_are_labels():
    data = classes()
    column = made((data.train.x, data.train.y[:, None]), (data.test.x, data.test.y[:, None]), classes=3, name="own")
    assert baseline(column) == baseline(data)


def test_log_likelihoods_of_registered_data_and_what_has_none():
    digits = load("digits")
    frequencies = (digits.train.y.bincount() + 1) / (len(digits.train) + 10)
    for name in ("constant", "majority"):
        np.testing.assert_allclose(log_likelihood(name, digits), frequencies[digits.test.y].log(), rtol=1e-5)
    with pytest.raises(ValueError, match="'nearest class mean' predicts without a distribution"):
        log_likelihood("nearest class mean", digits)
    with pytest.raises(ValueError, match="digits has no baseline called 'ridge': choose among constant, majority"):
        log_likelihood("ridge", digits)
