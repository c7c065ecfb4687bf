"""How x is made from a table or from arrays: fitted on the training rows alone, and kept for later rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from bayesreg import structure
from bayesreg.structure import X

from .columns import CATEGORY, LEFT_OUT, NUMBER, Column
from .reading import nearest, read, refuse_infinite
from .streamed import to_inputs
from .tensors import parts, to_tensor

if TYPE_CHECKING:
    import pandas as pd


class Inputs(ABC):
    """What makes x [n, ...] from raw rows."""

    @abstractmethod
    def transform(self, rows: Any) -> X:
        """x of these rows."""

    @property
    def columns(self) -> pd.DataFrame:
        """What each column of a table is. ValueError where there is no table."""
        raise ValueError("x was given as an array, whose columns have no kinds: Data.from_table shows those of a table")


def is_table(value: Any) -> bool:
    """Whether it is rows as they were given: a DataFrame, or the path of a file."""
    return hasattr(value, "columns") or isinstance(value, str | PathLike)


class AsGiven(Inputs):
    """x as Dataset takes it, one input or several; the columns of a DataFrame by their names."""

    def __init__(self, x: Any) -> None:
        given = parts(x)
        self.form = structure.form(given)
        self.names = [list(leaf.columns) if hasattr(leaf, "columns") else None for leaf in structure.leaves(given)]

    def transform(self, rows: Any) -> X:
        given = parts(rows)
        if structure.form(given) != self.form:
            raise ValueError(f"x has the inputs {structure.form(given)}, but those of train were {self.form}")
        leaves = zip(self.names, structure.leaves(given), strict=True)
        return to_inputs(structure.build(self.form, [_columns(names, leaf) for names, leaf in leaves]))

    def __repr__(self) -> str:
        return "as given"


class Scaled(AsGiven):
    """x minus the mean of the training rows, divided by their standard deviation, component by component.

    Of several inputs, only those in floating point; the others are as given.
    """

    def __init__(self, x: Any, train: np.ndarray) -> None:
        from sklearn.preprocessing import StandardScaler

        super().__init__(x)
        given = structure.named(super().transform(x))
        scaled = {name: leaf for name, leaf in given.items() if self.form is None or leaf.is_floating_point()}
        if not scaled:
            raise ValueError(f"scale=True standardises numbers in floating point, and none of {list(given)} is in it")
        if other := [type(leaf).__name__ for leaf in scaled.values() if not isinstance(leaf, Tensor)]:
            raise ValueError(
                f"scale=True standardises arrays and tensors in memory, not {other[0]}: standardise it before"
            )
        self.shapes = {name: leaf.shape[1:] for name, leaf in scaled.items()}
        self.scalers = {name: StandardScaler().fit(_flat(leaf[train])) for name, leaf in scaled.items()}

    def transform(self, rows: Any) -> X:
        leaves = structure.named(super().transform(rows))
        return structure.build(self.form, [self._scaled(name, leaf) for name, leaf in leaves.items()])

    def _scaled(self, name: str, leaf: Any) -> Any:
        if name not in self.scalers:
            return leaf
        shape = self.shapes[name]
        if leaf.shape[1:] != shape:
            raise ValueError(f"{name} has rows of shape {list(leaf.shape[1:])}, but those of train have {list(shape)}")
        return to_tensor(name, self.scalers[name].transform(_flat(leaf))).reshape(leaf.shape)

    def __repr__(self) -> str:
        return "as given, standardised"


class Encoded(Inputs):
    """Numbers imputed and standardised, categories one-hot: scikit-learn's ColumnTransformer on the judged columns."""

    def __init__(self, table: pd.DataFrame, train: np.ndarray, judged: dict[str, Column]) -> None:
        self.judged = judged
        prepared = self._prepared(table)  # all rows, so that an error names the row of the table
        self.transformer = _transformer(self._named(NUMBER), self._named(CATEGORY)).fit(prepared.iloc[train])

    def transform(self, rows: Any) -> Tensor:
        table = read(rows)
        _refuse_missing([*self._named(NUMBER), *self._named(CATEGORY)], table)
        return to_tensor("x", self.transformer.transform(self._prepared(table)))

    @property
    def names(self) -> list[str]:
        """The names of the components of x: "age", "age is missing", "sex = female"."""
        numbers = self._named(NUMBER)
        missing = [f"{name} is missing" for name in numbers if self._width(name) > 1]
        values = zip(self._named(CATEGORY), self._categories(), strict=True)
        return [*numbers, *missing, *(f"{name} = {value}" for name, found in values for value in found)]

    @property
    def columns(self) -> pd.DataFrame:
        """One row per column of the table: its kind, the number of components of x that it makes, and why."""
        import pandas as pd

        rows = [(column.kind, self._width(name), column.why) for name, column in self.judged.items()]
        return pd.DataFrame(rows, index=pd.Index(list(self.judged), name="column"), columns=["kind", "inputs", "why"])

    def __repr__(self) -> str:
        left = ", ".join(self._named(LEFT_OUT))
        numbers = len(self._named(NUMBER))
        made = f"{numbers} column{'' if numbers == 1 else 's'} of numbers, {len(self._named(CATEGORY))} of categories"
        return made + (f"; left out: {left}" if left else "")

    def _named(self, kind: str) -> list[str]:
        return [name for name, column in self.judged.items() if column.kind == kind]

    def _width(self, name: str) -> int:
        kind = self.judged[name].kind
        if kind == LEFT_OUT:
            return 0
        place = self._named(kind).index(name)
        if kind == CATEGORY:
            return len(self._categories()[place])
        return 1 + int(place in self.transformer.named_transformers_[NUMBER][0].indicator_.features_)

    def _categories(self) -> list[np.ndarray]:
        return self.transformer.named_transformers_[CATEGORY].categories_ if self._named(CATEGORY) else []

    def _prepared(self, table: pd.DataFrame) -> pd.DataFrame:
        """Numbers as float64 and categories as text, NaN where a value is missing."""
        import pandas as pd

        numbers = {name: _numbers(name, table[name]) for name in self._named(NUMBER)}
        categories = {name: _words(table[name]) for name in self._named(CATEGORY)}
        return pd.DataFrame(numbers | categories, index=table.index)


def _transformer(numbers: list[str], categories: list[str]) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    parts = [(NUMBER, make_pipeline(imputer, StandardScaler()), numbers), (CATEGORY, encoder, categories)]
    made = ColumnTransformer([part for part in parts if part[2]], sparse_threshold=0)
    return made.set_output(transform="default")  # arrays, whatever scikit-learn is set to


def _columns(names: list[str] | None, leaf: Any) -> Any:
    """The columns of a DataFrame that train had; anything else as it is."""
    if names is None or not hasattr(leaf, "columns"):
        return leaf
    _refuse_missing(names, leaf)
    return leaf[names]


def _refuse_missing(needed: list[str], table: pd.DataFrame) -> None:
    if missing := [name for name in needed if name not in table]:
        raise ValueError(f"the table has no column {missing[0]!r}, from which x is made: {nearest(missing[0], table)}")


def _numbers(name: str, column: pd.Series) -> pd.Series:
    """float64. ValueError, with the row, where there is something else."""
    import pandas as pd

    if pd.api.types.is_any_real_numeric_dtype(column.dtype):
        values = pd.Series(column.to_numpy(float, na_value=np.nan), column.index)
    else:  # as objects, since pandas would turn dates into numbers
        values = pd.to_numeric(column.astype(object).where(column.notna(), None), errors="coerce").astype(float)
    refuse_infinite(name, values)
    bad = (values.isna() & column.notna()).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"column {name!r} is numbers, but row {row} holds {column.iloc[row]!r}: correct it, leave it empty if it "
            f"is missing, or say what the column is, kinds={{{name!r}: 'category'}}"
        )
    return values


def _words(column: pd.Series) -> pd.Series:
    """Text, the same for 1, 1.0 and "1", since a column of whole numbers becomes floats where one is missing."""
    return column.astype(object).map(_word, na_action="ignore").where(column.notna(), np.nan).astype(object)


def _word(value: Any) -> str:
    whole = isinstance(value, Real) and not isinstance(value, bool | np.bool_) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


def _flat(x: Any) -> np.ndarray:
    return np.asarray(x, float).reshape(len(x), -1)
