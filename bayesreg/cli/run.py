"""One run of a task under one method: `bayesreg run cifar --prior entropic --guide delta`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from bayesreg.cli import summary
from bayesreg.cli.command import Verbosity, command, read, refused
from bayesreg.tasks import TASKS, Registered, kind, options

if TYPE_CHECKING:
    from bayesreg.methods import Method
    from bayesreg.methods.term import Term


@dataclass(frozen=True)
class Ard:
    """Hyperparameters of the ARD prior, α ~ Gamma(a, b)."""

    a: float = 1.0
    """Shape a of the Gamma; above 0.5 under MAP."""
    b: float = 1.0
    """Rate b of the Gamma."""


@dataclass(frozen=True)
class Smoothness:
    """How the smoothness prior is estimated in training, without bias."""

    fraction: float | None = None
    """The share of each batch from which it is computed; None: a sixteenth, but at least 8 examples."""
    every: int = 4
    """It is computed on one step in so many, and weighted by as much."""
    coordinates: int | None = None
    """Along how many coordinates of each example, drawn at random; None: all if there are at most 32, else one."""


HELP_PRIOR = (
    "none, l1, l2, smoothness, entropic, ard, or a technique such as dropout. A strength per datum follows a colon "
    "(l2:1e-4; ard:sparse prunes under the guide normal), a plus sign adds (l2:1e-4+entropic:0.1, l2+early_stopping)."
)


HELP_GUIDE = (
    "How the posterior is inferred: delta is MAP; normal is mean-field variational inference, lowrank with "
    "correlations; laplace, swag and ensemble are made from MAP. Options follow a colon, as in ensemble:members=10."
)


@dataclass(frozen=True)
class Settings:
    """What makes up a run besides its task."""

    prior: Annotated[str, tyro.conf.arg(help=HELP_PRIOR)] = "none"
    guide: Annotated[str, tyro.conf.arg(help=HELP_GUIDE)] = "delta"
    strength: float | None = None
    """The strength of --prior per datum, as in weight decay: loss = mean NLL + strength × penalty."""
    ard: Ard = field(default_factory=Ard)
    smoothness: Smoothness = field(default_factory=Smoothness)
    seed: int = 0
    """The seed of the initial weights, the order of the data and the guide's draws."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; None: a GPU where there is one."""
    threads: int | None = None
    """CPU threads; None: one for a small network, all for a large one."""
    compile: Literal["never", "auto", "always"] = "auto"
    """Compile the training step with torch.compile; auto: where that pays for itself."""
    output: Path | None = None
    """The run's own directory; None: one below runs/, named after its options."""
    diagnostics: bool = False
    """Plot the learned precisions α by layer (without ARD, the weights) into the run's folder diagnostics/."""

    def method(self, size: int) -> Method:
        """The method, for N = size data. ValueError for options that contradict each other, or have no effect."""
        from bayesreg.methods import Method

        method = Method.parse(self.prior if "@" in self.prior else f"{self.prior}@{self.guide}").candidate()
        if "@" in self.prior and self.guide != Settings.guide:
            raise ValueError(f"--guide {self.guide} with --prior {self.prior}: name the guide in one place only")
        if self.strength is not None:
            method = self._at_strength(method)
        own = {name: options.changed(value) for name, value in self._of_priors().items()}
        given = {name: changed for name, changed in own.items() if changed}
        for name, changed in given.items():
            if name not in [term.kind.name for term in method.terms]:
                option, value = next(iter(changed.items()))
                raise ValueError(
                    f"--{name}.{option} {value} with --prior {self.prior} has no effect: leave it out, or take "
                    f"--prior {name}"
                )
        terms = [_with(term, size, given.get(term.kind.name, {})) for term in method.terms]
        return Method(*terms, guide=method.guide)

    def _at_strength(self, method: Method) -> Method:
        from bayesreg.methods import Method

        terms, written = method.terms, ":" in self.prior
        if len(terms) != 1 or written:
            raise ValueError(
                f"--strength {self.strength} with --prior {self.prior}: give each prior its strength in one place, "
                "as in --prior l2:1e-4+entropic:0.1, or a single prior and --strength"
            )
        return Method.parse(f"{terms[0].kind.name}:{self.strength!r}@{method.guide}").candidate()

    def _of_priors(self) -> dict[str, Any]:
        """The options that belong to one prior alone, by its name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if is_dataclass(value)}


def _with(term: Term, size: int, options: dict[str, Any]) -> Any:
    """The term with these options of its prior, where there are any."""
    if not options:
        return term
    return replace(term.given, **options) if term.given else term.kind.from_strength(term.strength, size, **options)


def options_of(task: type[Registered]) -> type[Any]:
    """The options of a run of a task: the task's own and `Settings`, side by side."""
    flat = tyro.conf.arg(name="")
    parts: list[tuple[str, Any]] = [("task", task), ("settings", Settings), ("verbosity", Verbosity)]
    typed: list[Any] = [(name, Annotated[part, flat], field(default_factory=part)) for name, part in parts]
    return make_dataclass(f"Run{task.__name__}", typed, frozen=True, namespace={"__doc__": task.__doc__})


def main() -> None:
    """bayesreg run TASK ..."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(
            f"usage: bayesreg run TASK ...\n\nTasks: {', '.join(TASKS)}.\nbayesreg run TASK --help lists their options."
        )
        return
    sys.argv = [f"{sys.argv[0]} {name}", *arguments]
    run(name, sys.argv[0])


@command
def run(name: str, prog: str) -> None:
    """Run one task from the command line.

    Exit status 2 for bad input, 1 for a run that diverged or could not read or write its files (on a full disk, say),
    130 and 143 for one that was stopped.
    """
    with refused():
        task_kind = kind(name)
    asked = read(options_of(task_kind), prog, usual="INFO")
    from bayesreg import runs
    from bayesreg.comparison.folder import in_words
    from bayesreg.grid import Repeat, Run, Where, data_of

    task, settings = asked.task, asked.settings
    repeat, where = Repeat(settings.seed), Where(settings.device, settings.threads, settings.compile)
    with refused():
        size = len(data_of(task, repeat).train)
        one = Run(task, settings.method(size), repeat, where)
        one.check()
        directory = settings.output or one.directory("runs")
        runs.prepare(directory, one.config)
    for term in [] if asked.verbosity.quiet else one.method.prior(size).terms:
        print(summary.sentence(term.describe(size)))
    shared = None if settings.output else Path("runs") / "baselines"
    try:
        with refused((runs.Claimed,)):
            outcome = one.execute(directory, shared, progress=True, wait=False, draw=settings.diagnostics)
    except OSError as error:
        print(f"stopped: {in_words(error)}", file=sys.stderr)
        sys.exit(1)
    if outcome["status"] == "diverged":
        print(f"diverged: {outcome['message']}\n{outcome['directory']}", file=sys.stderr)
        sys.exit(1)
    print(summary.metrics(outcome))
