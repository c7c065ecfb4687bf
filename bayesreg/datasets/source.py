"""All rows of a data set before the split, so that they can be split again, and everything be refitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .base import Data
from .partition import Rows, fold, partition

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Rows", "Source"]


@dataclass(frozen=True, eq=False)
class Source:
    """The rows 0 .. size − 1 and how a Data is made from them.

    make     the rows of each part → a Data, with everything fitted on those of train alone
    classes  [size], kept in proportion; None for regression
    group    [size], whose rows stay together
    time     [size], in whose order the parts are
    changes  what was done to the Data since, such as Data.take_train, to be done to each fold
    """

    make: Callable[[Rows], Data]
    size: int
    classes: np.ndarray | None = None
    group: pd.Series | None = None
    time: pd.Series | None = None
    changes: tuple[Callable[[Data], Data], ...] = ()

    def split(self, seed: int = 0) -> Data:
        """60 / 20 / 20, see `partition`."""
        return self._made(partition(self.size, classes=self.classes, group=self.group, time=self.time, seed=seed))

    def fold(self, number: int, of: int, seed: int) -> Data:
        """See Data.fold."""
        if self.time is not None:
            raise ValueError(
                f"the rows follow one another, time={self.time.name!r}: most folds would be tested on the past of what "
                "they train on. Train and test on the one split, folds=1"
            )
        return self._made(fold(self.size, number, of, classes=self.classes, group=self.group, seed=seed))

    def then(self, change: Callable[[Data], Data]) -> Source:
        """The same, with one more change."""
        return replace(self, changes=(*self.changes, change))

    def _made(self, rows: Rows) -> Data:
        data = replace(self.make(rows), rows=rows, source=replace(self, changes=()))
        for change in self.changes:
            data = change(data)
        return data
