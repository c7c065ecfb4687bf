"""California housing with an MLP."""

from __future__ import annotations

from dataclasses import dataclass

from bayesreg.tasks.diabetes import Diabetes


@dataclass(frozen=True)
class Housing(Diabetes):
    """Median house values of 20,640 districts, in 100,000 $, from 8 features (Pace & Barry, 1997), with an MLP."""

    name = "housing"
    epochs: int = 30
    """Passes over the training data."""
    batch_size: int = 32
    """Examples per step."""
    lr: float = 5e-3
    """Adam's learning rate at the start; it falls to 0 along a half cosine."""
    width: int = 128
    """Units in each hidden layer."""
