"""The objective −ELBO / N of a model and a guide, in nats per datum, and its gradient."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions import Delta, Independent, Normal, TorchDistribution
from pyro.infer.autoguide import AutoGuide
from torch import Tensor, fx, nn
from torch.func import functional_call

from bayesreg import structure
from bayesreg.graph import Numbers, Program, Programs, attributes, distance, identity, reason, simplify, some, trace
from bayesreg.guides.local_reparameterisation import outputs_drawn
from bayesreg.memory import give_back, only_new_garbage
from bayesreg.model import Model
from bayesreg.priors.batch import Factor
from bayesreg.priors.vector import square_sum
from bayesreg.randomness import random_state, random_state_kept
from bayesreg.structure import X

Compute = Callable[..., list[Tensor]]  # of the leaves of x, and y
COMPILER: dict[str, Any] = {"fallback_random": True}  # the same random numbers as without it
TOLERANCE = 1e-3  # relative: rounding alone
PROGRAMS = Programs()  # that this process has captured
CAPTURING = threading.RLock()  # while capturing, the numbers of a prior are not floats, and two threads may share one


class Objective(nn.Module):
    """−ELBO / N = (log q(θ) − log p(y, θ | x)) / N at one reparameterised draw θ ~ q, term by term.

    For a Delta guide log q is 0 and this is the negative log joint per datum, the MAP objective. Latents z of each
    example are drawn too, from q(z | x, θ); their terms are scaled by N/B as the likelihood is. The numbers are those
    of Pyro's `Trace_ELBO`, divided by N. Where the density p of a site has KL(q ‖ p) of a Normal q in closed form, its
    `kl`, that is the site's term, and log q has none. A guide with `by_layer` draws the outputs of layers.

    warms_up: `kl_weight`, a tensor that is written to, weights all terms but the likelihood's in the gradient; the
    terms themselves are those of the ELBO, whatever it is.
    """

    kl_weight: Tensor

    def __init__(self, model: Model, guide: AutoGuide, warms_up: bool = False) -> None:
        super().__init__()
        if warms_up:
            self.register_buffer("kl_weight", next(guide.parameters()).detach().new_ones(()))
        self.model = model
        self.guide = guide
        self.step: int | None = None  # of training, at which the terms of the prior take turns; None: all in full
        self.turns = {site: term.turns for site, term in model.terms.items()}

    @property
    def factors(self) -> dict[str, Factor] | None:
        """What stands in for the factors of the prior's terms at this step, by site; None: the factors themselves."""
        if self.step is None:
            return None
        return {site: turns[self.step % len(turns)] for site, turns in self.turns.items()}

    @property
    def cycle(self) -> int:
        """The number of steps after which all terms are at the same turn again."""
        return math.lcm(*map(len, self.turns.values()))

    def forward(self, x: X, y: Tensor) -> dict[str, Tensor]:
        """{term: nats per datum}, whose sum is the loss: "likelihood", the prior's sites, and "guide"."""
        guide = poutine.trace(self.guide).get_trace(x, y)
        normals = _normals(guide)
        by_layer = getattr(self.guide, "by_layer", False)
        with outputs_drawn(self.model, normals) if by_layer else nullcontext():
            model = poutine.trace(poutine.replay(self.model, trace=guide)).get_trace(x, y, self.factors)
        kl = {site: -p.kl(normals[site]) for site, p in _closed(model, normals)}
        model.compute_log_prob(site_filter=lambda name, site: name not in ("flat", "data", *kl))
        terms = {name: site["log_prob_sum"] for name, site in model.nodes.items() if "log_prob_sum" in site}
        terms = {"likelihood": terms.pop("y")} | kl | terms
        densities = [*_global(guide, kl), *_local(guide)]
        if densities:
            terms["guide"] = -sum(densities)
        return {name: term * (-1 / self.model.size) for name, term in terms.items()}


def _weighted(terms: dict[str, Tensor], kl_weight: Tensor) -> Tensor:
    """−ELBO / N with a weight on the KL term, that is on all terms but the likelihood."""
    likelihood, *others = terms.values()
    return likelihood + kl_weight * sum(others)


def _normals(guide: poutine.Trace) -> dict[str, Normal]:
    """The q of the vectors that are drawn as independent Normals, by site."""
    nodes = {site: node["fn"] for site, node in guide.nodes.items() if node["type"] == "sample"}
    bases = {site: q.base_dist for site, q in nodes.items() if isinstance(q, Independent)}
    return {site: base for site, base in bases.items() if isinstance(base, Normal)}


def _closed(model: poutine.Trace, normals: Mapping[str, Normal]) -> list[tuple[str, Any]]:
    """The sites whose KL term has a closed form, and their densities; a density raised to a power has none."""
    nodes = {site: model.nodes[site] for site in normals if site in model.nodes}
    return [(site, node["fn"]) for site, node in nodes.items() if hasattr(node["fn"], "kl") and node["scale"] == 1]


def _global(guide: poutine.Trace, done: Collection[str] = ()) -> list[Tensor]:
    """log q(θ) at the draw, by site, except those that are done. A Delta's is its log density: no need to compare.

    A q that is a point draws nothing and has none: its log density is 0.
    """
    sites = [site for name, site in guide.nodes.items() if site["type"] == "sample" and name not in ("data", *done)]
    sites = [site for site in sites if not site["cond_indep_stack"]]
    if all(isinstance(site["fn"], Delta) for site in sites):
        return []
    return [_at_draw(site["fn"], site["value"]) for site in sites]


def _local(guide: poutine.Trace) -> list[Tensor]:
    """log q(z | x, θ) of the latents of each example, by site, scaled to all N."""
    guide.compute_log_prob(site_filter=lambda name, site: bool(site["cond_indep_stack"]))
    return [site["log_prob_sum"] for site in guide.nodes.values() if "log_prob_sum" in site]


def _at_draw(q: TorchDistribution, draw: Tensor) -> Tensor:
    """log q(draw). For a draw m + s ε of a Normal it is −Σ [ε²/2 + log s √2π], and ε depends on neither m nor s."""
    if isinstance(q, Delta):
        return q.log_density.sum()
    normal = q.base_dist if isinstance(q, Independent) else q
    if not isinstance(normal, Normal):
        return q.log_prob(draw).sum()
    noise = (draw - normal.loc).div(normal.scale).detach()
    return square_sum(noise.flatten()) * -0.5 - normal.scale.log().sum() - draw.numel() * math.log(2 * math.pi) / 2


class Gradient:
    """(x, y) → the terms of the objective [T], and its gradient for each of `parameters`, as fast as possible.

    Pyro's handlers run in Python on every call. `prepare` runs them once, for one kind of batch, and keeps the
    tensor operations, forward and backward, as a flat graph: the same numbers in less time. Any other kind of batch
    runs as plain Pyro. The result is valid until the next call. The graph also serves every other fit in this process
    that differs only in its data, weights, buffers and the strengths of its prior.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.parameters = {
            f"guide.{name}": p.detach() for name, p in objective.guide.named_parameters() if p.requires_grad
        }
        self.buffers = dict(objective.named_buffers())
        self.names: list[str] = []
        self._own = {name: p for name, p in objective.named_parameters() if name not in self.parameters}
        self._steps: dict[Any, Compute] = {}

    def __call__(self, x: X, y: Tensor) -> list[Tensor]:
        """[terms, gradient, gradient, ...]."""
        step = self._steps.get(self.kind(x, y))
        return self.plain(x, y) if step is None else step(*structure.leaves(x), y)

    def kind(self, x: X, y: Tensor) -> Any:
        """What a graph is valid for: structure, shape, type and layout of a batch, and the prior's factors now."""
        batch, due = (*structure.leaves(x), y), self.objective.factors
        return *((t.shape, t.dtype, t.stride()) for t in batch), structure.form(x), due and tuple(due.values())

    def plain(self, x: X, y: Tensor) -> list[Tensor]:
        """By Pyro and PyTorch's autograd."""
        return self._plain(structure.form(x), *self._fixed, *self._given, *structure.leaves(x), y)

    @property
    def _fixed(self) -> list[Tensor]:
        """The tensors that are written to from step to step."""
        return [*self.parameters.values(), *self.buffers.values()]

    @property
    def _given(self) -> list[Tensor]:
        """The tensors that are not: the network's initial weights, and those that are not learned."""
        return list(self._own.values())

    def _plain(self, form: Any, *inputs: Tensor) -> list[Tensor]:
        """`plain` as a function of the fixed and given tensors, the leaves of an x of that form, and y."""
        names = [*self.parameters, *self.buffers, *self._own]
        *leaves, y = inputs[len(names) :]
        x = structure.build(form, leaves)
        named = dict(zip(names, inputs, strict=False))
        theta = {name: named[name].detach().requires_grad_() for name in self.parameters}
        with pyro.settings.context(module_local_params=True), pyro.validation_enabled(False):
            terms = functional_call(self.objective, named | theta, (x, y))
        self.names = list(terms)
        stacked = torch.stack(list(terms.values()))
        loss = stacked.sum() if (weight := named.get("kl_weight")) is None else _weighted(terms, weight)
        return [stacked.detach(), *torch.autograd.grad(loss, list(theta.values()))]

    def prepare(self, x: X, y: Tensor, compile: bool = False) -> str:
        """Capture the graph for batches shaped like x and y, and compile it if asked; returns a description.

        What cannot be captured stays plain, and what cannot be compiled stays captured; likewise if it gives other
        numbers than plain Pyro for this batch.
        """
        since = ""
        ways = {"compiled": self._compiled} if compile else {}
        for way, make in (ways | {"captured": self._captured}).items():
            start = time.perf_counter()
            with self._kept(y.device), only_new_garbage():
                try:
                    step = make(x, y)
                except Exception as error:  # whatever a user's network does that cannot be traced
                    since += f", since it cannot be {way} ({reason(error, self.objective.model.net)})"
                    continue
            self._steps[self.kind(x, y)] = step
            return f"{way} in {time.perf_counter() - start:.2g} s{since}"
        return f"plain Pyro{since}"

    def _captured(self, x: X, y: Tensor) -> Compute:
        """By the graph of an earlier fit, if it is as near to plain Pyro as it was there; else by a new one."""
        with CAPTURING:
            return self._bound(x, y)

    def _bound(self, x: X, y: Tensor) -> Compute:
        key, numbers, inputs = self._identity(x, y), self._numbers(), [*self._fixed, *self._given]
        program, before = (key and PROGRAMS.find(key, numbers.values)) or (None, [])
        if program:
            step = program.bind(inputs, numbers.values)
            with suppress(ArithmeticError):
                if all(now <= 10 * then for now, then in zip(self._verify(step, x, y), before, strict=True)):
                    return step
        program = self._program(x, y, numbers)
        step = program.bind(inputs, numbers.values)
        apart = self._verify(step, x, y)
        if key:
            PROGRAMS.keep(key, numbers.values, program, apart)
        return step

    def _program(self, x: X, y: Tensor, numbers: Numbers) -> Program:
        """With the prior's numbers as inputs, unless its code takes nothing but floats."""
        try:
            with numbers.as_inputs():
                traced = self._traced(x, y)
        except OverflowError:  # another attempt would take just as long
            raise
        except Exception:  # of the network, which raises it again, or of a prior
            numbers.tie()
            traced = self._traced(x, y)
        return simplify(traced, len(self._fixed), len(self._given), numbers)

    def _numbers(self) -> Numbers:
        return Numbers(self.objective.model.prior.terms)

    def _identity(self, x: X, y: Tensor) -> str | None:
        """The identity of the graph for such batches, whatever the prior's numbers, the weights and the buffers are.

        None where something cannot be pickled, and so not be told from anything else.
        """
        model, batch = self.objective.model, (*structure.leaves(x), y)
        kind = [(t.shape, t.dtype, t.stride(), t.device) for t in batch], structure.form(x)
        state = torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()
        inputs = [*self.objective.parameters(), *self.objective.buffers()]
        with suppress(Exception), self._numbers().as_inputs():
            function = model, self.objective.guide, self.objective.factors, *map(str, (kind, state, [*self.buffers]))
            return identity(function, inputs, ignored=(model.start, model.units))  # where inference starts
        return None

    def _traced(self, x: X, y: Tensor) -> fx.GraphModule:
        return trace(partial(self._plain, structure.form(x)), [*self._fixed, *self._given, *structure.leaves(x), y])

    def _compiled(self, x: X, y: Tensor) -> Compute:
        fixed, traced = [*self._fixed, *self._given], self._traced(x, y)
        with warnings.catch_warnings():  # the compiler's own
            warnings.simplefilter("ignore")
            compiled = torch.compile(traced, dynamic=False, options=COMPILER)
            compiled(*fixed, *structure.leaves(x), y)

        def step(*batch: Tensor) -> list[Tensor]:
            return compiled(*fixed, *batch)

        self._verify(step, x, y)
        return step

    def _verify(self, step: Compute, x: X, y: Tensor) -> list[float]:
        """How far the step's terms, gradients and buffers for this batch are from those of plain Pyro.

        Raises ArithmeticError if they show that it does something else.
        """
        results, states = [], []
        before = attributes(self.objective.model.net)
        for run in (partial(self._plain, structure.form(x), *self._fixed, *self._given), step):
            give_back()
            with self._kept(y.device):
                terms, *gradients = run(*structure.leaves(x), y)
                buffers = list(map(some, self.buffers.values()))
                results.append(([terms.clone()], list(map(some, gradients)), buffers))
                states.append(random_state(y.device))
            del gradients
        give_back()
        for name, value in attributes(self.objective.model.net).items():
            if value != before.get(name):
                raise ArithmeticError(f"its attribute {name} changes from call to call: keep it in a buffer")
        if not torch.equal(*states):
            raise ArithmeticError("it draws more or fewer random numbers than plain Pyro")
        distances = [distance(ours, plain) for plain, ours in zip(*results, strict=True)]
        if not all(each <= TOLERANCE for each in distances):  # false for NaN too
            raise ArithmeticError(
                "it gives other numbers than plain Pyro for the first batch: is it another function on every call, or "
                "does it draw random numbers that are not PyTorch's?"
            )
        return distances

    @contextmanager
    def _kept(self, device: torch.device) -> Iterator[None]:
        with self.objective.model.buffers_kept(), random_state_kept(device):
            yield
