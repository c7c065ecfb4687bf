"""What every experiment is: a data set, a network, a likelihood, and the options of the command line.

Nothing heavy is imported before the options are read, so that --help answers at once.
"""

from __future__ import annotations

import importlib
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, NoReturn, Self

import tyro
from experiments.options import CANDIDATE, GRID, REPLICATE, TASK, WHERE, Ard, Smoothness
from experiments.stopping import stoppable

from experiments import EXPERIMENTS, options, summary

if TYPE_CHECKING:
    from torch import nn

    from bayesreg.datasets import Data
    from bayesreg.likelihoods import Likelihood
    from bayesreg.model import Model
    from bayesreg.priors import Prior


class Prepared(NamedTuple):
    """Everything a run needs, checked."""

    config: dict[str, Any]
    model: Model
    data: Data
    options: dict[str, Any]


@dataclass(frozen=True)
class Experiment(ABC):
    """One run: train under a prior, judge on validation and test, record."""

    name: ClassVar[str]
    net: ClassVar[str]
    metric: ClassVar[str]

    prior: Annotated[str, CANDIDATE, GRID] = "none"
    """none, l1, l2, smoothness, entropic or ard; with a strength per datum, l2:1e-4; or a sum, l2:1e-4+entropic:0.1."""
    guide: Annotated[str, TASK, GRID] = "delta"
    """delta is MAP; normal is mean-field variational inference."""
    strength: Annotated[float | None, CANDIDATE, GRID] = None
    """The strength of --prior per datum, as in weight decay: loss = mean NLL + strength × penalty."""
    ard: Annotated[Ard, CANDIDATE] = field(default_factory=Ard)
    smoothness: Annotated[Smoothness, CANDIDATE] = field(default_factory=Smoothness)
    seed: Annotated[int, REPLICATE, GRID] = 0
    """Of the initial weights, the order of the data and the guide's draws."""
    epochs: int = 30
    """Passes over the training data."""
    batch_size: int = 128
    """Examples a step."""
    lr: float = 1e-3
    """Adam's learning rate at the start; it falls to 0 along a half cosine."""
    train_size: int | None = None
    """Train on that many examples only, and validate on as many at most; None takes all. Test stays whole."""
    device: Annotated[str | None, WHERE] = None
    """cpu, cuda, cuda:1, …; None takes a GPU where there is one."""
    threads: Annotated[int | None, WHERE] = None
    """Threads of the CPU; None takes one for a small network and all for a large one."""
    compile: Annotated[Literal["never", "auto", "always"], WHERE] = "auto"
    """Compile the step with torch.compile; auto does where it pays for itself."""
    bfloat16: bool = False
    """Compute the network alone in bfloat16 while training; densities and parameters stay in float32."""
    data_dir: Annotated[Path | None, WHERE] = None
    """Where the data files are; else $BAYESREG_DATA, else the user's cache."""
    output: Annotated[Path | None, WHERE, GRID] = None
    """The run's own directory; else one below runs/, named after what it holds."""
    diagnostics: Annotated[bool, WHERE] = False
    """Draw the learned precisions α by layer (without ARD the weights) into diagnostics/ of the run."""

    @property
    def data_set(self) -> str:
        """The name of the data set."""
        return self.name

    def data(self) -> Data:
        """The data set, as it is before --train-size."""
        from bayesreg import datasets

        return datasets.load(self.data_set, self.data_dir)

    @abstractmethod
    def network(self, data: Data) -> nn.Module:
        """The network, freshly initialised from PyTorch's random state."""

    @abstractmethod
    def likelihood(self) -> Likelihood:
        """p(y | f)."""

    def check(self) -> None:
        """Raise ValueError for options that contradict each other, or play no part beside the others."""
        from bayesreg import priors

        options.refuse_unused(self, self.prior, [name for name, _ in priors.split(self._text())])

    def under(self, prior: str, seed: int = 0) -> Self:
        """The same experiment under another prior, without the options that only other priors take."""
        from bayesreg import priors

        names = [name for name, _ in priors.split(prior)]
        unused = {name: type(value)() for name, value in options.of_priors(self).items() if name not in names}
        return replace(self, prior=prior, seed=seed, **unused)

    def augmentation(self) -> Any:
        """What is done to x of each training batch; None: nothing."""
        return None

    def baseline_options(self) -> dict[str, dict[str, Any]]:
        """What the baselines share with the network, as {"principal_components": {"latent": self.latent}}."""
        return {}

    def build(self) -> Prepared:
        """Load, build and check everything. ValueError or OSError for what cannot run, before any training.

        MemoryError for a network that is too large.
        """
        import torch

        from bayesreg import guides
        from bayesreg.checks import check, check_seed
        from bayesreg.fit import fit
        from bayesreg.model import Model

        guides.named(self.guide)
        check_seed("fit", self.seed)
        self.check()
        data = self._data()
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)  # the same weights for every prior
            try:
                net = self.network(data)
            except RuntimeError as error:  # PyTorch's allocator
                why = str(error).partition("\n")[0]
                raise MemoryError(f"the network cannot be made, {why}: make it smaller") from None
        model = Model(net, self._prior(len(data.train)), self.likelihood(), len(data.train))
        check(model, data.train, validation=data.validation, **options.taken_by(check, self))
        to_fit = options.taken_by(fit, self) | {"augment": self.augmentation()}
        return Prepared(self._config(model.prior, model.size), model, data, to_fit)

    def directory(self, config: dict[str, Any], root: str | Path = "runs") -> Path:
        """The run's own directory: --output, or one below the root, named after what it holds."""
        from bayesreg import runs

        prior = config["candidate"]["prior"].replace(":", "=")
        named = f"{prior}_{config['task']['guide']}_seed{self.seed}_{runs.key(config)}"
        return self.output or Path(root) / self.name / named

    def run(self, root: str | Path = "runs") -> dict[str, Any]:
        """Build and execute; what was done before, or is done by another process, is not done again.

        Returns the result and its directory.
        """
        return self.execute(self.build(), root, wait=True)

    def execute(
        self, prepared: Prepared, root: str | Path = "runs", progress: bool = False, wait: bool = False
    ) -> dict[str, Any]:
        """Train, evaluate and record what was built, with the baselines of its data."""
        from bayesreg import diagnostics, runs
        from experiments import baseline_cache

        config, model, data, to_fit = prepared
        directory = self.directory(config, root)
        with unsaid("bayesreg.convergence"):  # summary and report say it
            outcome = runs.execute(directory, config, model, data, wait=wait, progress=progress, **to_fit)
        if self.diagnostics and outcome["status"] == "done":
            diagnostics.draw([runs.load(directory, model.net)], directory / "diagnostics")
        shared = None if self.output else Path(root) / "baselines"
        baselines = baseline_cache.record(directory, shared, data, **self.baseline_options())
        return outcome | {"directory": str(directory), "baselines": baselines}

    def refuse(self, reason: str, root: str | Path = "runs") -> None:
        """Record why this run has no meaning, where it would have left its result."""
        from bayesreg import runs

        size = len(self._data().train)
        config = self._config(self._prior(size), size)
        runs.refuse(self.directory(config, root), config, reason, wait=True)

    def _data(self) -> Data:
        """The data set at --train-size."""
        data = self.data()
        if self.train_size is None:
            return data
        data = data.take_train(self.train_size)
        return replace(data, validation=data.validation.take(slice(self.train_size)))

    def _text(self) -> str:
        """The prior's text with --strength in its place."""
        from bayesreg import priors

        terms = priors.split(self.prior)
        if self.strength is None:
            return self.prior
        if len(terms) > 1 or terms[0][1] is not None:
            raise ValueError(
                f"--strength {self.strength} beside --prior {self.prior}: give each prior its strength in one place, "
                "as --prior l2:1e-4+entropic:0.1, or a single prior and --strength"
            )
        return f"{self.prior}:{self.strength}"

    def _prior(self, size: int) -> Prior:
        from bayesreg import priors

        own = {name: asdict(value) for name, value in options.of_priors(self).items()}
        return priors.parse(self._text(), size, **own)

    def _config(self, prior: Prior, size: int) -> dict[str, Any]:
        """What is recorded, in groups by its role: `bayesreg.runs` says what they are."""
        from bayesreg import guides, priors

        task = {"dataset": self.data_set, "net": self.net, "guide": self.guide, "experiment": self.name}
        task |= {"metric": self.metric} | options.with_role(self, TASK) | {"guide": guides.named(self.guide)}
        described = {
            "prior": priors.text(prior, size),
            "prior_name": "+".join(term.name for term in prior.terms),
            "strength": prior.terms[0].describe(size)["strength"] if len(prior.terms) == 1 else None,
        }
        names = {term.name for term in prior.terms}
        own = {name: asdict(value) for name, value in options.of_priors(self).items() if name in names}
        return {
            TASK: task,
            CANDIDATE: described | own,
            REPLICATE: options.with_role(self, REPLICATE),
        }


@contextmanager
def unsaid(name: str) -> Iterator[None]:
    """Keep the warnings of one logger back."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def load(name: str) -> type[Experiment]:
    """The experiment of that name. ValueError for an unknown one, with the nearest known."""
    if name not in EXPERIMENTS:
        near = get_close_matches(name.lower(), EXPERIMENTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"unknown experiment {name!r}{hint} Experiments: {', '.join(EXPERIMENTS)}")
    return getattr(importlib.import_module(f"experiments.{name}"), EXPERIMENTS[name])


def command(kind: Any, module: str) -> Any:
    """The options read from the command line; `python -m <module>` in the help."""
    return tyro.cli(kind, prog=f"python -m {module}")


def main(kind: type[Experiment]) -> None:
    """Run one experiment from the command line.

    Exit status 2 for bad input, 1 for a run that diverged or could not read or write its files, as on a full disk, 130
    and 143 for one that was stopped.
    """
    experiment = command(kind, f"experiments.{kind.name}")
    logging.basicConfig(level="INFO", format="%(message)s")
    with stoppable():
        _run(experiment)


def _run(experiment: Experiment) -> None:
    from bayesreg import runs

    try:
        prepared = experiment.build()
        directory = experiment.directory(prepared.config)
        runs.prepare(directory, prepared.config)
    except (ValueError, OSError, MemoryError) as error:
        refuse(error)
    for term in prepared.model.prior.terms:
        print(summary.sentence(term.describe(prepared.model.size)))
    try:
        outcome = experiment.execute(prepared, progress=True)
    except runs.Claimed as error:
        refuse(error)
    except OSError as error:
        print(f"stopped: {in_words(error)}", file=sys.stderr)
        sys.exit(1)
    if outcome["status"] == "diverged":
        print(f"diverged: {outcome['message']}\n{outcome['directory']}", file=sys.stderr)
        sys.exit(1)
    print(summary.metrics(outcome))


def in_words(error: BaseException) -> str:
    """What an error says, after its kind where that is not plain bad input; of a full disk what to do."""
    from bayesreg.files import FULL

    if isinstance(error, OSError) and error.errno in FULL:
        return f"{error}; nothing that was finished is lost: make room, and the same command goes on"
    return str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"


def refuse(error: Exception) -> NoReturn:
    """Say what is wrong with the input, without a traceback, and exit with status 2."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


Positional = Annotated[Path, tyro.conf.Positional]
