"""What a data set gives without a network: the score that each network has to beat, computed, not quoted.

Everything is fitted on the training split and judged on test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution
from torch.nn.functional import one_hot

from bayesreg.likelihoods import CLASSIFICATION, REGRESSION
from bayesreg.metrics import Judged, accuracy, macro_f1, mse, surprisals

from .predictions import (
    bag_of_words,
    constant,
    labels,
    linear,
    majority,
    mean,
    nearest_class_mean,
    persistence,
    pixels,
    principal_components,
    ridge,
    takes_linear,
)

if TYPE_CHECKING:
    from bayesreg.datasets import Data

Metrics = dict[str, float]
Prediction = Distribution | Tensor
# Baselines that predict the same for every x are calibrated.
OF_CLASSES = tuple(name for name in CLASSIFICATION if name != "ece")
OF_NUMBERS = tuple(name for name in REGRESSION if name != "coverage_error")
Baseline = Callable[..., Prediction]
BASELINES: dict[str, tuple[Baseline, ...]] = {
    "synthetic": (majority, nearest_class_mean),
    "digits": (majority, nearest_class_mean),
    "diabetes": (mean, ridge),
    "housing": (mean, ridge),
    "beijing": (mean, persistence),
    "mnist": (majority, nearest_class_mean, principal_components),
    "fashion_mnist": (majority, nearest_class_mean, principal_components),
    "flowers": (majority, nearest_class_mean, principal_components),
    "imdb": (majority, bag_of_words),
    "cifar10": (majority, nearest_class_mean),
    "cifar100": (majority, nearest_class_mean),
}


def applicable(data: Data) -> dict[str, Baseline]:
    """The baselines of a data set by their names: those of BASELINES; for the user's own data, constant and linear.

    Without linear where x has nothing in floating point, or is too large. Where images are their own targets there are
    no classes to predict: only PCA has to be beaten.
    """
    x, y = data.train.x, data.train.y
    images = isinstance(x, Tensor) and x.dtype == torch.uint8 and x.shape == y.shape
    if data.inputs is None and data.name in BASELINES:
        known = BASELINES[data.name]
        chosen = tuple(compute for compute in known if compute is principal_components or not images)
    else:
        chosen = (principal_components,) if images else (constant, linear) if takes_linear(data) else (constant,)
    return {compute.__name__.replace("_", " "): compute for compute in chosen}


def baseline(data: Data, **options: dict[str, Any]) -> dict[str, Metrics]:
    """{name: {metric: value on test}} of the baselines that apply to the data, y in its unit.

    options: further arguments by the name of the function, such as principal_components={"latent": 20}.
    """
    return {
        name: judge(compute(data, **options.get(compute.__name__, {})), data)
        for name, compute in applicable(data).items()
    }


def judge(prediction: Prediction, data: Data) -> Metrics:
    """The metrics on test of a distribution p(y | x) for each example, of classes [n], or of reconstructed images."""
    if isinstance(prediction, Tensor):
        if prediction.is_floating_point():
            return {"mse": mse(prediction, pixels(data.test.x))}
        certain, y = one_hot(prediction, data.classes or -1).float(), labels(data.test)
        return {"accuracy": accuracy(certain, y), "macro_f1": macro_f1(certain, y)}
    y, surprisal = _targets(data), surprisals(prediction, _targets(data))
    if isinstance(prediction, Categorical):
        return Judged(OF_CLASSES, surprisal, prediction.probs, y).metrics()
    return Judged(OF_NUMBERS, surprisal, prediction.mean, y).metrics()


def log_likelihood(name: str, data: Data) -> Tensor:
    """log p(y_i | x_i) [n] of the test examples by a baseline of `applicable`, or by "constant", in nats.

    For numbers it is a density, in the unit of y. ValueError for an unknown name, and for a baseline that predicts
    without a distribution.
    """
    known = {"constant": constant} | applicable(data)
    if name not in known:
        raise ValueError(f"{data.name} has no baseline called {name!r}: choose among {', '.join(known)}")
    prediction = known[name](data)
    if isinstance(prediction, Tensor):
        raise ValueError(f"the baseline {name!r} predicts without a distribution: it has no log likelihood")
    return prediction.log_prob(_targets(data))


def _targets(data: Data) -> Tensor:
    """y of test, in the form that a distribution takes."""
    return data.test.y.double() if data.classes is None else labels(data.test)
