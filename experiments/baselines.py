"""What a data set gives without a network: the figure that each network has to beat, computed and not quoted.

Everything is fitted on the training split and judged on test.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from experiments.base import command, refuse
from experiments.stopping import stoppable

if TYPE_CHECKING:
    from torch import Tensor

    from bayesreg.datasets import Data

Metrics = dict[str, float]


def majority(data: Data) -> Metrics:
    """The most frequent class, whatever x."""
    return _classified(data.train.y.bincount().argmax().expand(len(data.test)), data)


def nearest_class_mean(data: Data) -> Metrics:
    """The class whose mean training input is the nearest, in Euclidean distance."""
    import torch

    x, y = data.train.x.flatten(1), data.train.y
    classes = y.unique()  # a small training set may lack some
    means = torch.stack([x[y == c].float().mean(0) for c in classes])
    return _classified(classes[torch.cdist(data.test.x.flatten(1).float(), means).argmin(1)], data)


def bag_of_words(data: Data) -> Metrics:
    """Logistic regression (C = 4) on how often each known word occurs, by TF-IDF with 1 + log tf."""
    import torch
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if len(data.train.y.unique()) < 2:
        return majority(data)  # there is nothing to regress on
    model = make_pipeline(TfidfTransformer(sublinear_tf=True), LogisticRegression(C=4, max_iter=500))
    words = int(data.train.x.max()) + 1
    model.fit(_counts(data.train.x, words), data.train.y.numpy())
    return _classified(torch.from_numpy(model.predict(_counts(data.test.x, words))), data)


def principal_components(data: Data, latent: int = 20) -> Metrics:
    """Images encoded in `latent` numbers: the mean squared error of their reconstruction, a pixel in [0, 1].

    No more numbers than there are training images, which span no more directions.
    """
    from sklearn.decomposition import PCA

    train, test = (part.x.flatten(1).numpy().astype("float32") / 255 for part in (data.train, data.test))
    pca = PCA(min(latent, *train.shape), svd_solver="randomized", random_state=0).fit(train)
    return {"mse": float(((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean(dtype="float64"))}


def mean(data: Data) -> Metrics:
    """The mean of the training targets, whatever x."""
    return _predicted(data.train.y.mean().expand(len(data.test)), data)


def ridge(data: Data) -> Metrics:
    """Linear regression with an L2 penalty of 1 on the whole data set."""
    import torch
    from sklearn.linear_model import Ridge

    model = Ridge(1.0).fit(data.train.x.numpy(), data.train.y.numpy())
    return _predicted(torch.from_numpy(model.predict(data.test.x.numpy())), data)


def persistence(data: Data) -> Metrics:
    """The next hour is as this one: PM2.5 of the last row of the window, in the unit of the target.

    The table holds it standardised, in its first column; the line back to the unit is the one through the
    training targets and the rows that they were taken from.
    """
    import torch

    x, y = data.train.x, data.train.y
    following = x.rows[x.ends + 1, 0]
    line = torch.linalg.lstsq(torch.stack([following, torch.ones_like(y)], 1), y[:, None]).solution.flatten()
    last = data.test.x.rows[data.test.x.ends, 0]
    return _predicted(last * line[0] + line[1], data)


BASELINES: dict[str, tuple[Callable[..., Metrics], ...]] = {
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


def baseline(data: Data, **options: dict[str, Any]) -> dict[str, Metrics]:
    """{name: {metric: value on test}} of the baselines of a data set, none for one that has no line in BASELINES.

    Where images are their own targets, there are no classes to be found: only PCA has to be beaten.
    options: further arguments by the name of the function, as principal_components={"latent": 20}.
    """
    known: tuple[Callable[..., Metrics], ...] = BASELINES.get(data.name, ())
    images = data.train.y.dim() > 1
    chosen = {compute.__name__: compute for compute in known if compute is principal_components or not images}
    return {name.replace("_", " "): compute(data, **options.get(name, {})) for name, compute in chosen.items()}


def _counts(x: Tensor, words: int) -> Any:
    """How often each token below `words` is in each review, sparse [n, words]; not padding, not unknown words."""
    import numpy as np
    from scipy.sparse import csr_matrix

    review, place = ((x > 1) & (x < words)).nonzero(as_tuple=True)  # a small training set lacks some that test has
    indices = review.numpy(), x[review, place].numpy()
    return csr_matrix((np.ones(len(review)), indices), shape=(len(x), words))


def _classified(classes: Tensor, data: Data) -> Metrics:
    """The metrics of one class for each test example."""
    from torch.nn.functional import one_hot

    from bayesreg.metrics import accuracy, macro_f1

    certain = one_hot(classes, data.classes or -1).float()
    return {"accuracy": accuracy(certain, data.test.y), "macro_f1": macro_f1(certain, data.test.y)}


def _predicted(predictions: Tensor, data: Data) -> Metrics:
    """The metrics of one number for each test example."""
    from bayesreg.metrics import mse, r2

    return {"mse": mse(predictions, data.test.y), "r2": r2(predictions, data.test.y)}


@dataclass(frozen=True)
class Baselines:
    """Print the baselines of a data set, judged on test."""

    name: Annotated[str, tyro.conf.Positional]
    """The data set."""
    data_dir: Path | None = None
    """Where the data files are; else $BAYESREG_DATA, else the user's cache."""


def main() -> None:
    """A line for each baseline."""
    asked = command(Baselines, "experiments.baselines")
    logging.basicConfig(level="WARNING", format="%(message)s")
    from bayesreg import datasets

    try:
        data = datasets.load(asked.name, asked.data_dir)
    except (ValueError, OSError) as error:
        refuse(error)
    for name, metrics in baseline(data).items():
        print(f"{name:22}" + "  ".join(f"{metric} {value:.4f}" for metric, value in metrics.items()))


if __name__ == "__main__":
    with stoppable():
        main()
