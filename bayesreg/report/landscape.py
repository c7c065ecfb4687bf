"""The loss over two weights under each prior: why one prior makes a weight exactly 0 and another only smaller.

After Tibshirani, Regression shrinkage and selection via the lasso (1996), figure 2, with the priors' own densities. One
model serves all: the logistic regression with logit f(x) = w₁ x + w₂ x², in which neither f″ = 2 w₂ nor the entropy is
constant, so that priors on weights, on outputs and on curvature all have a meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pyro
import torch
from matplotlib.ticker import MultipleLocator
from torch import Tensor, nn

from bayesreg import priors, statistics
from bayesreg.likelihoods import Bernoulli, Likelihood
from bayesreg.methods import Method
from bayesreg.model import Model
from bayesreg.priors import Flat, Look, Prior
from bayesreg.report import tables
from bayesreg.report.panels import Group, Panel, Picture
from bayesreg.report.style import LIGHT, SMALL, lines, seen

Loss = Callable[[Tensor], Tensor]
STEP = 0.025  # between the points of the lattice whose contours are drawn
FRAME = ((-24, 112), (-56, 32))  # of w₁ and of w₂, in steps
FINER, NEAR, TIMES = 8, (-12, 12), 3  # the minimum is looked for on lattices from 8 STEP down to STEP/64
BETWEEN = 3  # points of the path from one strength of the grid to the next
HEIGHT = 233  # pixels of a panel whose axes have one scale
LEVELS = (0.01, 0.04, 0.16, 0.64)  # nats per datum above the minimum
LEGEND = {
    "without a prior": Look(LIGHT["soft"], "", "-"),
    "maximum likelihood": Look(LIGHT["ink"], "x", ""),
    "MAP by strength": Look(LIGHT["ink"], ".", "-"),
}


class Example(NamedTuple):
    """A network of two weights, one tensor [1, 2], and data for it."""

    net: nn.Module
    likelihood: Likelihood
    x: Tensor
    y: Tensor


class Found(NamedTuple):
    """What a panel shows. surface: the loss on the lattice [w₂, w₁]; path: MAP by strength [strengths, 2]."""

    text: str
    surface: np.ndarray
    path: np.ndarray
    convex: bool


class Parabola(nn.Module):
    """f(x) = w₁ x + w₂ x²."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 2, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(torch.cat([x, x.square()], -1), self.weight)


def example() -> Example:
    """20 labels, drawn once with the logit 1.5 x: the true w₂ is 0."""
    x = torch.linspace(-1.5, 2, 20, dtype=torch.float64).unsqueeze(1)
    y = torch.tensor([float(label) for label in "00000100111110101111"], dtype=torch.float64)
    return Example(Parabola(), Bernoulli(), x, y)


def landscape(methods: Iterable[str]) -> Picture | None:
    """A panel for each prior in the methods, under MAP whatever their guide. None where there is none but "none"."""
    kinds = {kind.name: kind for method in methods for kind in _kinds(method)}
    if not kinds.keys() - {Flat.name}:
        return None
    return Picture([_group(kinds[name]) for name in statistics.ordered(kinds)], LEGEND)


def _kinds(method: str) -> list[type[Prior]]:
    """The classes of a method's priors; none for a method of the user's own, which has no text."""
    try:
        terms = Method.parse(method).terms
    except ValueError:
        return []
    return [term.kind for term in terms if term.is_prior] if terms else [Flat]


def _group(kind: type[Prior]) -> Group:
    try:
        found = of(kind)
    except (ValueError, TypeError, RuntimeError) as error:  # of a prior of the user's own, whatever it does
        why = str(error).partition("\n")[0]
        return Group(kind.name, [Panel(partial(_refused, why=why), f"Not drawn: {why}")])
    none = of(Flat)
    ends = f"Maximum likelihood at {_place(none.path[-1])}" + f", MAP at {_place(found.path[-1])}" * (kind is not Flat)
    alt = f"Contours of the loss by w₁ and w₂. {ends}." + " The −log of the prior is not convex." * (not found.convex)
    return Group(found.text, [Panel(partial(_draw, kind=kind, found=found, none=none), alt, height=HEIGHT, top=20)])


def _place(weights: np.ndarray) -> str:
    """A weight that is exactly 0 without decimals."""
    return f"({', '.join(tables.number(w, '.2f') if w else '0' for w in weights.tolist())})"


# --- The loss and its minimum ---


@cache
def of(kind: type[Prior]) -> Found:
    """The landscape of a registered prior. ValueError where it has none, as with a prior without a MAP estimate."""
    data = example()
    made = [kind.from_strength(strength, len(data.x)) for strength in path(kind)]
    losses = [loss_of(prior, data) for prior in made]
    surface = losses[-1](_lattice(*FRAME) * STEP).reshape(*(high - low + 1 for low, high in FRAME)).T.numpy()
    convex = kind is Flat or _convex(surface - of(Flat).surface)
    return Found(priors.text(made[-1], len(data.x)), surface, np.array([lowest(loss) for loss in losses]), convex)


def path(kind: type[Prior]) -> list[float | None]:
    """The strengths of a prior's grid, weakest first, with some in between; without a grid its default."""
    grid = sorted(strength for strength in kind.grid if strength is not None)
    if not grid:
        return [kind.default_strength]
    steps = np.linspace(0, len(grid) - 1, BETWEEN * (len(grid) - 1) + 1)
    return [*np.exp(np.interp(steps[:-1], range(len(grid)), np.log(grid))).tolist(), grid[-1]]


def loss_of(prior: Prior, data: Example) -> Loss:
    """The function weights [n, 2] → −log p(y, θ | x)/N [n], latents of the prior at their maximum given the weights."""
    model = Model(data.net, prior, data.likelihood, size=len(data.x))
    prior.check_map()
    (block,) = model.blocks
    if len(block.profile(torch.ones(2))) < len(block.latents):
        raise ValueError(f"the maximum of {', '.join(block.latents)} given the weights has no closed form")

    def loss(vector: Tensor) -> Tensor:
        parameters = model.unpack({block.site: vector} | block.profile(vector))
        return -model.log_joint(parameters, data.x, data.y) / len(data.x)

    def losses(weights: Tensor) -> Tensor:
        with torch.no_grad(), pyro.validation_enabled(False):  # validation would read values one by one
            return torch.vmap(loss)(weights)

    return losses


def lowest(loss: Loss) -> np.ndarray:
    """Where in the frame the loss is least [2], to within STEP/128.

    By ever finer lattices, which need no derivative at a kink. 0 is on all of them: a weight there is exactly 0.
    """
    points, unit = _lattice(*((low // FINER, high // FINER) for low, high in FRAME)), STEP * FINER
    least = points[loss(points * unit).argmin()]
    for _ in range(TIMES):
        points, unit = FINER * least + _lattice(NEAR, NEAR), unit / FINER
        least = points[loss(points * unit).argmin()]
    return (least * unit).numpy()


def _steps(low: int, high: int) -> Tensor:
    return torch.arange(low, high + 1, dtype=torch.float64)


def _lattice(*bounds: tuple[int, int]) -> Tensor:
    """All integer points within the bounds of w₁ and w₂, [n, 2]."""
    return torch.cartesian_prod(*(_steps(*each) for each in bounds))


def _convex(surface: np.ndarray) -> bool:
    """Whether a function on the lattice is convex along each axis, but for rounding."""
    return all(np.diff(surface, 2, axis).min() > -1e-9 for axis in (0, 1))


# --- The picture ---


def _draw(ax: Any, kind: type[Prior], found: Found, none: Found) -> None:
    style: dict[str, Any] = {"levels": LEVELS, "linestyles": "solid"}
    axes = [STEP * _steps(*bounds) for bounds in FRAME]
    colour = seen(kind.look.colour, LIGHT)
    ax.contour(*axes, none.surface - none.surface.min(), colors=LIGHT["soft"], linewidths=0.5, **style)
    ax.contour(*axes, found.surface - found.surface.min(), colors=colour, linewidths=1.3, **style)
    ax.plot(*found.path.T, color=LIGHT["ink"], marker=".", markevery=BETWEEN, markersize=6, linewidth=1.2)
    ax.plot(*none.path[-1], "x", color=LIGHT["ink"], markersize=6)
    said = f"{'maximum likelihood' if kind is Flat else 'MAP'} at {_place(found.path[-1])}"
    ax.text(1, 1.02, said, ha="right", transform=ax.transAxes, fontsize=SMALL, color=LIGHT["ink"])
    ax.set(xlabel="w₁", ylabel="w₂", aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(0.5))


def _refused(ax: Any, why: str) -> None:
    ax.text(0.5, 0.5, lines(why, 40), ha="center", va="center", transform=ax.transAxes, color=LIGHT["ink"])
    ax.set_axis_off()
