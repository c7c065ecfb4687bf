"""The synthetic task of the paper: 100 classes of points in 20 dimensions."""

from __future__ import annotations

from pathlib import Path

from .base import Data, Dataset, split, standardise


def load(data_dir: str | Path | None = None) -> Data:
    """10,000 points x [20] in 100 classes, one Gaussian cluster per class; generated, so `data_dir` is not read.

    15 coordinates are informative, 5 are linear combinations of them, standardised; 1 % of the labels are redrawn.
    Stratified 60 / 20 / 20.

    Source: scikit-learn's make_classification, after Guyon, "Design of experiments for the NIPS 2003 variable
    selection benchmark", 2003; as used by Kretsinger-Walters & Juliani, 2025.
    """
    from sklearn.datasets import make_classification

    x, y = make_classification(
        n_samples=10_000,
        n_features=20,
        n_informative=15,
        n_redundant=5,
        n_classes=100,
        n_clusters_per_class=1,
        class_sep=1.0,
        random_state=0,
    )
    parts = split(len(x), 0.2, 0.2, labels=y)
    x = standardise(x, train=parts[0])
    train, validation, test = (Dataset(x[part], y[part]) for part in parts)
    return Data(
        name="synthetic",
        train=train,
        validation=validation,
        test=test,
        classes=100,
        target="class, 0 to 99",
        provenance={"make_classification": "scikit-learn"},
        fixed="its test part of 2,000 points is large enough",
    )
