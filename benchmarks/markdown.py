"""Tables in Markdown."""

from __future__ import annotations

from typing import Any

import pandas as pd


def table(frame: pd.DataFrame) -> str:
    """A table of four digits, nothing for NaN."""

    def text(value: Any) -> str:
        if isinstance(value, float):
            return "" if value != value else f"{value:.4g}"
        return str(value)

    rows = [[text(value) for value in row] for row in frame.itertuples(index=False)]
    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
