"""The terms of a method, by name: the priors of PRIORS, and the techniques, which are no priors."""

from __future__ import annotations

import difflib
from typing import Any

from bayesreg import priors
from bayesreg.methods.adamw import AdamW
from bayesreg.methods.augmentation import Augmentation
from bayesreg.methods.base import Technique
from bayesreg.methods.dropout import Dropout
from bayesreg.methods.early_stopping import EarlyStopping
from bayesreg.methods.label_smoothing import LabelSmoothing
from bayesreg.methods.lasso import Lasso
from bayesreg.methods.mc_dropout import MCDropout

TECHNIQUES: dict[str, type[Technique]] = {
    "dropout": Dropout,
    "mc_dropout": MCDropout,
    "early_stopping": EarlyStopping,
    "label_smoothing": LabelSmoothing,
    "adamw": AdamW,
    "lasso": Lasso,
    "augmentation": Augmentation,
}
ALIASES = {"confidence_penalty": "entropic"}  # Pereyra et al. (2017): they reward the entropy of predictions


def known(name: str, text: str) -> type[Any]:
    """The class of a prior or technique by its name, or its alias. ValueError for another, with the nearest known."""
    every = priors.known() | TECHNIQUES
    kind = every.get(ALIASES.get(name, name))
    if kind is None:
        near = difflib.get_close_matches(name.lower(), [*every, *ALIASES], n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"unknown prior or technique {name!r} in {text!r}{hint} Known: {', '.join(every)}")
    return kind
