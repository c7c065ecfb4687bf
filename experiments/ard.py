"""`python -m experiments.ard`: which weights and inputs ARD finds relevant, drawn with ArviZ."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesreg.cli.command import Verbosity, command, read, refused

if TYPE_CHECKING:
    import pandas as pd

    from bayesreg.posterior import Posterior

MOST = 40  # inputs in the picture
DEFINITION = "γ = Σ_j (1 − E[α_j] s_j²), s_j² the posterior variance of weight j: weights that the data determine"


@dataclass(frozen=True)
class Ard(Verbosity):
    """Train a task under ARD from several seeds, or take the runs that are there; draw the precisions α by layer, the
    histogram of log α and α by input; write the effective number of weights, and the agreement between the seeds."""

    task: str = "diabetes"
    """With options of its own where wanted, as --task "housing --epochs 100"."""
    method: str = "ard:sparse@normal"
    """ard with a guide and other terms, as ard or ard+early_stopping@normal."""
    seeds: int = 5
    """How many, from 0 on."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; None takes a GPU where there is one."""
    threads: int | None = None
    """Threads of the CPU; None takes one for a small network and all for a large one."""
    output: Path = Path("reports/ard")
    """Where the pictures and tables go."""
    runs: Path = Path("runs")
    """Where the runs are, or go."""

    def posteriors(self) -> "list[Posterior]":
        """Of every seed. ValueError where a seed diverged."""
        from bayesreg import runs
        from bayesreg.grid import Repeat, Run, Where
        from bayesreg.methods import Method
        from bayesreg.tasks import as_task

        task, method = as_task(self.task), Method.parse(self.method).candidate()
        if "ard" not in [term.kind.name for term in method.terms]:
            raise ValueError(f"--method {self.method} has no precision of each weight: take ard, as ard:sparse@normal")
        if self.seeds < 1:
            raise ValueError(f"--seeds {self.seeds}: at least 1")
        found = []
        for seed in range(self.seeds):
            one = Run(task, method, Repeat(seed), Where(self.device, self.threads))
            outcome = one.execute(one.directory(self.runs), self.runs / "baselines", progress=not self.quiet)
            if outcome["status"] != "done":
                raise ValueError(f"seed {seed}: {outcome['status']}, {outcome.get('message')}")
            found.append(runs.load(one.directory(self.runs), one.build().model.net))
        return found


def draw(posteriors: "list[Posterior]", output: Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Write the pictures and the tables: by seed the effective number of weights, and the agreement."""
    import numpy as np
    import pandas as pd

    from bayesreg import diagnostics, relevance
    from bayesreg.files import write_atomically

    diagnostics.draw(posteriors, output)
    alpha = np.stack([relevance.by_input(posterior) for posterior in posteriors])
    shown = np.sort(np.argsort(np.median(alpha, 0), kind="stable")[:MOST])
    agree = relevance.agreement(posteriors)
    rest = f"{len(posteriors)} seeds, a row each" + f"; the {MOST} least of {alpha.shape[1]}" * (alpha.shape[1] > MOST)
    names = [f"input {number}" for number in shown]
    said = {"what": "α by input: that of its most relevant weight", "how": rest, "label": "log₁₀ α"}
    diagnostics.draw_rows(np.log10(alpha[:, None, shown]), names, output / "inputs.png", **said)
    total = sum(value.numel() for name, value in posteriors[0].parameters().items() if name.startswith("precision."))
    rows = [{"seed": s, "weights": total, "effective": relevance.effective(p)} for s, p in enumerate(posteriors)]
    weights = pd.DataFrame(rows).set_index("seed")
    for name, table in {"effective": weights, "agreement": agree.rename_axis("seed")}.items():
        write_atomically(output / f"{name}.csv", lambda file, table=table: table.to_csv(file))  # type: ignore[misc]
    return weights, agree


def in_words(weights: "pd.DataFrame", agree: "pd.DataFrame") -> str:
    """The numbers, with the definition of what they are."""
    import numpy as np

    pairs: Any = agree.to_numpy()[np.triu_indices(len(agree), 1)]
    ranks = f"mean {pairs.mean():.2f}, least {pairs.min():.2f}" if len(pairs) else "it takes two seeds"
    return (
        f"{weights.to_string(float_format='{:.1f}'.format)}\n{DEFINITION} (MacKay, 1992)\n"
        f"agreement of the seeds on the inputs, Spearman's rank correlation of α: {ranks}"
    )


@command
def main() -> None:
    """Train, draw, and print the numbers."""
    asked = read(Ard, "python -m experiments.ard")
    with refused():
        print(in_words(*draw(asked.posteriors(), asked.output)))
    print(asked.output)


if __name__ == "__main__":
    main()
