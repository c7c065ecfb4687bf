"""The numbers as CSV, in which no cell is a formula."""

import re

import pandas as pd

FORMULA = re.compile(r"[=+\-@\t\r]")  # where a cell begins so, a spreadsheet runs it (OWASP, CSV injection)


def csv(frame: pd.DataFrame) -> bytes:
    """A frame as CSV in UTF-8."""
    texts = {name: frame[name].map(harmless) for name in frame if frame[name].map(type).eq(str).any()}
    return frame.assign(**texts).to_csv(index=False).encode()


def harmless(value: object) -> object:
    """A text that a spreadsheet would run as a formula, behind an apostrophe; anything else as it is."""
    if not isinstance(value, str) or not FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
