"""Classes of unequal size, made from equal ones."""

from __future__ import annotations

import math
from functools import partial

import torch

from .base import Data


def imbalanced(data: Data, ratio: float, seed: int = 0) -> Data:
    """The same data with n_c = n · ratio^(−c/(C−1)) training examples of class c = 0 .. C − 1.

    The first class keeps n, the size of the smallest class, and the last has 1/ratio of it. Which examples
    stay is drawn by `seed`, and they stay in their order. Validation and test are left as they are.

    Source: Cui et al., "Class-balanced loss based on effective number of samples", CVPR, 2019.
    Raises ValueError for a regression task, for a ratio below 1, or one that leaves a class without examples.
    """
    if data.classes is None:
        raise ValueError(f"imbalance={ratio}: {data.name} has no classes; leave it out")
    y = data.train.y
    largest = int(y.bincount(minlength=data.classes).min())
    if not (math.isfinite(ratio) and 1 <= ratio <= largest):
        raise ValueError(f"imbalance={ratio}: the smallest class of {data.name} has {largest}, give 1 to {largest}")
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for c in range(data.classes):
        members = (y == c).nonzero().flatten()
        size = round(largest * ratio ** (-c / max(1, data.classes - 1)))
        kept.append(members[torch.randperm(len(members), generator=generator)[:size]])
    return data.keep_train(torch.cat(kept).sort().values, again=partial(imbalanced, ratio=ratio, seed=seed))
