"""`python -m experiments.compare`: the command `bayesreg compare`, in a checkout, with names of before too."""

from dataclasses import dataclass, field

from bayesreg.cli.command import command, read
from bayesreg.cli.compare import Command, run

PRIORS = ["none", "l1", "l2", "smoothness", "entropic", "ard"]


@dataclass(frozen=True)
class Compare(Command):
    __doc__ = Command.__doc__

    experiments: list[str] = field(default_factory=list)
    """The tasks, as --experiments digits "beijing --net transformer"."""
    priors: list[str] = field(default_factory=list)
    """The methods, with --guide; all stands for the six priors of the paper."""
    guide: str = "delta"
    """delta is MAP; normal is mean-field variational inference."""

    def given(self) -> Command:
        """The same in the names of `bayesreg compare`."""
        names = [name for text in self.priors for name in (PRIORS if text == "all" else [text])]
        own = {name: getattr(self, name) for name in Command.__dataclass_fields__}
        own |= {"tasks": self.experiments} if self.experiments else {}
        own |= {"methods": [f"{name}@{self.guide}" for name in names]} if names else {}
        return Command(**own)


@command
def main() -> None:
    """Run the grid, print the table, write the report."""
    asked = read(Compare, "python -m experiments.compare").given()
    asked.apply(usual="WARNING")
    run(asked)


if __name__ == "__main__":
    main()
