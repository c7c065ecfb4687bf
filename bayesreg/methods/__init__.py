"""Methods: what is compared, priors with a guide, and techniques, by text: "l2:1e-4+dropout@normal".

"l2" is tuned over its own grid, "l2:1e-4" is not. `as_methods` also knows the groups "priors", "techniques" and "all",
both of them, with a guide after them where wanted, as in "priors@normal".
"""

from collections.abc import Iterable
from typing import Any

from bayesreg.methods.adamw import AdamW
from bayesreg.methods.augmentation import Augmentation
from bayesreg.methods.base import Technique, Tuned
from bayesreg.methods.dropout import Dropout
from bayesreg.methods.early_stopping import EarlyStopping
from bayesreg.methods.label_smoothing import LabelSmoothing
from bayesreg.methods.lasso import Lasso
from bayesreg.methods.mc_dropout import MCDropout
from bayesreg.methods.method import Method
from bayesreg.methods.techniques import ALIASES, TECHNIQUES
from bayesreg.priors import PRIORS

__all__ = ["ALIASES", "TECHNIQUES", "AdamW", "Augmentation", "Dropout", "EarlyStopping", "LabelSmoothing", "Lasso"]
__all__ += ["MCDropout", "Method", "Technique", "Tuned", "as_methods", "parse"]

parse = Method.parse


def as_methods(values: Iterable[Any]) -> tuple[Method, ...]:
    """Methods from texts, groups ("priors", "techniques", "all"), methods, priors and techniques or classes of them.

    ValueError for anything else, for a method that is there twice, even under another name or in another order, and for
    an empty list.
    """
    listed = [values] if isinstance(values, str | type) or not isinstance(values, Iterable) else list(values)
    methods = tuple(method for value in listed for method in _one_or_group(value))
    if not methods:
        raise ValueError(f"no method to compare: give at least one, such as {['none', 'l2', 'dropout']}")
    first: dict[Any, str] = {}
    for method in methods:
        key = frozenset(method.terms), method.guide
        if key in first:
            raise ValueError(f"the method {method.text!r} is there twice (first as {first[key]!r}): leave one out")
        first[key] = method.text
    return methods


def _one_or_group(value: Any) -> list[Method]:
    if isinstance(value, Method):
        return [value]
    if not isinstance(value, str):
        return [Method(value)]
    name, at, guide = (part.strip() for part in value.partition("@"))
    groups = {"priors": PRIORS, "techniques": TECHNIQUES, "all": PRIORS | TECHNIQUES}
    return [parse(term + at + guide) for term in groups[name]] if name in groups else [parse(value)]
