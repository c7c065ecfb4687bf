"""Draws of the posterior itself, in the place of a guide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from bayesreg.guides.base import Guide
from bayesreg.model import Model, Parameters


class Draws(nn.Module):
    """Draws of Markov chains, by site [chains, draws, ...], which stand for the posterior as a guide does.

    stats: of each draw "lp", the log density of the unconstrained θ up to a constant, and "diverging" [chains, draws].
    """

    def __init__(self, chains: Parameters, stats: Parameters) -> None:
        super().__init__()
        for kind, values in {"chains": chains, "stats": stats}.items():
            for name, value in values.items():
                self.register_buffer(f"{kind}/{name}".replace(".", ":"), value)  # a buffer's name has no dot

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Self:
        """Of a state dict."""
        return cls(_of_kind("chains", state), _of_kind("stats", state))

    @property
    def chains(self) -> Parameters:
        return _of_kind("chains", dict(self.named_buffers()))

    @property
    def stats(self) -> Parameters:
        return _of_kind("stats", dict(self.named_buffers()))

    def forward(self, *data: Any) -> Parameters:
        """One of the draws, each as likely, by PyTorch's random state."""
        chains = self.chains
        count, length = next(iter(chains.values())).shape[:2]
        place = int(torch.randint(count * length, ()))
        return {site: value.flatten(0, 1)[place] for site, value in chains.items()}

    def median(self) -> Parameters:
        """The median of each number."""
        return {site: value.flatten(0, 1).median(0).values for site, value in self.chains.items()}


@dataclass(frozen=True)
class Nuts(Guide):
    """What `mcmc.nuts` has drawn, in the place of a q(θ): no fit makes it."""

    name: ClassVar[str] = "nuts"

    def check(self, model: Model) -> None:
        raise ValueError("the guide nuts is trained by no gradient: write br.nuts(model, data)")

    def draws(self, q: Any, number: int) -> Parameters:
        """Of those held, no one twice before all are taken."""
        held = {site: value.flatten(0, 1) for site, value in q.chains.items()}
        many = len(next(iter(held.values())))
        taken = torch.cat([torch.randperm(many) for _ in range(-(-number // many))])[:number]
        return {site: value[taken] for site, value in held.items()}

    def restore(self, model: Model, state: dict[str, Tensor]) -> Any:
        return Draws.of(state)


def _of_kind(kind: str, values: Mapping[str, Tensor]) -> Parameters:
    own = {name: value for name, value in values.items() if name.startswith(f"{kind}/")}
    return {name.removeprefix(f"{kind}/").replace(":", "."): value for name, value in own.items()}
