"""`python -m experiments.guides`: which posterior is worth its cost, beside MAP and beside the draws of NUTS."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesreg.cli.command import Verbosity, command, read, refused

if TYPE_CHECKING:
    import pandas as pd

    from bayesreg.posterior import Posterior
    from bayesreg.study import Study

HERE = Path(__file__).parent
CALIBRATION = {"ece": "ece", "coverage_error": "coverage error"}  # of classes and of numbers
REPEAT = ["task", "seed", "partition", "fold"]


@dataclass(frozen=True)
class Guides(Verbosity):
    """Compare guides under one prior: each guide's test NLL, calibration and seconds of training beside those of MAP,
    with the statistics of a comparison; and on small networks how far its predictions are from those of NUTS."""

    tasks: list[str] = field(default_factory=lambda: [str(HERE.parent / "reports/guides/tasks.py")])
    """Tasks by name, tables or Python files, as of bayesreg compare."""
    guides: list[str] = field(default_factory=lambda: ["normal", "lowrank", "laplace", "swag", "ensemble"])
    """Which beside delta, with options where wanted, as laplace:structure=diagonal."""
    prior: str = "l2"
    """Of all guides; each has its strength chosen for itself."""
    seeds: int = 8
    """How many are reported."""
    nuts: list[str] = field(default_factory=lambda: ["diabetes", "digits"])
    """Tasks of which a small network is set beside NUTS."""
    hidden: int = 10
    """Units in the hidden layer of that network."""
    scale: float = 0.5
    """σ of its prior, θ ~ Normal(0, σ) for all parameters."""
    draws: int = 500
    """Of NUTS for each of four chains, after as many to warm up."""
    fits: int = 3
    """Seeds of each guide beside NUTS."""
    epochs: int | None = None
    """Of these fits; None takes as many as make 4,000 steps."""
    output: Path = Path("reports/guides")
    """Where the tables go, guides.csv and nuts.csv, and the page of the comparison."""
    runs: Path = Path("runs/guides")
    """Where the runs are, or go."""

    def study(self) -> "Study":
        """The comparison, made or taken from its folder; its page is written."""
        from bayesreg.cli.compare import Compare, run
        from bayesreg.study import Study

        methods = [self.prior, *(f"{self.prior}@{guide}" for guide in self.guides)]
        place = {"output": self.runs, "report": self.output}
        if run(Compare(tasks=self.tasks, methods=methods, seeds=self.seeds, threads=1, **place)):  # type: ignore[arg-type]
            raise ValueError(f"a run failed, see {self.runs}; the same command goes on from there")
        return Study.open(self.runs)


def beside_map(study: "Study", prior: str) -> "pd.DataFrame":
    """A row a task and method: test NLL, its difference to MAP with its interval, calibration, and cost over MAP's."""
    import pandas as pd

    keys = ["task", "method"]
    results = study.results.set_index(keys)
    found = study.differences(prior)
    nll = found[found["metric"] == "nll"].set_index(keys)[["difference", "low", "high", "p", "verdict"]]
    calibration = [results[name].rename(said) for name, said in CALIBRATION.items() if name in results]
    return pd.concat([results["nll"], nll, *calibration, cost(study, prior)], axis=1).loc[results.index].reset_index()


def cost(study: "Study", prior: str) -> "pd.Series":
    """Seconds of training, all that a guide does after the last epoch with them, over those of MAP: the geometric mean
    over pairs of a seed and fold."""
    import numpy as np

    from bayesreg import statistics

    runs = statistics.select(study.runs, study.settings["select"])
    seconds = runs.set_index([*REPEAT, "method"])["seconds_training"].unstack("method")
    ratios = np.log(seconds.div(seconds[prior], axis=0)).groupby("task").mean()
    return np.exp(ratios).stack().rename("cost")


def beside_nuts(asked: Guides, name: str) -> "list[dict[str, Any]]":
    """A row a guide: how far the predictions of a small network are from those of NUTS, mean over seeds; and NUTS from
    itself, two halves of its chains, which is as near as can be told."""
    import bayesreg as br
    from bayesreg.tasks import as_task

    task = as_task(name)
    data, likelihood = task.load(), task.likelihood()
    classes = data.classes or 1

    def model(seed: int) -> br.Model:
        import torch

        torch.manual_seed(seed)
        net = br.nets.mlp(data.train.x.shape[1], classes, hidden=[asked.hidden])
        return br.Model(net, br.L2(scale=asked.scale, on="all"), likelihood, size=len(data.train))

    def nuts(seed: int) -> "Posterior":
        """Two chains, from the file where they are there."""
        path = asked.runs / "nuts" / f"{name}_{asked.hidden}_{asked.scale:g}_{asked.draws}_{seed}.pt"
        if path.exists():
            return br.Posterior.load(path, model(seed).net, likelihood=likelihood)
        found = br.nuts(model(seed), data.train, draws=asked.draws, warmup=asked.draws, chains=2, seed=seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        found.save(path)
        return found

    truth, again = nuts(0), nuts(1)
    rows = [{"task": name, "guide": "nuts", **br.distance(truth, again, data.test.x)}]
    for guide in ["delta", *asked.guides]:
        options: dict[str, Any] = {"guide": guide, "epochs": asked.epochs, "progress": False}
        fitted = [br.fit(model(seed), data.train, seed=seed, **options) for seed in range(asked.fits)]
        apart = [br.distance(truth, one, data.test.x) for one in fitted]
        rows.append({"task": name, "guide": guide, **{key: _mean([one[key] for one in apart]) for key in apart[0]}})
    return rows


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@command
def main() -> None:
    """Compare, write the tables and print them."""
    asked = read(Guides, "python -m experiments.guides")
    import pandas as pd

    from bayesreg.files import write_atomically

    with refused():
        tables = {"guides": beside_map(asked.study(), asked.prior)}
        if asked.nuts:
            tables["nuts"] = pd.DataFrame([row for name in asked.nuts for row in beside_nuts(asked, name)])
    for name, table in tables.items():
        write_atomically(asked.output / f"{name}.csv", lambda file, table=table: table.to_csv(file, index=False))  # type: ignore[misc]
        print(table.to_string(index=False, float_format="{:.4g}".format, na_rep=""))
        print(asked.output / f"{name}.csv")


if __name__ == "__main__":
    main()
