"""What Hamiltonian Monte Carlo moves in: minus the log density of the unconstrained θ, and its gradient."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.distributions import biject_to

from bayesreg import structure
from bayesreg.datasets import Dataset
from bayesreg.model import Model, Parameters, to_unit
from bayesreg.objective import Gradient, Objective
from bayesreg.randomness import random_state_kept
from bayesreg.units import start_in_unit_of


class Unconstrained(nn.Module):
    """θ by site at one point of ℝⁿ, as a guide: of a positive number the point is its logarithm."""

    def __init__(self, start: Parameters, transforms: dict[str, Any]) -> None:
        super().__init__()
        self.transforms = transforms
        self.at = nn.ParameterDict({_key(site): transforms[site].inv(value) for site, value in start.items()})

    def forward(self, *data: Any) -> None:
        for site, transform in self.transforms.items():
            value = transform(self.at[_key(site)])
            pyro.sample(site, dist.Delta(value, event_dim=value.dim()))

    def log_jacobian(self) -> Tensor:
        """log |∂θ/∂u|."""
        at = {site: self.at[_key(site)] for site in self.transforms}
        return sum(
            (t.log_abs_det_jacobian(at[site], t(at[site])).sum() for site, t in self.transforms.items()),
            torch.zeros(()),
        )


class _Objective(Objective):
    """−(log p(y, θ | x) + log |∂θ/∂u|) / N, term by term."""

    def forward(self, x: Any, y: Tensor) -> dict[str, Tensor]:
        guide: Any = self.guide
        return super().forward(x, y) | {"jacobian": guide.log_jacobian() * (-1 / self.model.size)}


class Potential:
    """U(u) = −log p(y, θ(u) | x) − log |∂θ/∂u| and its gradient, for all data, in float64.

    start: u at the network's own weights. parts: the sites, where each is in u.
    """

    def __init__(self, model: Model, data: Dataset) -> None:
        self.model = model.copy().double().eval()
        x, self.y = data.batch(slice(None))
        self.x = self.model.in_precision(structure.mapped(to_unit, x))
        start_in_unit_of(self.model, Dataset(self.x, self.y), 1.0, 1)
        with random_state_kept(torch.device("cpu")):
            nodes = poutine.trace(self.model.latents).get_trace().nodes
        self.transforms = {site: biject_to(nodes[site]["fn"].support) for site in self.model.initial()}
        self.guide: Any = Unconstrained(self.model.initial(), self.transforms)
        self.gradient = Gradient(_Objective(self.model, self.guide))
        self.shapes = {site: self.guide.at[_key(site)].shape for site in self.transforms}
        self.start = torch.cat([self.guide.at[_key(site)].detach().flatten() for site in self.transforms])

    @torch.no_grad()
    def __call__(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """U [] and ∂U/∂u [n]."""
        for site, value in self.split(u).items():
            self.guide.at[_key(site)].copy_(value)
        with torch.enable_grad():
            terms, *gradients = self.gradient(self.x, self.y)
        by_name = dict(zip(self.gradient.parameters, gradients, strict=True))
        ordered = [by_name[f"guide.at.{_key(site)}"].flatten() for site in self.transforms]
        return terms.sum() * self.model.size, torch.cat(ordered) * self.model.size

    def split(self, u: Tensor) -> Parameters:
        """u [..., n] by site, [..., *shape]."""
        parts = u.split([shape.numel() for shape in self.shapes.values()], -1)
        return {
            site: part.reshape(u.shape[:-1] + shape)
            for (site, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def sites(self, u: Tensor) -> Parameters:
        """θ by site of u [..., n]."""
        return {site: self.transforms[site](value) for site, value in self.split(u).items()}

    def elsewhere(self) -> Tensor:
        """A start near the network's own weights, as far off as they are from 0, site by site."""
        parts = [
            part + part.square().mean().sqrt() * torch.randn_like(part) for part in self.split(self.start).values()
        ]
        return torch.cat([part.flatten() for part in parts])


class Energy(torch.autograd.Function):
    """U(u), whose gradient comes with it."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, potential: Potential) -> Tensor:
        energy, gradient = potential(u)
        ctx.save_for_backward(gradient)
        return energy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0] * ctx.saved_tensors[0], None


def _key(site: str) -> str:
    return site.replace(".", ":")  # a parameter's name has no dot
