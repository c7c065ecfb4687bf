"""The table that ends a comparison, for the terminal."""

import pandas as pd

from bayesreg import statistics
from bayesreg.report.baselines import results as read_results
from bayesreg.report.phrases import refusals, unconverged
from bayesreg.report.tables import DAGGER, Cell, scores, seeds


def terminal(runs: pd.DataFrame) -> str:
    """Test scores, the best in each row with a '*', with a '†' where it does not beat the baseline."""
    results = read_results(runs)
    table = scores(results, joint="±")
    signs = max(len(_signs(cell)) for row in table.rows for cell in row)
    rows = [[name + " " * signs for name in table.header]]
    rows += [[cell.text.split("\n")[0] + _signs(cell).ljust(signs) for cell in row] for row in table.rows]
    metrics = sorted(set(runs["metric"]))
    if len(metrics) == 1:  # then the line below the table names it
        rows = [[row[0], *row[2:]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    header, *body, average = [_line(row, widths) for row in rows]
    rule = "─" * (sum(widths) + len(widths) - 1)
    how = f"mean±sd over {seeds(results)}, strength chosen on validation. * best of its row."
    notes = [
        f"Test {' or '.join(metrics)}, {how}",
        "Average: scores scaled by row, the best method 1, the worst 0.",
        *_baselines(results),
        *(f"Refused: {line}" for line in refusals(results)),
        *(f"Not known to have converged: {line}" for line in unconverged(statistics.select(runs))),
    ]
    return "\n".join([header, rule, *body, rule, average, *notes])


def _signs(cell: Cell) -> str:
    return DAGGER * cell.below_baseline + "*" * cell.marked or " "


def _baselines(results: pd.DataFrame) -> list[str]:
    """Which baseline each task has."""
    known = results.dropna(subset="baseline").drop_duplicates("task")
    named = [f"{name} on {', '.join(group['task'])}" for name, group in known.groupby("baseline")]
    return [f"Baseline: {'; '.join(named)}. {DAGGER} does not beat it."] if named else []


def _line(cells: list[str], widths: list[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return " ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]).rstrip()
