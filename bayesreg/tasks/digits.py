"""Handwritten digits of 8 × 8 pixels, from scikit-learn, with an MLP."""

from __future__ import annotations

from dataclasses import dataclass

from bayesreg.tasks.synthetic import Synthetic


@dataclass(frozen=True)
class Digits(Synthetic):
    """Handwritten digits, 8 × 8 pixels (scikit-learn; Alpaydin & Kaynak, 1998), with an MLP of two hidden layers."""

    name = "digits"
    epochs: int = 30
    """Passes over the training data."""
    batch_size: int = 64
    """Examples per step."""
    width: int = 64
    """Units in each hidden layer."""
