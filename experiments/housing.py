"""California housing with an MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.base import main
from experiments.diabetes import Diabetes


@dataclass(frozen=True)
class Housing(Diabetes):
    """Median house values of 20,640 districts, in 100,000 $, from 8 features (Pace & Barry, 1997), with an MLP."""

    name: ClassVar[str] = "housing"
    batch_size: int = 128
    """Examples a step."""
    epochs: int = 60
    """Passes over the training data."""


if __name__ == "__main__":
    main(Housing)
