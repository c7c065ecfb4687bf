"""What ArviZ is handed: the draws by name, what each predicts of data, and the layer and unit of every number."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bayesreg.datasets import Dataset, as_dataset
from bayesreg.model import Model, Parameters

if TYPE_CHECKING:
    from bayesreg.posterior import Posterior

DRAWS = 200  # of a guide
AXES = ("unit", "input", "row", "column")  # of the parameters of a layer
INDEPENDENT = (
    "independent, from the q(θ) of one fit a chain: within a fit r_hat is 1 and ess the number of draws however far q "
    "is from the posterior, so neither is evidence that it has converged; over several fits r_hat compares them"
)
MARKOV = "of Markov chains, in their order: r_hat above 1.01 or a small ess says that they have not converged"


def groups(posteriors: Sequence[Posterior], draws: int | None, data: Any) -> Any:
    """See `diagnostics.to_arviz`."""
    chains = [(one, theta) for seed, one in enumerate(posteriors) for theta in _chains(one, draws, seed)]
    values = {"posterior": _stacked([theta for _, theta in chains])}
    if markov(posteriors[0]):
        stats: Any = [one.guide.stats for one in posteriors]
        values["sample_stats"] = {name: torch.cat([one[name] for one in stats]).numpy() for name in stats[0]}
    named = dims(posteriors[0].model)
    if data is not None:
        data = as_dataset(data, "train")
        each = [_predicted(one, theta, data, seed) for seed, (one, theta) in enumerate(chains)]
        values |= {group: {"y": np.stack([one[group] for one in each])} for group in each[0]}
        values["observed_data"] = {"y": values["observed_data"]["y"][0]}
        named["y"] = ["example"]
    made = from_dict(values, dims=named)
    made["posterior"].attrs["draws"] = MARKOV if markov(posteriors[0]) else INDEPENDENT
    return made


def markov(posterior: Posterior) -> bool:
    """Whether its draws are those of Markov chains, which it holds."""
    return hasattr(posterior.guide, "chains")


def _chains(posterior: Posterior, draws: int | None, seed: int) -> list[Parameters]:
    """Of a guide one chain of draws; of Markov chains each, at most so many of its draws, evenly spread."""
    if not markov(posterior):
        return [posterior.draws(draws or DRAWS, seed=seed)]
    held: Any = posterior.guide.chains
    chains, length = next(iter(held.values())).shape[:2]
    kept = torch.arange(number := min(draws or length, length)) * length // number
    return [posterior.model.unpack({site: value[c, kept] for site, value in held.items()}) for c in range(chains)]


def _stacked(chains: Sequence[Parameters]) -> dict[str, np.ndarray]:
    return {name: np.stack([one[name].cpu().numpy() for one in chains]) for name in chains[0]}


def _predicted(posterior: Posterior, theta: Parameters, data: Dataset, seed: int) -> dict[str, np.ndarray]:
    """Of each draw a y for every x, [draw, n, ...], and log p(y_i | x_i, θ) [draw, n]; and y [n, ...] in that shape."""
    drawn, logs, observed = [], [], []
    with torch.no_grad():
        for each, y in posterior.by_draw(theta, data, seed):
            drawn.append(each.sample().transpose(0, 1))
            logs.append(each.log_prob(y.unsqueeze(1)).T)
            observed.append(y)
    parts = {"posterior_predictive": torch.cat(drawn, 1), "log_likelihood": torch.cat(logs, 1)}
    return {name: value.cpu().numpy() for name, value in (parts | {"observed_data": torch.cat(observed)}).items()}


def dims(model: Model) -> dict[str, list[str]]:
    """The dimensions of θ by name, by layer and axis: {"fc1.weight": ["fc1.unit", "fc1.input"], "fc1.bias": …}.

    A unit is an output of the layer, of a convolution a channel. Where parameters of a layer differ in the length of an
    axis, as in an LSTM, the axis is that of the parameter. A latent of a prior has the axes of its parameter.
    """
    shapes = {name: value.shape for name, value in model.unpack(model.initial()).items()}
    own = {name for block in model.blocks for name in block.shapes}
    lengths: dict[str, int] = {}
    named = {}
    for name, shape in shapes.items():
        of = name if name in own else name.partition(".")[2]  # "fc1.weight" of "precision.fc1.weight"
        of = of if of in own else name
        named[name] = [_dim(of, axis, size, lengths, shapes) for axis, size in zip(AXES, shape, strict=False)]
    return named


def _dim(name: str, axis: str, size: int, lengths: dict[str, int], taken: Any) -> str:
    layer = ".".join([*name.split(".")[:-1], axis])
    free = layer not in taken and lengths.setdefault(layer, size) == size
    return layer if free else f"{name}.{axis}"


# --- ArviZ 0.x and 1.x differ; what knows about it is below, and at the end of `diagnostics`. ---


@contextmanager
def quiet() -> Iterator[None]:
    """Without ArviZ's own troubles, of which a user can make nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # 0.23 announces 1.0 at every import
        warnings.simplefilter("ignore", DeprecationWarning)  # and asks Matplotlib 3.11 in an old way
        warnings.filterwarnings("ignore", "More chains|Found chain")  # three seeds of MAP: three chains of one draw
        yield


@quiet()
def arviz() -> tuple[ModuleType, bool]:
    """ArviZ, and whether it is 1.x or later. Imported late, since it takes seconds."""
    import arviz

    return arviz, int(arviz.__version__.partition(".")[0]) >= 1


@quiet()
def from_dict(groups: dict[str, dict[str, np.ndarray]], **labels: Any) -> Any:
    """An InferenceData or a DataTree of {group: {name: [chain, draw, ...]}}."""
    module, modern = arviz()
    return module.from_dict(groups, **labels) if modern else module.from_dict(**groups, **labels)
