"""The posterior q(θ): prediction, evaluation, saving."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pyro
import torch
from pyro.infer.autoguide import AutoGuide
from torch import Tensor, nn
from torch.distributions import Distribution

from bayesreg import diagnostics, guides, priors
from bayesreg.convergence import Convergence
from bayesreg.datasets import Dataset, Windows
from bayesreg.device import random_state_kept
from bayesreg.files import Unusable, load_tensors, save_tensors
from bayesreg.likelihoods import LIKELIHOODS
from bayesreg.metrics import METRICS
from bayesreg.model import Model, Parameters
from bayesreg.priors import Prior

CHUNK = 2**18  # numbers of x at a time: little memory, and images of which the caches hold the activations
JUDGED = 2**24  # of x, times the draws: as many outputs, of an autoencoder, are there at once


class Posterior:
    """A trained guide over a model. Made by `bayesreg.fit`, or by `Posterior.load`.

    history: a pandas DataFrame, one row an epoch: seconds, loss and its terms in nats per datum, and the
    validation metrics. convergence: whether the loss was still falling when training ended, in words if printed.
    """

    def __init__(
        self, model: Model, guide: AutoGuide, guide_name: str, history: list[dict[str, float]] | None = None
    ) -> None:
        self.model, self.guide, self.guide_name = model, guide, guide_name
        self._history = [] if history is None else history
        self.warmup_seconds = 0.0
        self.convergence: Convergence | None = None  # of the fit that made it

    def __repr__(self) -> str:
        return f"Posterior({self.model.prior}, guide={self.guide_name!r}, epochs={len(self._history)})"

    @property
    def history(self) -> pd.DataFrame:
        return pd.DataFrame(self._history)

    def parameters(self) -> Parameters:
        """θ by name, {"layer1.0.conv1.weight": tensor, ...}: the mode under delta, the median otherwise.

        Under ARD "precision.<name>" stands beside it, and "noise.scale" where the likelihood learns it.
        """
        with pyro.settings.context(module_local_params=True):
            sites = self.guide.median()
        return {name: value.detach().clone() for name, value in self.model.unpack(sites).items()}

    def draws(self, number: int = 16, seed: int = 0) -> Parameters:
        """Draws of θ by name, each [number, ...]; a delta guide has one draw, its mode, [1, ...]."""
        if self.guide_name == "delta":
            return {name: value[None] for name, value in self.parameters().items()}
        with random_state_kept(self.device), pyro.settings.context(module_local_params=True), torch.no_grad():
            torch.manual_seed(seed)
            sites = [self.guide() for _ in range(number)]
        stacked = {site: torch.stack([draw[site] for draw in sites]) for site in sites[0]}
        return self.model.unpack(stacked)

    @torch.no_grad()
    def predict(self, x: Tensor | Windows, draws: int = 16, seed: int = 0) -> Distribution:
        """The posterior predictive (1/S) Σ_s p(y | x, θ_s) for inputs x [n, ...], of batch shape [n].

        Under delta S = 1. The network is in eval mode. Where it has latents z of each example, f is its `forward`,
        that of an autoencoder at the mean of q(z | x, θ). FloatingPointError where outputs are NaN or infinite.
        """
        return self._predictive(self.draws(draws, seed), x)

    def _predictive(self, thetas: Parameters, x: Tensor | Windows) -> Distribution:
        number = len(next(iter(thetas.values())))
        x = x if isinstance(x, Windows) else torch.as_tensor(x)
        outputs = torch.stack([self._outputs({k: v[s] for k, v in thetas.items()}, x) for s in range(number)])
        if not bool(outputs.isfinite().all()):
            raise FloatingPointError("the network's outputs are NaN or infinite: train it with a lower learning rate")
        likelihood = self.model.likelihood
        if number == 1:
            return likelihood(outputs[0], {k: v[0] for k, v in thetas.items()})
        return likelihood.mixture(outputs, thetas)

    @torch.no_grad()
    def evaluate(self, dataset: Dataset, draws: int = 16, seed: int = 0) -> dict[str, float]:
        """The metrics of the predictions, {"accuracy": …, "nll": …, …} or {"mse": …, "r2": …, …}."""
        likelihood, thetas = self.model.likelihood, self.draws(draws, seed)
        number = len(next(iter(thetas.values())))
        some = max(1, JUDGED // (number * dataset.x[0].numel()))
        points, targets, nll = [], [], 0.0
        for x, y in zip(dataset.x.split(some), dataset.y.split(some), strict=True):
            predictive = self._predictive(thetas, x)
            targets.append(likelihood.target(y.to(self.device), predictive))
            points.append(likelihood.point(predictive))
            nll += METRICS["nll"](predictive, targets[-1]) * len(y) / len(dataset)
        point, target = torch.cat(points), torch.cat(targets)
        names = likelihood.metrics(dataset.y)
        return {name: nll if name == "nll" else METRICS[name](point, target) for name in names}

    def outputs(self, x: Tensor | Windows) -> Tensor:
        """f [n, ...] at θ = `parameters()`, for inputs x [n, ...], with the network in eval mode."""
        return self._outputs(self.parameters(), x)

    def network(self) -> nn.Module:
        """A network of the user's own class with the weights of `parameters()`, in eval mode."""
        net = copy.deepcopy(self.model.net).requires_grad_().eval()
        own = {name for block in self.model.blocks for name in block.shapes}
        net.load_state_dict({k: v for k, v in self.parameters().items() if k in own}, strict=False)
        return net

    def to_arviz(self, *others: Posterior, draws: int = 200) -> Any:
        """The draws for ArviZ, chain = seed: this posterior and others of the same model, trained apart."""
        return diagnostics.to_arviz([self, *others], draws=draws)

    def save(self, path: str | Path) -> Path:
        """Write the posterior to one file, atomically; `load` needs the network again, not the data."""
        model = self.model
        state = {
            "guide": self.guide_name,
            "parameters": {k: v.cpu() for k, v in self.guide.state_dict().items()},
            "network": {k: v.cpu() for k, v in model.net.state_dict().items()},
            "blocks": [(b.site, list(b.shapes)) for b in model.blocks],
            "priors": [_without_callables(term, model) for term in model.prior.terms],
            "likelihood": (type(model.likelihood).__name__.lower(), vars(model.likelihood)),
            "size": model.size,
            "history": self._history,
            "warmup_seconds": self.warmup_seconds,
            "convergence": self.convergence and vars(self.convergence),
        }
        return save_tensors(path, "posterior", state)

    @classmethod
    def load(cls, path: str | Path, net: nn.Module) -> Posterior:
        """The posterior that `save` wrote; net: a network of the same architecture, left as it is.

        ValueError for another network, and for a file that is damaged or something else.
        """
        try:
            state = load_tensors(path, "posterior")
        except Unusable as error:
            raise Unusable(f"{error}; save the posterior again, or do its run again") from None
        kind, options = state["likelihood"]
        if kind not in LIKELIHOODS:
            raise ValueError(f"{path} has the likelihood {kind!r}, which is not registered: add it to LIKELIHOODS")
        learned = {name for _, names in state["blocks"] for name in names}
        net = copy.deepcopy(net)
        for name, parameter in net.named_parameters():  # what was learned then, whatever is frozen now
            parameter.requires_grad_(name in learned)
        model = Model(net, priors.from_records(state["priors"]), LIKELIHOODS[kind](**options), state["size"])
        ours = [(b.site, list(b.shapes)) for b in model.blocks]
        if ours != [(site, list(names)) for site, names in state["blocks"]]:
            raise ValueError(f"{path} was saved from another network: it has {state['blocks']}, this one {ours}")
        try:
            model.net.load_state_dict(state["network"])
        except RuntimeError as error:  # the same names in other shapes, or other buffers
            raise ValueError(f"{path} was saved from another network: {error}") from None
        guide = guides.create(state["guide"], model)
        guide.load_state_dict(state["parameters"])
        posterior = cls(model, guide, state["guide"], state["history"])
        posterior.warmup_seconds = state["warmup_seconds"]
        posterior.convergence = state["convergence"] and Convergence(**state["convergence"])
        return posterior

    @property
    def device(self) -> torch.device:
        return next(self.model.net.parameters()).device

    def _outputs(self, parameters: Parameters, x: Any) -> Tensor:
        was_training = self.model.training
        self.model.eval()
        try:
            parts = x.split(max(1, CHUNK // x[0].numel()))
            return torch.cat([self.model.outputs(parameters, part.to(self.device)) for part in parts])
        finally:
            self.model.train(was_training)


def _without_callables(term: Prior, model: Model) -> dict[str, Any]:
    """The prior's record; a callable `on` becomes the names that it claimed."""
    record = term.describe(model.size)
    for block in model.blocks:
        if block.prior is term and callable(record["natural"].get("on")):
            record["natural"]["on"] = list(block.shapes)
    return record
