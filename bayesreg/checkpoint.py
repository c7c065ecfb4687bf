"""A checkpoint: the file from which an interrupted fit resumes, and the one fit that it belongs to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, Self

from torch import Tensor

from bayesreg.datasets import Dataset
from bayesreg.files import Unusable, load_tensors, remove_parts, save_tensors, sha256_of
from bayesreg.graph import attributes
from bayesreg.model import Model


class Checkpoint:
    """The checkpoint of one fit; no other resumes from it. Without a path it does nothing.

    As a context manager it removes the file when the fit has ended, or has diverged, which it would again;
    an interrupted fit leaves it. stays: it is left at the end, too, for others that are to follow.
    """

    def __init__(
        self,
        path: str | Path | None,
        model: Model,
        train: Dataset,
        validation: Dataset | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
        stays: bool = False,
        **options: Any,
    ) -> None:
        self.path, self.stays = None if path is None else Path(path), stays
        self._fit = {} if path is None else _identity(model, train, validation, augment) | options

    def __enter__(self) -> Self:
        if self.path is not None:
            remove_parts(self.path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        ended = issubclass(kind, ArithmeticError) if kind else not self.stays
        if self.path is not None and ended:
            self.path.unlink(missing_ok=True)

    def write(self, state: dict[str, Any]) -> None:
        """Keep the state, in place of the one before."""
        if self.path is not None:
            save_tensors(self.path, "checkpoint", {"fit": self._fit, "state": state})

    def read(self) -> dict[str, Any] | None:
        """The state that was kept; None where there is none. `Unusable` if it is damaged, or of another fit."""
        if self.path is None or not self.path.exists():
            return None
        try:
            kept = load_tensors(self.path, "checkpoint")
            self._refuse_another(kept["fit"])
        except Unusable as error:
            raise Unusable(f"{error}; delete it to begin anew, or give checkpoint another name") from None
        return kept["state"]

    def _refuse_another(self, fit: dict[str, Any]) -> None:
        differ = [name for name in self._fit | fit if fit.get(name) != self._fit.get(name)]
        if differ:
            named = ", ".join(_difference(name, fit.get(name), self._fit.get(name)) for name in differ)
            raise Unusable(f"{self.path} is the checkpoint of another fit, with another {named}")


def _identity(
    model: Model, train: Dataset, validation: Dataset | None, augment: Callable[[Tensor], Tensor] | None
) -> dict[str, Any]:
    """What a fit starts from, as texts and digests."""
    likelihood = model.likelihood
    return {
        "prior": without_addresses([term.describe(model.size) for term in model.prior.terms]),
        "parameters of each prior": without_addresses([(block.site, list(block.shapes)) for block in model.blocks]),
        "likelihood": without_addresses((type(likelihood).__name__, vars(likelihood))),
        "network": without_addresses((model.net, attributes(model.net))),
        "start of the network's weights": sha256_of(
            dict(model.net.named_parameters()) | dict(model.net.named_buffers())
        ),
        "training data": train.sha256(),
        "validation data": None if validation is None else validation.sha256(),
        "augment": without_addresses(_function(augment)),
    }


def told_apart(function: Any) -> str:
    """A digest of what a function does: the same in every process, and another for another function.

    Memory addresses in its text do not count.
    """
    return hashlib.sha256(without_addresses(_function(function)).encode()).hexdigest()[:16]


def _function(value: Any) -> Any:
    """What identifies a function: its code, and the constants in its defaults, its closure or its attributes.

    Of anything that may change while it is called, such as a list of what it has seen, only the type counts.
    """
    if isinstance(value, partial):
        return _function(value.func), [_function(one) for one in (*value.args, *value.keywords.items())]
    if isinstance(value, tuple):
        return [_function(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    code = getattr(value, "__code__", None)
    if code is None:
        own = vars(value) if callable(value) and hasattr(value, "__dict__") else {}
        return type(value).__qualname__, [(name, _function(one)) for name, one in sorted(own.items())]
    closed = tuple(cell.cell_contents for cell in value.__closure__ or ())
    defaults = (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).items())
    return value.__qualname__, _code(code), _function(defaults), _function(closed)


def _code(code: Any) -> Any:
    """What a compiled function does, wherever it is defined: its operations, and the names and constants in them."""
    if not isinstance(code, CodeType):
        return code
    return code.co_code, code.co_names, [_code(constant) for constant in code.co_consts]


def without_addresses(value: Any) -> str:
    """repr(value) without memory addresses, which differ between processes."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _difference(name: str, there: Any, here: Any) -> str:
    short = all(isinstance(value, int | float | str) and len(str(value)) < 20 for value in (there, here))
    return f"{name} ({there} there, {here} here)" if short else name
