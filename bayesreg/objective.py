"""The objective −ELBO / N of a model and a guide, in nats per datum, and its captured graph."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pyro
import torch
from pyro import poutine
from pyro.distributions import Delta
from pyro.infer.autoguide import AutoDelta, AutoGuide
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from bayesreg.model import Model

log = logging.getLogger(__name__)

Named = dict[str, Tensor]
Step = Callable[[Named, Named, Tensor, Tensor], tuple[Tensor, list[Tensor]]]


class Objective(nn.Module):
    """−ELBO / N = (log q(θ) − log p(y, θ | x)) / N at one reparameterised draw θ ~ q, term by term.

    For a Delta guide log q is 0 and this is the negative log joint per datum, the MAP objective. The same
    numbers as Pyro's `Trace_ELBO`, divided by N.
    """

    def __init__(self, model: Model, guide: AutoGuide) -> None:
        super().__init__()
        self.model = model
        self.guide = guide

    def forward(self, x: Tensor, y: Tensor) -> Named:
        """{term: nats per datum}, whose sum is the loss: "likelihood", the prior's sites, and "guide"."""
        guide = poutine.trace(self.guide).get_trace()
        model = poutine.trace(poutine.replay(self.model, trace=guide)).get_trace(x, y)
        model.compute_log_prob(site_filter=lambda name, site: name not in ("flat", "data"))
        terms = {name: -site["log_prob_sum"] for name, site in model.nodes.items() if "log_prob_sum" in site}
        terms = {"likelihood": terms.pop("y")} | terms
        if not isinstance(self.guide, AutoDelta):
            terms["guide"] = _log_prob(guide)
        return {name: term / self.model.size for name, term in terms.items()}


def _log_prob(guide: poutine.Trace) -> Tensor:
    """log q(θ) at the draw. A Delta's is its log density, with no need to compare the draw to itself."""
    guide.compute_log_prob(site_filter=lambda name, site: not isinstance(site["fn"], Delta))
    sites = [site for site in guide.nodes.values() if site["type"] == "sample"]
    return sum(s["log_prob_sum"] if "log_prob_sum" in s else s["fn"].log_density.sum() for s in sites)


class Gradient:
    """(x, y) → the terms of the objective [T] and its gradient, as fast as can be had.

    Pyro's handlers run in Python on every call. `make_fx` runs them once and keeps the tensor operations,
    forward and backward, as one flat graph: the same numbers in less time. `prepare` captures one shape of
    batch, which costs as much as some hundred steps; any other shape runs plain.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.parameters = {
            f"guide.{name}": p.detach() for name, p in objective.guide.named_parameters() if p.requires_grad
        }
        self.buffers = dict(objective.named_buffers())
        self.names: list[str] = []
        self.capture_seconds = 0.0
        self._steps: dict[tuple[torch.Size, torch.Size], Step] = {}

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        step = self._steps.get((x.shape, y.shape), self.plain)
        return step(self.parameters, self.buffers, x, y)

    def plain(self, parameters: Named, buffers: Named, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        with pyro.settings.context(module_local_params=True), pyro.validation_enabled(False):
            terms = functional_call(self.objective, {**leaves, **buffers}, (x, y))
        self.names = list(terms)
        values = torch.stack(list(terms.values()))
        gradients = torch.autograd.grad(values.sum(), list(leaves.values()))
        return values.detach(), list(gradients)

    def prepare(self, x: Tensor, y: Tensor) -> None:
        """Capture the graph for batches shaped like x and y; says so, and stays plain, where it cannot."""
        start = time.perf_counter()
        with self.objective.model.buffers_kept(), torch.random.fork_rng(_devices(x)):
            try:
                graph = make_fx(lambda *inputs: self.plain(*inputs))(self.parameters, self.buffers, x, y)
                self._steps[x.shape, y.shape] = graph
            except Exception as error:  # whatever a user's network does that cannot be traced
                log.info("not captured, running plain Pyro: %s", str(error).partition("\n")[0])
        self.capture_seconds += time.perf_counter() - start


def _devices(x: Tensor) -> list[int]:
    return [] if x.device.type == "cpu" else [x.device.index or 0]
