"""`python -m experiments.compare`: the command `bayesreg compare`, in a checkout, with names of before too."""

import sys
from dataclasses import dataclass, field, fields

from bayesreg.cli import compare
from bayesreg.cli.command import command, read

PRIORS = ["none", "l1", "l2", "smoothness", "entropic", "ard"]


@dataclass(frozen=True)
class Compare(compare.Compare):
    __doc__ = compare.Compare.__doc__

    experiments: list[str] = field(default_factory=list)
    """The tasks, as --experiments digits "beijing --net transformer"."""
    priors: list[str] = field(default_factory=list)
    """The methods, with --guide; all stands for the six priors of the paper."""
    guide: str = "delta"
    """delta is MAP; normal is mean-field variational inference."""

    def given(self) -> compare.Compare:
        """The same in the names of `bayesreg compare`."""
        own = {field.name: getattr(self, field.name) for field in fields(compare.Compare)}
        own |= {"tasks": self.experiments} if self.experiments else {}
        priors = self.priors or (["all"] if self.guide != "delta" else [])
        names = [name for text in priors for name in (PRIORS if text == "all" else [text])]
        own |= {"methods": [name if "@" in name else f"{name}@{self.guide}" for name in names]} if names else {}
        return compare.Compare(**own)


@command
def main() -> None:
    """Run the grid, print the table, write the report."""
    sys.exit(compare.run(read(Compare, "python -m experiments.compare").given()))


if __name__ == "__main__":
    main()
