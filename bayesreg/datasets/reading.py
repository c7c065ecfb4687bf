"""A table of the user's own, read whole: a DataFrame, or a CSV or Parquet file. Anything else is refused."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

COMPRESSED = (".gz", ".bz2", ".zip", ".xz")
TEXT, PARQUET = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
SEPARATORS = ",;\t|"
BROKEN = (
    ValueError,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)  # those of pandas are ValueErrors


def read(source: Any) -> pd.DataFrame:
    """The rows of a table, numbered from 0, with distinct column names as text. The index is not read.

    source: a DataFrame, which stays as it is, or the path of a .csv (.tsv, .txt; separated by comma, semicolon, tab or
    bar; names in the first line), compressed or not (.gz, .bz2, .zip, .xz), or of a .parquet, which needs pyarrow.

    Raises FileNotFoundError without such a file, TypeError for what is neither, ValueError for a file that is not a
    table, a table without rows, and names that come twice.
    """
    import pandas as pd

    if isinstance(source, str | PathLike):
        table = _read_file(Path(source))
    elif isinstance(source, pd.DataFrame):
        table = source
    else:
        kind = type(source).__name__
        raise TypeError(f"a table is given as a {kind}: give a DataFrame or the path of a CSV{_hint(source)}")
    table = table.set_axis([str(name) for name in table.columns], axis=1).reset_index(drop=True)
    _refuse_twice("the table", list(table.columns))
    if not len(table):
        raise ValueError(f"the table has no rows, only the columns {', '.join(table)}: give one with data")
    arrow = {name: object for name, dtype in table.dtypes.items() if isinstance(dtype, pd.ArrowDtype)}
    return table.astype(arrow).infer_objects() if arrow else table  # Arrow's types lack arithmetic that we need


def nearest(name: str, names: Any) -> str:
    """What may have been meant, and what there is: "did you mean 'class'? There are 'class', 'age'"."""
    names = [str(each) for each in names]
    lowered = {each.strip().lower(): each for each in reversed(names)}
    near = get_close_matches(name.strip().lower(), lowered, n=1)
    hint = f"did you mean {lowered[near[0]]!r}? " if near else ""
    shown = ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"{hint}There are {shown}"


def refuse_infinite(name: str, column: pd.Series) -> None:
    """ValueError, with the row, where a column of floats holds an infinity."""
    if column.dtype.kind == "f" and (bad := np.isinf(column.to_numpy(float, na_value=np.nan))).any():
        row = int(bad.argmax())
        raise ValueError(
            f"column {name!r}, row {row}, is {column.iloc[row]} ({int(bad.sum())} such values): correct it, or make it "
            "missing, table.replace([numpy.inf, -numpy.inf], numpy.nan)"
        )


def _hint(source: Any) -> str:
    """How to make it a DataFrame, or where it belongs."""
    hints = {"iloc": "; for one row, table.iloc[[0]]", "to_pandas": ", as in table.to_pandas()"}
    hints["__array__"] = "; arrays and tensors go into Data.split(x, y)"
    return next((hint for attribute, hint in hints.items() if hasattr(source, attribute)), "")


def _read_file(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}: give the path of a CSV or Parquet file")
    kind = path.suffix.lower()
    if kind not in TEXT + PARQUET + COMPRESSED or not path.is_file():
        raise ValueError(
            f"{path} is not a .csv, .tsv, .txt or .parquet, nor one of these as .gz, .bz2, .zip or .xz: read it with "
            "pandas, as pandas.read_excel does, and give the DataFrame"
        )
    try:
        return _read_parquet(path) if kind in PARQUET else _read_csv(path)
    except ImportError as error:
        raise ValueError(f"{path} needs pyarrow to be read: pip install pyarrow, or save the table as CSV") from error
    except BROKEN as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be read as a table: {said}. Write it as CSV in UTF-8") from error


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_parquet(path)
    return table.reset_index(level=[name for name in table.index.names if name is not None])  # columns of the file


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    names = list(pd.read_csv(path, nrows=0).columns)  # separated by commas
    separator = "," if len(names) > 1 else max(SEPARATORS, key=names[0].count)
    options: dict[str, Any] = {"sep": "\t" if ".tsv" in path.suffixes else separator}
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, **options).iloc[0]
    _refuse_twice("it", list(header.dropna()))  # pandas would call the second one name.1
    table = pd.read_csv(path, low_memory=False, **options)
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(f"its rows have more fields than its first line has names, {len(table.columns)}")
    return table


def _refuse_twice(where: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{where} has {names.count(twice[0])} columns called {twice[0]!r}: rename or drop all but one of them"
        )
