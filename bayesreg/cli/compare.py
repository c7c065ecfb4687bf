"""Which prior? A grid of priors, strengths and seeds over several experiments, and its report."""

from __future__ import annotations

import functools
import itertools
import logging
import shlex
import sys
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import tyro
from experiments.base import Experiment, command, in_words, load, refuse
from experiments.stopping import stoppable

from experiments import options

MOST_SEEDS = 1000


@dataclass(frozen=True)
class Compare:
    """Compare priors: every prior × strength × seed on every experiment, and a report.

    The strength of each prior is chosen on validation, over the same number of candidates for each; test
    metrics are only reported. Seeds are paired: one seed gives every prior the same initial weights and the
    same order of the data. Runs that are done are not done again, so an interrupted comparison goes on.
    """

    experiments: list[str] = field(default_factory=lambda: ["synthetic", "digits", "diabetes"])
    """Which experiments, by name, each with options of its own where it needs them: "beijing --net transformer"."""
    priors: list[str] = field(default_factory=lambda: ["all"])
    """Which priors: all, or names. A text with strengths, as l2:1e-4+entropic:0.1, beside them is taken as it is."""
    guide: str = "delta"
    """delta is MAP; normal is mean-field variational inference."""
    seeds: int = 3
    """How many paired seeds: 0, 1, …"""
    epochs: int | None = None
    """Passes over the training data; None takes each experiment's own."""
    train_size: int | None = None
    """Train on that many examples only, in batches of that many at most; None takes all."""
    workers: int | None = None
    """Runs at a time; None takes one a core."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; None takes a GPU where there is one."""
    data_dir: Path | None = None
    """Where the data files are; else $BAYESREG_DATA, else the user's cache."""
    output: Path = Path("runs/compare")
    """Where the runs go, a directory each."""
    report: Path | None = None
    """Where the report goes, index.html and its pictures; None takes report/ below --output."""

    def texts(self) -> list[str]:
        """The priors of the grid, each with a strength where it has one. ValueError for one that is mistyped."""
        from bayesreg.priors import PRIORS, parse

        wanted = [name for text in self.priors for name in (PRIORS if text == "all" else [text])]
        for text in wanted:
            parse(text, size=1)
        grids = [PRIORS[text].grid if text in PRIORS else (None,) for text in wanted]
        return [t if s is None else f"{t}:{s:g}" for t, grid in zip(wanted, grids, strict=True) for s in grid]

    def runs(self) -> list[Experiment]:
        """Every run of the grid, once, the slowest first so that no worker is left with one at the end."""
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise ValueError(f"--seeds {self.seeds}: at least 1, and at most {MOST_SEEDS}")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"--workers {self.workers}: at least 1, or leave the option out for one a core")
        for option in ("experiments", "priors"):
            if not getattr(self, option):
                raise ValueError(f"--{option} names none: give at least one, or leave the option out")
        texts = sorted(self.texts(), key=lambda text: "smoothness" not in text)
        grid = itertools.product([self._experiment(line, texts) for line in self.experiments], texts, range(self.seeds))
        return list(dict.fromkeys(one.under(text, seed) for one, text, seed in grid))

    def _experiment(self, line: str, texts: list[str]) -> Experiment:
        from bayesreg.priors import split

        try:
            name, *arguments = shlex.split(line) or [""]
        except ValueError as error:  # an unclosed quotation mark
            raise ValueError(f"--experiments {line!r} is no name with options ({error})") from None
        kind = load(name)
        one: Experiment = tyro.cli(kind, args=arguments, prog=f"python -m experiments.{name}")
        for option in options.of_the_grid(kind):
            if option in options.changed(one):
                raise ValueError(
                    f"--experiments {line!r}: --{option} is the same for the whole grid; leave it out there"
                )
        options.refuse_unused(one, " ".join(self.priors), [name for text in texts for name, _ in split(text)])
        names = {field.name for field in fields(self)} & set(options.annotated(kind)) - set(options.of_the_grid(kind))
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.train_size is not None:
            given |= {"batch_size": min(one.batch_size, self.train_size)}
        return replace(one, guide=self.guide, **given)


def refusals(runs: list[Experiment]) -> tuple[dict[Experiment, str], dict[Experiment, str]]:
    """The runs whose prior has no meaning there, and those that fail to be built, each with the reason.

    One run of each experiment and prior is built, so that a mistake shows before the first hour: ValueError or
    OSError for what would stop the same experiment without a prior too. Anything else, as memory that does not
    suffice, costs that experiment and prior alone.
    """
    refused: dict[Experiment, str] = {}
    broken: dict[Experiment, str] = {}
    for _, group in itertools.groupby(runs, key=lambda run: replace(run, seed=0)):
        first, *others = group
        try:
            try:
                first.build()
            except ValueError as error:
                first.under("none").build()
                refused |= dict.fromkeys([first, *others], str(error))
        except (ValueError, OSError):
            raise
        except Exception as error:
            broken |= dict.fromkeys([first, *others], in_words(error))
    return refused, broken


def make_writable(*directories: Path) -> None:
    """Make the directories. ValueError for one that cannot be written, before the first run and not after the last."""
    for directory in directories:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            raise ValueError(f"{directory} cannot be written ({error.strerror}): choose another directory") from None


def named(run: Experiment) -> str:
    """A run in a few words: its experiment, the options of it that are not the default, its prior and seed."""
    own = {name: value for name, value in options.changed(run).items() if name not in options.of_the_grid(type(run))}
    given = [f"--{name.replace('_', '-')} {value}" for name, value in own.items()]
    return " ".join([run.name, *given, run.prior, f"seed {run.seed}"])


def sweep(runs: list[Experiment], output: Path, workers: int | None, failed: list[str]) -> None:
    """Do the runs with a progress bar; adds to `failed` what stopped one. OSError when the disk is full."""
    from tqdm import tqdm

    from bayesreg.files import FULL
    from bayesreg.sweep import sweep as on_workers

    every = 0.1 if sys.stderr.isatty() else 20.0  # seconds; a log wants fewer lines than a terminal
    with closing(on_workers([functools.partial(run.run, root=output) for run in runs], workers)) as outcomes:
        for outcome in (bar := tqdm(outcomes, total=len(runs), unit="run", mininterval=every)):
            run = runs[outcome.number]
            bar.set_postfix_str(named(run), refresh=False)
            if isinstance(outcome.error, OSError) and outcome.error.errno in FULL:
                raise outcome.error
            if outcome.error is not None:
                failed.append(f"{named(run)}: {in_words(outcome.error)}")


def show(compare: Compare, to: Path) -> None:
    """Write the report of all that is in --output, then print its table."""
    from bayesreg import report

    table = report.load(compare.output)
    page = report.write(compare.output, to, table)
    print(report.terminal(table))
    print(page)


def main() -> None:
    """Run the grid, print the table, write the report. Exit status 2 for bad input, 1 where something failed."""
    compare = command(Compare, "experiments.compare")
    logging.basicConfig(level="WARNING", format="%(message)s")
    failed: list[str] = []
    with stoppable():
        try:
            _run(compare, failed)
        except BrokenPipeError:  # nobody reads the table; the report is written
            raise
        except OSError as error:
            failed.append(in_words(error))
        finally:
            for message in failed:
                print(f"failed: {message}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def _run(compare: Compare, failed: list[str]) -> None:
    try:
        runs = compare.runs()
        refused, broken = refusals(runs)
        if len(refused) == len(runs):
            raise ValueError("\n".join(dict.fromkeys(refused.values())))
        to = compare.report or compare.output / "report"
        make_writable(compare.output, to)
        for run, reason in refused.items():
            run.refuse(reason, compare.output)
    except (ValueError, OSError) as error:
        refuse(error)
    for line in dict.fromkeys(f"refused on {run.name}: {reason}" for run, reason in refused.items()):
        print(line, file=sys.stderr)
    for run, reason in broken.items():
        failed.append(f"{named(run)}: {reason}")
        with suppress(Exception):  # its data may be what fails; the line above is printed in any case
            run.refuse(reason, compare.output)
    sweep([run for run in runs if run not in refused | broken], compare.output, compare.workers, failed)
    try:
        show(compare, to)
    except ValueError as error:  # nothing was finished
        failed.append(f"the report: {error}")


if __name__ == "__main__":
    main()
