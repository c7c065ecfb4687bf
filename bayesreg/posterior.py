"""The posterior q(θ): prediction, evaluation, saving."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from bayesreg import diagnostics, guides, network, prediction, priors, structure
from bayesreg.checks import check_seed
from bayesreg.convergence import Convergence
from bayesreg.datasets import Dataset, as_dataset, to_inputs
from bayesreg.datasets.inputs import Inputs, is_table
from bayesreg.files import Unusable, load_tensors, save_tensors
from bayesreg.guides.start import local_parameters
from bayesreg.likelihoods import LIKELIHOODS, Likelihood
from bayesreg.metrics import Judged, surprisals
from bayesreg.model import Model, Parameters
from bayesreg.priors import Prior
from bayesreg.priors.base import whole
from bayesreg.progress import bar
from bayesreg.randomness import random_state_kept, random_stream
from bayesreg.structure import X
from bayesreg.uncertainty import Uncertainty

Done = Callable[[int], Any]  # told how many examples have been predicted
SHOWN = ("epoch", "loss", "nll", "penalty", "validation_nll")
CHUNK = 2**18  # numbers of x at a time: little memory, and the activations of images fit into the caches
BAR: dict[str, Any] = {"unit": " examples", "unit_scale": True, "leave": False}
JUDGED = 2**24  # numbers of x, times the draws: as many outputs of an autoencoder are in memory at once


class History(pd.DataFrame):
    """A DataFrame that prints all its columns, in as many blocks as a narrow terminal needs."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        width = shutil.get_terminal_size().columns
        return self.to_string(max_rows=60, line_width=width, float_format="{:.4g}".format, index=False)


class Posterior:
    """A trained guide over a model. Made by `bayesreg.fit`, or by `Posterior.load`.

    guide: Pyro's, q(θ). inference: the `Guide` that made it, with its options; guide_name: its name.
    history: a pandas DataFrame, one row per epoch, that prints in full: the loss, −ELBO/N; the parts of it that can
    change, the mean nll and the penalty, what the prior adds without the constants of its densities; the validation
    metrics; every term of the loss; all in nats per datum; and the seconds. convergence: whether the loss was still
    falling when training ended, a sentence if printed.
    """

    def __init__(self, model: Model, guide: Any, inference: Any, history: list[dict[str, float]] | None = None) -> None:
        self.model, self.guide, self.inference = model, guide, guides.as_guide(inference)
        self._history = [] if history is None else history
        self.warmup_seconds = 0.0
        self.convergence: Convergence | None = None  # of the fit that made it
        self.inputs: Inputs | None = None  # what makes x of a raw table, where a study knows it

    def __repr__(self) -> str:
        last = self._history[-1] if self._history else {}
        shown = "".join(f", {name} {last[name]:.4g}" for name in ("loss", "validation_nll") if name in last)
        return f"Posterior({self.model}, guide={self.inference.text!r}, epochs={len(self._history)}{shown})"

    @property
    def guide_name(self) -> str:
        return self.inference.name

    @property
    def history(self) -> pd.DataFrame:
        table = pd.DataFrame(self._history)
        first = [name for name in SHOWN if name in table]
        return History(table[first + [name for name in table if name not in first]])

    def parameters(self) -> Parameters:
        """θ by name, {"layer1.0.conv1.weight": tensor, ...}: the mode under delta, the median otherwise.

        Under ARD there is also "precision.<name>", and "noise.scale" where the likelihood learns it.
        """
        with local_parameters():
            sites = self.inference.centre(self.guide)
        return {name: value.detach().clone() for name, value in self.model.unpack(sites).items()}

    def draws(self, number: int = 16, seed: int = 0) -> Parameters:
        """Draws of θ by name, each [number, ...]; a point, such as delta, has one draw, an ensemble its members at
        most."""
        whole("Posterior", draws=number)
        check_seed("Posterior", seed)
        with random_state_kept(self.device), local_parameters(), torch.no_grad():
            torch.manual_seed(seed)
            return self.model.unpack(self.inference.draws(self.guide, number))

    @torch.no_grad()
    def predict(self, x: Any, draws: int = 16, seed: int = 0, progress: bool = True) -> Distribution:
        """The posterior predictive (1/S) Σ_s p(y | x, θ_s) for inputs x [n, ...], of batch shape [n].

        x: whatever a Dataset takes; for a study's best also a raw table, a DataFrame or the path of a file. Under delta
        S = 1, unless the network itself is random, as with Monte Carlo dropout. The network is in eval mode. Where it
        has latents z of each example, f is its `forward`, for an autoencoder at the mean of q(z | x, θ). progress: a
        bar after two seconds. ValueError where the network does not take x; FloatingPointError where outputs are NaN or
        infinite.
        """
        x, thetas = self._inputs(x), self._passes(draws, seed)
        total = _number(thetas) * structure.size(x)
        with bar(total=total, desc="predict", show=progress, **BAR) as shown, random_stream(self.device, seed):
            return prediction.of(self._predictive(thetas, x, shown.update))

    @torch.no_grad()
    def uncertainty(self, x: Any, draws: int = 16, seed: int = 0, progress: bool = True) -> Uncertainty:
        """The mean of y for inputs x [n, ...], its total uncertainty, and the aleatoric and epistemic parts of that.

        Variances for numbers, entropies in nats for classes: see `Uncertainty`. Under a guide that is a point the
        epistemic part is 0, unless the network itself is random: one θ agrees with itself. Arguments and errors are
        those of `predict`.
        """
        x, thetas = self._inputs(x), self._passes(draws, seed)
        number, some = _number(thetas), max(1, JUDGED // (_number(thetas) * _numel(x)))
        total, likelihood = number * structure.size(x), self.model.likelihood
        with bar(total=total, desc="uncertainty", show=progress, **BAR) as shown, random_stream(self.device, seed):
            parts = (self._finite(thetas, part, shown.update) for part in structure.split(x, some))
            return Uncertainty.joined(Uncertainty.of(likelihood, f, thetas) for f in parts)

    def _inputs(self, x: Any) -> X:
        return self.inputs.transform(x) if self.inputs is not None and is_table(x) else to_inputs(x)

    def _passes(self, number: int, seed: int) -> Parameters:
        """θ of each pass through the network: a draw, or the one point for each draw of a random network."""
        thetas = self.draws(number, seed)
        if self.inference.point and network.is_random(self.model.net):
            return {name: value.expand(number, *value.shape[1:]) for name, value in thetas.items()}
        return thetas

    def _predictive(self, thetas: Parameters, x: X, done: Done, y: Tensor | None = None) -> Distribution:
        number, likelihood = _number(thetas), self.model.likelihood
        outputs = self._finite(thetas, x, done)
        if y is not None:
            likelihood.check(outputs[0], y)
        if number == 1:
            return likelihood(outputs[0], {k: v[0] for k, v in thetas.items()})
        return likelihood.mixture(outputs, thetas)

    def _finite(self, thetas: Parameters, x: X, done: Done = lambda examples: None) -> Tensor:
        outputs = self._outputs(thetas, x, done)
        if not bool(outputs.isfinite().all()):
            raise FloatingPointError("the network's outputs are NaN or infinite: train it with a lower learning rate")
        return outputs

    def evaluate(self, dataset: Any, draws: int = 16, seed: int = 0, progress: bool = True) -> dict[str, float]:
        """The metrics of the predictions, {"accuracy": …, "nll": …, …} or {"mse": …, "r2": …, …}.

        dataset: a Dataset, or what `datasets.as_dataset` makes one of; of a Data, the test split. progress: a bar after
        two seconds. ValueError where the network does not take x, or y does not fit its likelihood.
        """
        return self.judged(dataset, draws, seed, progress).metrics()

    def scores(self, dataset: Any, draws: int = 16, seed: int = 0, progress: bool = True) -> dict[str, Tensor]:
        """What `evaluate` gives the means of, by example: {"nll": −log p(y_i | x_i) [n], "accuracy": 0 or 1 …}.

        For a metric that is not a mean over examples, such as r2, what each contributes: see `bayesreg.metrics`. In the
        order of the dataset, float32 on the CPU; otherwise as `evaluate`.
        """
        return self.judged(dataset, draws, seed, progress).scores()

    @torch.no_grad()
    def judged(self, dataset: Any, draws: int = 16, seed: int = 0, progress: bool = True) -> Judged:
        """The predictions with their targets, in one pass: `.metrics()` is `evaluate`, `.scores()` is `scores`."""
        dataset = as_dataset(dataset, "test")
        likelihood, thetas = self.model.likelihood, self._passes(draws, seed)
        some = max(1, JUDGED // (_number(thetas) * _numel(dataset.x)))
        points: list[Tensor] = []
        targets: list[Tensor] = []
        surprisal: list[Tensor] = []
        pits: list[Tensor] = []
        total = _number(thetas) * len(dataset)
        with bar(total=total, desc="evaluate", show=progress, **BAR) as shown, random_stream(self.device, seed):
            for x, y in dataset.batches(some):
                predictive = self._predictive(thetas, x, shown.update, None if targets else dataset.y)
                targets.append(likelihood.target(y.to(self.device), predictive))
                points.append(likelihood.point(predictive))
                surprisal.append(surprisals(predictive, targets[-1]))
                pits += [] if (pit := likelihood.pit(predictive, targets[-1])) is None else [pit]
        names, pit_ = likelihood.metrics(dataset.y), torch.cat(pits) if pits else None
        return Judged(names, torch.cat(surprisal), torch.cat(points), torch.cat(targets), pit_)

    def outputs(self, x: X) -> Tensor:
        """f [n, ...] at θ = `parameters()`, for inputs x [n, ...], with the network in eval mode."""
        return self._outputs({name: value[None] for name, value in self.parameters().items()}, x)[0]

    def network(self) -> nn.Module:
        """A network of the user's own class with the weights of `parameters()`, in eval mode."""
        net = copy.deepcopy(self.model.net).requires_grad_().eval()
        own = {name for block in self.model.blocks for name in block.shapes}
        net.load_state_dict({k: v for k, v in self.parameters().items() if k in own}, strict=False)
        return net

    def to_arviz(self, *others: Posterior, draws: int | None = None, data: Any = None) -> Any:
        """The draws for ArviZ, chain = seed: this posterior and others of the same model, trained separately.

        With data, also what they predict for them: see `diagnostics.to_arviz`.
        """
        return diagnostics.to_arviz([self, *others], draws, data)

    def by_draw(self, thetas: Parameters, dataset: Dataset, seed: int = 0) -> Iterator[tuple[Distribution, Tensor]]:
        """p(y | x, θ_s), of batch shape [n, S], with y [n, ...], for some examples at a time."""
        likelihood, first = self.model.likelihood, {name: value[0] for name, value in thetas.items()}
        some = max(1, JUDGED // (_number(thetas) * _numel(dataset.x)))
        with random_stream(self.device, seed):
            for x, y in dataset.batches(some):
                f = self._finite(thetas, x)
                likelihood.check(f[0], y)
                target = likelihood.target(y.to(self.device), likelihood(f[0], first))
                yield likelihood(f.transpose(0, 1), thetas, batch_dims=2), target

    def save(self, path: str | Path) -> Path:
        """Write the posterior to one file, atomically; `load` needs the network again, not the data."""
        model = self.model
        state = {
            "guide": self.inference.name,
            "options of the guide": self.inference.options(),
            "parameters": {k: v.cpu() for k, v in self.guide.state_dict().items()},
            "network": {k: v.cpu() for k, v in model.net.state_dict().items()},
            "blocks": [(b.site, list(b.shapes)) for b in model.blocks],
            "priors": _records(model),
            "likelihood": _record(model.likelihood),
            "size": model.size,
            "random": network.is_random(model.net),
            "history": self._history,
            "warmup_seconds": self.warmup_seconds,
            "convergence": self.convergence and vars(self.convergence),
        }
        return save_tensors(path, "posterior", state)

    @classmethod
    def load(
        cls,
        path: str | Path,
        net: nn.Module,
        prior: Prior | str | None = None,
        likelihood: Any = None,
        guide: Any = None,
    ) -> Posterior:
        """The posterior that `save` wrote; net: a network of the same architecture, left as it is.

        prior, likelihood, guide: those that it was saved with, where they are the user's own and not registered.
        ValueError for another network, prior, likelihood or guide, and for a file that is damaged or something else.
        """
        try:
            state = load_tensors(path, "posterior")
        except Unusable as error:
            raise Unusable(f"{error}; save the posterior again, or do its run again") from None
        if likelihood is None:
            kind, options = state["likelihood"]
            if kind not in LIKELIHOODS:
                raise ValueError(
                    f"{path} has the likelihood {kind!r}, which is not registered: pass likelihood=..., the one that "
                    "it was saved with, or add it to LIKELIHOODS"
                )
            likelihood = LIKELIHOODS[kind](**options)
        learned = {name for _, names in state["blocks"] for name in names}
        net = copy.deepcopy(net)
        for name, parameter in net.named_parameters():  # what was learned when it was saved, whatever is frozen now
            parameter.requires_grad_(name in learned)
        model = Model(net, priors.from_records(state["priors"]) if prior is None else prior, likelihood, state["size"])
        ours = [(b.site, list(b.shapes)) for b in model.blocks]
        if ours != [(site, list(names)) for site, names in state["blocks"]]:
            raise ValueError(
                f"{path} was saved from another network, or under another prior: it has {state['blocks']}, "
                f"this one {ours}"
            )
        _refuse_another(path, "prior", state["priors"], _records(model))
        _refuse_another(path, "likelihood", state["likelihood"], _record(model.likelihood))
        try:
            model.net.load_state_dict(state["network"])
        except RuntimeError as error:  # the same names in other shapes, or other buffers
            raise ValueError(f"{path} was saved from another network: {error}") from None
        if state.get("random", False) != network.is_random(model.net):
            raise ValueError(
                f"{path} was saved from another network: one of the two stays random in prediction, as with Monte "
                'Carlo dropout; give the network that was trained, as in br.Method.parse("mc_dropout:0.2").network(net)'
            )
        inference = _inference(path, state, guide)
        posterior = cls(model, inference.restore(model, state["parameters"]), inference, state["history"])
        posterior.warmup_seconds = state["warmup_seconds"]
        posterior.convergence = state["convergence"] and Convergence(**state["convergence"])
        return posterior

    @property
    def device(self) -> torch.device:
        return next(self.model.net.parameters()).device

    def _outputs(self, thetas: Parameters, x: X, done: Done = lambda examples: None) -> Tensor:
        """f [S, n, ...] at each of the S draws; each part of x is fetched once."""
        model, number, outputs = self.model, _number(thetas), []
        was_training = model.training
        network.to_predict(model)
        try:
            for part in structure.split(x, max(1, CHUNK // _numel(x))):
                part = model.in_precision(structure.mapped(lambda leaf: leaf.to(self.device), part))
                for s in range(number):
                    theta = {name: value[s] for name, value in thetas.items()}
                    outputs.append(network.outputs(model.net, part, call=partial(self.inference.outputs, self, theta)))
                    done(len(outputs[-1]))
            return torch.stack([torch.cat(outputs[s::number]) for s in range(number)])
        finally:
            model.train(was_training)


def _inference(path: str | Path, state: dict[str, Any], given: Any) -> guides.Guide:
    """The guide that the posterior was saved with, or the one given for it."""
    name, options = state["guide"], state.get("options of the guide", {})
    if given is None and name not in guides.known():
        raise ValueError(
            f"{path} has the guide {name!r}, which is not registered: pass guide=..., the one that it was saved with, "
            "or add it to GUIDES"
        )
    inference = guides.known()[name](**options) if given is None else guides.as_guide(given)
    _refuse_another(path, "guide", (name, options), (inference.name, inference.options()))
    return inference


def _number(thetas: Parameters) -> int:
    """S, how many draws these are."""
    return len(next(iter(thetas.values())))


def _numel(x: X) -> int:
    """How many numbers one example has."""
    return sum(leaf.numel() for leaf in structure.leaves(structure.rows(x, slice(1))))


def _records(model: Model) -> list[dict[str, Any]]:
    """The prior's terms, in values that a file can hold; a callable `on` becomes the names that it claimed."""
    return [_record_of_term(term, model) for term in model.prior.terms]


def _record_of_term(term: Prior, model: Model) -> dict[str, Any]:
    record = term.describe(model.size)
    natural = {name: _plain(value) for name, value in record["natural"].items()}
    for block in model.blocks:
        if block.prior is term and callable(record["natural"].get("on")):
            natural["on"] = list(block.shapes)
    return record | {"natural": natural}


def _record(likelihood: Likelihood) -> tuple[str, dict[str, Any]]:
    """Its name in LIKELIHOODS, and its options in values that a file can hold."""
    return type(likelihood).__name__.lower(), {name: _plain(value) for name, value in vars(likelihood).items()}


def _plain(value: Any) -> Any:
    """A value that can be read back without trusting the file; anything else as text, which only serves to compare."""
    if value is None or isinstance(value, bool | str | Tensor):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Real):  # NumPy's too
        return int(value) if isinstance(value, Integral) else float(value)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _refuse_another(path: str | Path, what: str, saved: Any, given: Any) -> None:
    if repr(saved) != repr(given):
        raise ValueError(f"{path} was saved under another {what}: it has {saved}, and {given} was given")
