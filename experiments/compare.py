"""`python -m experiments.compare`: the command `bayesreg compare`, in a checkout, with the earlier names too."""

import sys
from dataclasses import dataclass, fields

from bayesreg.cli import compare
from bayesreg.cli.command import command, read

PRIORS = ["none", "l1", "l2", "smoothness", "entropic", "ard"]


@dataclass(frozen=True)
class Compare(compare.Compare):
    __doc__ = compare.Compare.__doc__

    experiments: list[str] | None = None
    """The tasks, as --experiments digits "beijing --net transformer"."""
    priors: list[str] | None = None
    """The methods, each with --guide; all stands for the six priors of the paper."""
    guide: str = "delta"
    """delta is MAP, normal is mean-field variational inference; any other guide works too."""

    def given(self) -> compare.Compare:
        """The same options by their names in `bayesreg compare`."""
        own = {field.name: getattr(self, field.name) for field in fields(compare.Compare)}
        own |= {} if self.experiments is None else {"tasks": self.experiments}
        priors = ["all"] if self.priors is None and self.guide != Compare.guide else self.priors
        if priors is not None:
            names = [name for text in priors for name in (PRIORS if text == "all" else [text])]
            own["methods"] = [name if "@" in name else f"{name}@{self.guide}" for name in names]
        return compare.Compare(**own)


@command
def main() -> None:
    """Run the grid, print the table, write the report."""
    sys.exit(compare.run(read(Compare, "python -m experiments.compare").given()))


if __name__ == "__main__":
    main()
