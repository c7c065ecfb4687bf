"""`python -m experiments.lenet`: how many weights of LeNet-300-100 are needed on MNIST.

After Molchanov, Ashukha & Vetrov, Variational dropout sparsifies deep neural networks (2017), table 1: 1.92 % test
error with 68 times fewer weights by sparse variational dropout, 1.64 % with all of them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesreg.cli.command import Verbosity, command, read, refused

if TYPE_CHECKING:
    from bayesreg.posterior import Posterior
    from bayesreg.tasks import Task

HIDDEN = (300, 100)


@dataclass(frozen=True)
class LeNet(Verbosity):
    """Train LeNet-300-100 on the digits of MNIST under each method, or take the runs that are there; write the test
    error, the NLL and how many weights are not 0, a row a method and seed."""

    methods: list[str] = field(default_factory=lambda: ["none", "log_uniform@variational_dropout"])
    """Which: none, a prior with its guide, dropout and the others."""
    seeds: int = 1
    """How many, from 0 on."""
    epochs: int = 40
    """Passes over the training data, of about ten seconds each on one core."""
    batch_size: int = 100
    """Examples a step."""
    lr: float = 3e-3
    """Adam's learning rate at the start, times the guide's own factor; it falls to 0 along a half cosine."""
    train_size: int | None = None
    """Train on that many examples only; None takes all 54,000."""
    data_dir: Path | None = None
    """Where the data files are; else $BAYESREG_DATA, else the user's cache."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; None takes a GPU where there is one."""
    threads: int | None = None
    """Threads of the CPU; None chooses by the work of a batch."""
    output: Path = Path("reports/ard")
    """Where the table goes, lenet.csv."""
    runs: Path = Path("runs")
    """Where the runs are, or go."""

    def task(self) -> "Task":
        """MNIST as classes, under LeNet-300-100."""
        from bayesreg import datasets
        from bayesreg.tasks import Task

        data = datasets.load("mnist", self.data_dir)
        data = data if self.train_size is None else data.take_train(self.train_size)
        settings: dict[str, Any] = {"epochs": self.epochs, "batch_size": self.batch_size, "lr": self.lr}
        return Task(network, data, name="lenet", **settings)


def network() -> Any:
    """784 inputs, 300 and 100 ReLU units, 10 classes: 266,200 weights (LeCun et al., 1998)."""
    from torch import nn

    from bayesreg import nets

    return nets.mlp(28 * 28, 10, hidden=HIDDEN, activation=nn.ReLU)


def weights(posterior: "Posterior") -> dict[str, float]:
    """How many weights there are, how many of them are not 0, and how many times fewer that is; biases apart."""
    own = [name for block in posterior.model.blocks for name in block.shapes]
    tensors = [value for name, value in posterior.parameters().items() if name in own and value.dim() > 1]
    total, left = sum(t.numel() for t in tensors), sum(int(t.count_nonzero()) for t in tensors)
    return {"weights": total, "remain": left, "times fewer": total / max(left, 1)}


def rows(asked: LeNet) -> list[dict[str, Any]]:
    """What each method gives from each seed. ValueError for an unknown method, and where a run diverged."""
    from bayesreg import runs
    from bayesreg.grid import Repeat, Run, Where
    from bayesreg.methods import Method

    methods, task = [Method.parse(text).candidate() for text in asked.methods], asked.task()
    found = []
    for method in methods:
        for seed in range(asked.seeds):
            one = Run(task, method, Repeat(seed), Where(asked.device, asked.threads))
            outcome = one.execute(one.directory(asked.runs), asked.runs / "baselines", progress=not asked.quiet)
            if outcome["status"] != "done":
                raise ValueError(f"{method} from seed {seed}: {outcome['status']}, {outcome.get('message')}")
            built = one.build()
            posterior = runs.load(one.directory(asked.runs), built.model.net)
            scores = posterior.evaluate(built.data.test, progress=False)
            said = {"test error, %": 100 * (1 - scores["accuracy"]), "test nll": scores["nll"]}
            found.append({"method": method.text, "seed": seed, **said, **weights(posterior)})
    return found


@command
def main() -> None:
    """Train, print the table and write it."""
    import pandas as pd

    from bayesreg.files import write_atomically

    asked = read(LeNet, "python -m experiments.lenet")
    with refused():
        table = pd.DataFrame(rows(asked))
    print(table.to_string(index=False, float_format="{:.4g}".format))
    print(write_atomically(asked.output / "lenet.csv", lambda file: table.to_csv(file, index=False)))


if __name__ == "__main__":
    main()
