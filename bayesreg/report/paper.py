"""What the paper says, beside our own figures: Beyond L1 & L2, Kretsinger-Walters & Juliani, 2025."""

from bayesreg.report.tables import NOTHING, Cell, Table

CITED = "Kretsinger-Walters & Juliani, 2025"
AVERAGES = {"entropic": 0.722, "none": 0.609, "smoothness": 0.601}  # figure 1: its average over data sets, by prior


def beside(scores: Table) -> Table:
    """The table of scores with the paper's averages below it; as it is where no method here has one."""
    methods = [name for name in scores.header if name not in ("", "metric", "baseline")]
    if len(AVERAGES.keys() & set(methods)) < 2:
        return scores
    cells = [Cell(f"{AVERAGES[name]:.3f}" if name in AVERAGES else NOTHING) for name in methods]
    empty = [Cell("")] * (len(scores.header) - len(methods) - 2)
    return Table(scores.header, [*scores.rows, [Cell("the paper"), Cell("average"), *empty, *cells]])
