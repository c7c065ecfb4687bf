"""What the paper says, beside our own figures: Beyond L1 & L2, Kretsinger-Walters & Juliani, 2025."""

from collections.abc import Iterable

from bayesreg.report.tables import NOTHING, Cell, Table

DATASETS = {"housing", "synthetic", "cifar10", "cifar100", "mnist", "flowers", "imdb", "beijing"}
CITED = "Kretsinger-Walters & Juliani, 2025"
AVERAGES = {"entropic": 0.722, "none": 0.609, "smoothness": 0.601}  # figure 1: its average over data sets, by prior
SECONDS = {"l1": 1.71, "l2": 1.80, "entropic": 1.06, "ard": 2.00}  # table 1: of an epoch, over those without a prior


def beside(scores: Table) -> Table:
    """The table of scores with the paper's averages below it; as it is where no method here has one."""
    methods = [name for name in scores.header if name not in ("", "metric", "baseline")]
    if len(AVERAGES.keys() & set(methods)) < 2:
        return scores
    cells = [Cell(f"{AVERAGES[name]:.3f}" if name in AVERAGES else NOTHING) for name in methods]
    empty = [Cell("")] * (len(scores.header) - len(methods) - 2)
    return Table(scores.header, [*scores.rows, [Cell("the paper"), Cell("average"), *empty, *cells]])


def table_1(methods: Iterable[str]) -> str | None:
    """What stands below the seconds, of the methods that the paper has too."""
    ratios = [f"{name} {SECONDS[name]:.2f}" for name in SECONDS if name in set(methods)]
    if not ratios:
        return None
    return f"In the paper ({CITED}, table 1), over the seconds without a prior: {', '.join(ratios)}."


def figure_3(methods: Iterable[str]) -> str | None:
    """What stands below the weights where ARD was fitted by more than one guide."""
    ours = [method for method in ("ard", "ard@normal") if method in set(methods)]
    if len(ours) < 2:
        return None
    return (
        f"The paper ({CITED}, figure 3) sets ARD under MAP beside ARD under mean field and sparse variational dropout. "
        f"Of these, {' and '.join(ours)} are in the histograms above. Its numbers are not stated here."
    )


def figure_4(metrics: Iterable[str]) -> str | None:
    """What stands below the scores where a task is judged by macro F1."""
    if "macro_f1" not in set(metrics):
        return None
    return (
        "Macro F1 is the mean of F1 over the classes, in which a rare class counts as much as a frequent one. "
        f"The paper ({CITED}, figure 4) shows it by prior on CIFAR-100 with unequal classes. "
        "Its numbers are not stated here."
    )
