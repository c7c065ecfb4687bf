"""The objective −ELBO / N of a model and a guide, in nats per datum, and its gradient."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions import Delta
from pyro.infer.autoguide import AutoDelta, AutoGuide
from torch import Tensor, nn
from torch.func import functional_call

from bayesreg.device import random_state_kept
from bayesreg.graph import simplify, trace
from bayesreg.model import Model

Step = Callable[[Tensor, Tensor], list[Tensor]]
COMPILER: dict[str, Any] = {"fallback_random": True}  # the same random numbers as without it


class Objective(nn.Module):
    """−ELBO / N = (log q(θ) − log p(y, θ | x)) / N at one reparameterised draw θ ~ q, term by term.

    For a Delta guide log q is 0 and this is the negative log joint per datum, the MAP objective. The same
    numbers as Pyro's `Trace_ELBO`, divided by N.
    """

    def __init__(self, model: Model, guide: AutoGuide) -> None:
        super().__init__()
        self.model = model
        self.guide = guide

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """{term: nats per datum}, whose sum is the loss: "likelihood", the prior's sites, and "guide"."""
        guide = poutine.trace(self.guide).get_trace()
        model = poutine.trace(poutine.replay(self.model, trace=guide)).get_trace(x, y)
        model.compute_log_prob(site_filter=lambda name, site: name not in ("flat", "data"))
        terms = {name: site["log_prob_sum"] for name, site in model.nodes.items() if "log_prob_sum" in site}
        terms = {"likelihood": terms.pop("y")} | terms
        if not isinstance(self.guide, AutoDelta):
            terms["guide"] = -_log_prob(guide)
        return {name: term * (-1 / self.model.size) for name, term in terms.items()}


def _log_prob(guide: poutine.Trace) -> Tensor:
    """log q(θ) at the draw. A Delta's is its log density, with no need to compare the draw to itself."""
    guide.compute_log_prob(site_filter=lambda name, site: not isinstance(site["fn"], Delta))
    sites = [site for site in guide.nodes.values() if site["type"] == "sample"]
    return sum(s["log_prob_sum"] if "log_prob_sum" in s else s["fn"].log_density.sum() for s in sites)


class Gradient:
    """(x, y) → the terms of the objective [T], and its gradient for each of `parameters`, as fast as can be had.

    Pyro's handlers run in Python on every call. `prepare` runs them once, for one shape of batch, and keeps the
    tensor operations, forward and backward, as a flat graph: the same numbers in less time. Any other shape runs
    plain. What comes back is valid until the next call.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.parameters = {
            f"guide.{name}": p.detach() for name, p in objective.guide.named_parameters() if p.requires_grad
        }
        self.buffers = dict(objective.named_buffers())
        self.names: list[str] = []
        self._steps: dict[tuple[torch.Size, torch.Size], Step] = {}

    def __call__(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """[terms, gradient, gradient, ...]."""
        return self._steps.get((x.shape, y.shape), self.plain)(x, y)

    def plain(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """By Pyro and PyTorch's autograd."""
        return self._plain(*self.parameters.values(), *self.buffers.values(), x, y)

    def _plain(self, *inputs: Tensor) -> list[Tensor]:
        *values, x, y = inputs
        named = dict(zip([*self.parameters, *self.buffers], values, strict=True))
        leaves = {name: named[name].detach().requires_grad_() for name in self.parameters}
        with pyro.settings.context(module_local_params=True), pyro.validation_enabled(False):
            terms = functional_call(self.objective, named | leaves, (x, y))
        self.names = list(terms)
        stacked = torch.stack(list(terms.values()))
        return [stacked.detach(), *torch.autograd.grad(stacked.sum(), list(leaves.values()))]

    def prepare(self, x: Tensor, y: Tensor, compile: bool = False) -> str:
        """Capture the graph for batches shaped like x and y, and compile it where asked; says what came of it.

        What cannot be captured, or does not give what plain Pyro gives, stays plain; what cannot be
        compiled stays captured.
        """
        with self._kept(x):
            try:
                step, how = self._captured(x, y, compile)
                self._verify(step, x, y)
            except Exception as error:  # whatever a user's network does that cannot be traced
                return f"plain Pyro, since it cannot be captured ({_first_line(error)})"
        self._steps[x.shape, y.shape] = step
        return how

    def _captured(self, x: Tensor, y: Tensor, compile: bool) -> tuple[Step, str]:
        fixed = [*self.parameters.values(), *self.buffers.values()]
        traced = trace(self._plain, [*fixed, x, y])
        if compile:
            try:
                with warnings.catch_warnings():  # the compiler's own
                    warnings.simplefilter("ignore")
                    start = time.perf_counter()
                    compiled = torch.compile(traced, dynamic=False, options=COMPILER)
                    compiled(*fixed, x, y)
                return lambda x, y: compiled(*fixed, x, y), f"compiled in {time.perf_counter() - start:.0f} s"
            except Exception as error:  # no C++ compiler, or an operation that it does not know
                reason = f", since it cannot be compiled ({_first_line(error)})"
        return simplify(traced, fixed), "captured" + (reason if compile else "")

    def _verify(self, step: Step, x: Tensor, y: Tensor) -> None:
        """Raise ArithmeticError unless the step does to this batch what plain Pyro does."""
        results = []
        for run in (step, self.plain):
            with self._kept(x):
                results.append([value.clone() for value in (*run(x, y), *self.buffers.values())])
        for ours, plain in zip(*results, strict=True):
            if (ours.double() - plain.double()).norm() > 1e-3 * plain.double().norm() + 1e-30:
                raise ArithmeticError("the captured graph gives other numbers than plain Pyro")

    @contextmanager
    def _kept(self, x: Tensor) -> Iterator[None]:
        with self.objective.model.buffers_kept(), random_state_kept(x.device):
            yield


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
