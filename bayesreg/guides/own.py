"""A Pyro guide of the user's own."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuide
from pyro.nn import PyroModule
from torch import nn

from bayesreg.files import sha256_of
from bayesreg.guides.base import Guide, stacked
from bayesreg.guides.start import at_own_weights, local_parameters
from bayesreg.model import Model, Parameters
from bayesreg.randomness import random_state_kept

CENTRE = 100  # draws, for a guide that has no median


@dataclass(frozen=True, eq=False)
class Own(Guide):
    """A Pyro guide of the user's own over the sites of `Model.latents`.

    made: an automatic guide of Pyro's built on `model.latents`, of which each fit trains a copy; or a function model →
    guide. A class of automatic guides, such as AutoMultivariateNormal, is started at the network's own weights. A guide
    is a module with parameters that samples every site, called without arguments.
    """

    name: ClassVar[str] = "own"
    copies: ClassVar[int] = 0  # unknown before it is made

    made: Any = None

    @property
    def text(self) -> str:
        if isinstance(self.made, nn.Module):
            return type(self.made).__name__
        return getattr(self.made, "__name__", type(self.made).__name__)

    def options(self) -> dict[str, Any]:
        return {"made": self.text}

    def record(self) -> dict[str, Any]:
        if isinstance(self.made, nn.Module):
            return {"made": self.text, "start": sha256_of(dict(self.made.named_parameters()))}
        return {"made": self.text if isinstance(self.made, type) else self.made}

    def check(self, model: Model) -> None:
        """Make it and call it once: ValueError for what is not a guide of the latents, with the sites it misses."""
        if model.local:
            raise ValueError(
                f"the network has latents of each example, for which the guide {self} runs no q(z | x, θ): take the "
                "guide delta or normal"
            )
        q = self.create(model)
        if not any(p.requires_grad for p in q.parameters()):
            raise ValueError(f"the guide {self} has no parameter: there is nothing to learn")
        drawn, expected = self._sites(q), model.initial()
        if missing := [site for site in expected if site not in drawn]:
            raise ValueError(
                f"the guide {self} misses the sites {', '.join(missing)}: build it on model.latents, which "
                f"samples {', '.join(expected)}"
            )
        for site, value in drawn.items():
            shape = None if site not in expected else expected[site].shape
            if value.shape != shape:
                there = "no such site" if shape is None else f"it of shape {list(shape)}"
                raise ValueError(
                    f"the guide {self} samples {site!r} of shape {list(value.shape)}, but the model has {there}: build "
                    "it on the latents of this model, model.latents"
                )

    def create(self, model: Model) -> Any:
        like = next(model.net.parameters())
        with random_state_kept(like.device), local_parameters(), poutine.block():
            try:
                q = self._of(model)
                if not isinstance(q, nn.Module):
                    raise ValueError(f"it is of type {type(q).__name__}, not a PyroModule with parameters")
                q()  # Pyro's automatic guides have no parameters before the first call
            except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
                raise ValueError(
                    f"the guide {self} cannot be made, or called without data ({error}): give fit an automatic guide "
                    "of Pyro's built on model.latents, such as AutoMultivariateNormal(model.latents), or a "
                    "function that makes one of a model"
                ) from error
        return q.to(device=like.device, dtype=like.dtype)

    def _of(self, model: Model) -> Any:
        if isinstance(self.made, nn.Module):
            if getattr(self.made, "prototype_trace", ()) is None:  # a copy of it would lack its model
                _private(self.made)()
            return _private(copy.deepcopy(self.made))
        if isinstance(self.made, type) and issubclass(self.made, AutoGuide):
            return at_own_weights(self.made, model)
        return self.made(model)

    def _sites(self, q: Any) -> Parameters:
        like = next(q.parameters())
        with random_state_kept(like.device), local_parameters(), poutine.block(), torch.no_grad():
            return _drawn(q)

    def centre(self, q: Any) -> Parameters:
        try:
            return q.median()
        except (AttributeError, NotImplementedError):
            with random_state_kept(next(q.parameters()).device):
                torch.manual_seed(0)
                return {site: draws.median(0).values for site, draws in self.draws(q, CENTRE).items()}

    def draws(self, q: Any, number: int) -> Parameters:
        with torch.no_grad():
            return stacked([_drawn(q) for _ in range(number)])


def _private(q: nn.Module) -> nn.Module:
    """Give it its own parameters, where it was made for Pyro's global store."""
    for module in q.modules():
        if isinstance(module, PyroModule) and not hasattr(module._pyro_context, "param_state"):
            module._pyro_context.param_state = {"params": {}, "constraints": {}}
    return q


def _drawn(q: Any) -> Parameters:
    """One draw, by site; auxiliary ones, of which others are made, are not latents of the model."""
    trace = poutine.trace(q).get_trace()
    nodes = [(name, node) for name, node in trace.nodes.items() if node["type"] == "sample" and not node["is_observed"]]
    return {name: node["value"] for name, node in nodes if not node["infer"].get("is_auxiliary")}
