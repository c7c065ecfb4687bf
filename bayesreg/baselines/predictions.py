"""Predictions without a network, fitted on train: p(y | x) of each test example, classes, or reconstructed images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, Normal

if TYPE_CHECKING:
    from bayesreg.datasets import Data, Dataset

LARGEST = 2**24  # numbers of x: a baseline should not take longer than the network


def constant(data: Data) -> Distribution:
    """`majority` for classes, `mean` for numbers: a prediction that ignores x."""
    return mean(data) if data.classes is None else majority(data)


def linear(data: Data) -> Distribution:
    """Logistic regression (`logistic`) for classes, `ridge` for numbers, on the floating-point part of x.

    ValueError where there is none, as with images and tokens, or where x is too large for a quick answer.
    """
    return ridge(data) if data.classes is None else logistic(data)


def majority(data: Data) -> Categorical:
    """Each class as frequent as in train, p_c = (n_c + 1) / (n + C), whatever x; the most frequent is the prediction.

    Each count is one larger, since a small training set may lack some classes (Laplace): the mean of p under a uniform
    prior.
    """
    counts = labels(data.train).bincount(minlength=data.classes or 0).double() + 1
    return Categorical(probs=counts.expand(len(data.test), -1))


def nearest_class_mean(data: Data) -> Tensor:
    """The class whose mean training input is the nearest, in Euclidean distance."""
    x, y = data.train.x.flatten(1), labels(data.train)
    classes = y.unique()  # a small training set may lack some
    means = torch.stack([x[y == c].float().mean(0) for c in classes])
    return classes[torch.cdist(data.test.x.flatten(1).float(), means).argmin(1)]


def logistic(data: Data) -> Categorical:
    """Logistic regression on the standardised x, with a penalty of ½‖w‖² on the whole data set (C = 1)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    train, test = _floating(data)
    return _logistic(data, [StandardScaler(), LogisticRegression(max_iter=1000)], train, test)


def bag_of_words(data: Data) -> Categorical:
    """Logistic regression (C = 4) on how often each known word occurs, by TF-IDF with 1 + log tf."""
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    words = int(data.train.x.max()) + 1
    train, test = (_counts(part.x, words) for part in (data.train, data.test))
    return _logistic(data, [TfidfTransformer(sublinear_tf=True), LogisticRegression(C=4, max_iter=500)], train, test)


def principal_components(data: Data, latent: int = 20) -> Tensor:
    """Images encoded in `latent` numbers and reconstructed: [n, pixels], in [0, 1].

    No more numbers than there are training images, which span no more directions.
    """
    from sklearn.decomposition import PCA

    train, test = (pixels(part.x).numpy() for part in (data.train, data.test))
    pca = PCA(min(latent, *train.shape), svd_solver="randomized", random_state=0).fit(train)
    return torch.from_numpy(pca.inverse_transform(pca.transform(test)))


def mean(data: Data) -> Distribution:
    """The mean of the training targets, and their standard deviation, whatever x."""
    y = data.train.y.double()
    return _normal(y.mean(0).expand(data.test.y.shape), (y - y.mean(0)).square())


def ridge(data: Data) -> Distribution:
    """Linear regression on the standardised x with a penalty of ‖w‖² on the whole data set.

    The variance is the mean square of the leave-one-out residuals on train, r_i / (1 − h_i): those of the fit itself
    are too small where there are as many inputs as examples.
    """
    from sklearn.preprocessing import StandardScaler

    rows, others = _floating(data)
    scaler = StandardScaler().fit(rows)
    train, test = (torch.from_numpy(scaler.transform(x)) for x in (rows, others))
    y = data.train.y.double().flatten(1) if data.train.y.dim() > 1 else data.train.y.double()[:, None]
    u, s, v = torch.linalg.svd(train, full_matrices=False)
    weights = v.T @ ((s / (s.square() + 1))[:, None] * (u.T @ (y - y.mean(0))))
    leverage = 1 / len(y) + u.square() @ (s.square() / (s.square() + 1))  # h, of the mean and the weights
    residuals = (y - y.mean(0) - train @ weights) / (1 - leverage)[:, None]
    return _normal((test @ weights + y.mean(0)).reshape(data.test.y.shape), residuals.square())


def persistence(data: Data) -> Distribution:
    """The next hour is like this one: PM2.5 of the last row of the window, in the unit of the target.

    The table has it standardised, in its first column; the line back to the unit is fitted to the training targets and
    the rows that they were taken from.
    """
    x, y = data.train.x, data.train.y
    following = x.rows[x.ends + 1, 0]
    line = torch.linalg.lstsq(torch.stack([following, torch.ones_like(y)], 1), y[:, None]).solution.flatten()
    train, test = (part.x.rows[part.x.ends, 0] * line[0] + line[1] for part in (data.train, data.test))
    return _normal(test, (y - train).double().square())


def _normal(mean: Tensor, squares: Tensor) -> Distribution:
    """Normal about the mean [n, ...], with the variance of each output from squared residuals [rows, ...]."""
    variance = squares.mean(0).reshape(mean.shape[1:])
    sd = variance.where(variance > 0, 1.0).sqrt()  # where all residuals are 0, or none is known
    return Independent(Normal(mean.double(), sd.expand(mean.shape)), mean.dim() - 1)


def _logistic(data: Data, steps: list[Any], train: Any, test: Any) -> Categorical:
    """p(y | x) of a classifier; a class missing in train is as probable as in `majority`."""
    from sklearn.pipeline import make_pipeline

    known = labels(data.train).unique()
    if len(known) < 2:
        return majority(data)  # there is nothing to regress on
    probs = majority(data).probs.clone()
    rest = probs[:, known].sum(1, keepdim=True)
    model = make_pipeline(*steps).fit(train, labels(data.train).numpy())
    probs[:, known] = torch.from_numpy(model.predict_proba(test)).double() * rest
    return Categorical(probs=probs)


def labels(part: Dataset) -> Tensor:
    """Class numbers [n]; y may also be [n, 1]."""
    return part.y.reshape(-1).long()


def takes_linear(data: Data) -> bool:
    floating = _floats(data.train.x)
    return 0 < sum(part.numel() for part in floating) <= LARGEST


def _floating(data: Data) -> list[np.ndarray]:
    """The floating-point part of x, in train and test, float64 [n, k]."""
    if not takes_linear(data):
        raise ValueError(
            f"x of {data.name} has nothing in floating point, or more than {LARGEST} numbers: use constant"
        )
    return [torch.cat(_floats(part.x), 1).double().numpy() for part in (data.train, data.test)]


def _floats(x: Any) -> list[Tensor]:
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, tuple) else (x,)
    return [part.flatten(1) for part in parts if isinstance(part, Tensor) and part.is_floating_point()]


def pixels(images: Tensor) -> Tensor:
    """uint8 [n, ...] as [n, pixels] in [0, 1]."""
    return images.flatten(1).float() / 255


def _counts(x: Tensor, words: int) -> Any:
    """How often each token below `words` is in each review, sparse [n, words]; not padding, not unknown words."""
    from scipy.sparse import csr_matrix

    review, place = ((x > 1) & (x < words)).nonzero(as_tuple=True)  # a small training set may lack some that test has
    indices = review.numpy(), x[review, place].numpy()
    return csr_matrix((np.ones(len(review)), indices), shape=(len(x), words))
