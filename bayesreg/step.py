"""One step of training: the gradient of −ELBO / N at a batch, and Adam with a learning rate that falls."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from pyro.infer.autoguide import AutoGuide
from torch import Tensor

from bayesreg import schedule, structure
from bayesreg.guides.start import locations
from bayesreg.model import Model
from bayesreg.objective import Gradient, Objective
from bayesreg.randomness import random_state_kept
from bayesreg.structure import X
from bayesreg.update import Bound, Update

COMPILE = ("never", "auto", "always")
WORTH_CAPTURING = 50  # steps: capturing takes as long as it saves in some thirty of a small network
RATE = {"cpu": 5e10, "cuda": 2e13}  # floating-point operations per second that training reaches, on a CPU per thread
OVERHEAD = 1e-4  # seconds that the smallest captured step takes
COMPILING = 60.0  # seconds at most, for a deep network
GAIN = 0.1  # of a captured step's time, that compiling saves
Compute = Callable[[X, Tensor], Tensor]


class Step:
    """(x, y) → the terms of the objective at this batch [T]; the guide's parameters move one step.

    Adam (Kingma & Ba, 2015) in one fused kernel over the few flat vectors of the guide, its learning rate `lr` times
    `pace(done, steps)` after `done` of all `steps`. rates: by parameter name, what its steps are multiplied by, of a
    shape that broadcasts to its own: Adam moves p / rate. update: what is done to the weights beside it. warm_up: the
    share of the steps in which the weight of the KL term in the gradient, of all terms but the likelihood's, rises
    linearly from 0 to 1; the terms are those of the ELBO throughout.
    """

    def __init__(
        self,
        model: Model,
        guide: AutoGuide,
        lr: float,
        steps: int,
        rates: Mapping[str, Tensor] | None = None,
        update: Update | None = None,
        warm_up: float = 0.0,
        pace: Callable[[int, int], float] = schedule.half_cosine,
    ) -> None:
        self.model, self.gradient = model, Gradient(Objective(model, guide, warms_up=warm_up > 0))
        self.warm_up = warm_up
        self.parameters = list(self.gradient.parameters.values())
        self.lr, self.steps, self.done, self.pace = lr, steps, 0, pace
        self.prepare_seconds = 0.0
        on_gpu = self.parameters[0].is_cuda  # a CUDA graph reads the learning rate and the count from memory
        rate = torch.tensor(0.0, device=self.parameters[0].device) if on_gpu else 0.0  # set before each step
        self.optimiser = torch.optim.Adam(self.parameters, lr=rate, fused=True, capturable=on_gpu)
        self._recorded: dict[Any, Compute] = {}
        self._rates = dict(rates or {})
        self._vectors = self._vectors_of_rates()
        self.update = update and self._bound(update)

    def _bound(self, update: Update) -> Bound:
        """The update of the weights that it claims, each with its second moment in Adam and its rate."""
        self._begin()
        own = dict(self.model.net.named_parameters())
        names = [name for block in self.model.blocks for name in block.shapes if update.claims(name, own[name])]
        weights, squares = (
            dict(self._named(vectors))
            for vectors in (self.parameters, [self.optimiser.state[p]["exp_avg_sq"] for p in self.parameters])
        )
        return Bound(update, self.optimiser, [(weights[name], squares[name], self._rates.get(name)) for name in names])

    def _named(self, vectors: list[Tensor]) -> Iterator[tuple[str, Tensor]]:
        """The parts of vectors like the guide's, by the name of their parameter or site."""
        for path, vector in zip(self.gradient.parameters, vectors, strict=True):
            for site, part in locations(self.gradient.objective.guide, path.removeprefix("guide."), vector):
                yield site, part
                for block in self.model.blocks:
                    yield from block.unpack(part).items() if site == block.site else ()

    def _parts(self, vectors: list[Tensor], rates: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """The parts of vectors like the guide's that have a rate of their own, and that rate."""
        yield from ((part, rates[name]) for name, part in self._named(vectors) if name in rates)

    def _vectors_of_rates(self) -> list[Tensor | None]:
        """The rates as vectors like the parameters, 1 where there is none; None for those without any."""
        if not self._rates:
            return [None] * len(self.parameters)
        vectors = [torch.ones_like(parameter) for parameter in self.parameters]
        for part, rate in self._parts(vectors, self._rates):
            part.copy_(rate)
        return [vector if bool((vector != 1).any()) else None for vector in vectors]

    def _begin(self) -> None:
        """Give Adam its moments, all 0, if it has none yet: a step with gradient 0 moves nothing."""
        if self.optimiser.state:
            return
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        self.optimiser.step()
        self.optimiser.zero_grad()
        for moments in self.optimiser.state.values():
            moments["step"].zero_()

    def __call__(self, x: X, y: Tensor) -> Tensor:
        rate = self.lr * self.pace(self.done, self.steps)
        group = self.optimiser.param_groups[0]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
        self.gradient.objective.step = self.done
        self._weigh(self.kl_weight(self.done))
        self.done += 1
        return self._recorded.get(self.gradient.kind(x, y), self._update)(x, y)

    def _update(self, x: X, y: Tensor) -> Tensor:
        terms, *gradients = self.gradient(x, y)
        if self.update:
            terms = self.update.before(terms)
        for parameter, gradient, rate in zip(self.parameters, gradients, self._vectors, strict=True):
            parameter.grad = gradient if rate is None else gradient * rate  # that of p / rate, as large in every unit
            if rate is not None:
                parameter.div_(rate)  # in float32 a step of lr would be lost in a p of 1e6
        self.optimiser.step()
        for parameter, rate in zip(self.parameters, self._vectors, strict=True):
            if rate is not None:
                parameter.mul_(rate)
            parameter.grad = None  # its memory is free for the next step's activations
        if self.update:
            self.update.after()
        return terms

    def kl_weight(self, done: int) -> float:
        """The weight of the KL term in the gradient after so many steps."""
        return min(1.0, done / (self.warm_up * self.steps)) if self.warm_up else 1.0

    def _weigh(self, weight: float) -> None:
        if self.warm_up:
            self.gradient.objective.kl_weight.fill_(weight)

    @property
    def names(self) -> list[str]:
        """The terms of the objective, and of the update where it has one, by name."""
        return self.gradient.names + (self.update.names if self.update else [])

    def penalty(self, terms: Mapping[str, float]) -> float:
        """What the prior, without its densities' constants, and the update add to the loss, in nats per datum."""
        return self.model.penalty(terms) + sum(terms[name] for name in (self.update.names if self.update else []))

    def prepare(self, x: X, y: Tensor, steps: int, work: float, compile: str = "auto") -> str:
        """Prepare for `steps` batches shaped like x and y; returns what was chosen, and why.

        work: floating-point operations of a forward pass on the batch. Capturing pays from some fifty steps on,
        compiling from many minutes on; "auto" estimates them from the work alone, so that the same run
        always chooses the same.
        """
        if compile != "always" and steps < WORTH_CAPTURING:
            return f"plain Pyro, since {steps} steps are too few for capturing to pay"
        start = time.perf_counter()
        seconds = steps * (OVERHEAD + 3 * work / self._rate())
        pays = GAIN * seconds > COMPILING
        said = []
        for step in self._phases():
            self.gradient.objective.step = step
            how = self.gradient.prepare(x, y, compile == "always" or (compile == "auto" and pays))
            said.append(how + (self._record(x, y) if y.is_cuda else ""))
        how = "; every other step ".join(dict.fromkeys(said))
        if compile == "auto" and not pays and how.startswith("captured"):
            how += (
                f"; not compiled, which pays from {COMPILING / GAIN / 60:.0f} minutes on (this: about {seconds:.0f} s)"
            )
        self.prepare_seconds += time.perf_counter() - start
        return how

    def mean_gradient(self, batches: Iterable[tuple[X, Tensor]]) -> list[Tensor]:
        """The gradient of the objective at the parameters as they are, in float64: its mean over the batches' data."""
        self._weigh(1.0)
        sums = [torch.zeros_like(parameter, dtype=torch.float64) for parameter in self.parameters]
        data = 0
        for self.gradient.objective.step, (x, y) in enumerate(batches):
            _, *gradients = self.gradient(x, y)
            for total, gradient in zip(sums, gradients, strict=True):
                total.add_(gradient, alpha=len(y))
            data += len(y)
        return [total / data for total in sums]

    def losses(self, batches: Iterable[tuple[X, Tensor]]) -> tuple[Tensor, Tensor]:
        """The objective at the parameters as they are, in float64, for each batch, and its share of the data."""
        found, sizes = [], []
        for self.gradient.objective.step, (x, y) in enumerate(batches):
            found.append(self.gradient(x, y)[0].double().sum())
            sizes.append(len(y))
        weights = torch.tensor(sizes, device=found[0].device, dtype=torch.float64)
        return torch.stack(found), weights / weights.sum()

    def preconditioners(self) -> list[Tensor]:
        """What Adam would multiply a gradient by: lr / √v times the squared rates, at the initial lr and present v.

        It is 0 for what the likelihood has put at its maximum.
        """
        b2, epsilon = self.optimiser.defaults["betas"][1], self.optimiser.defaults["eps"]
        moments = [self.optimiser.state[parameter] for parameter in self.parameters]
        roots = [(m["exp_avg_sq"].double() / (1 - b2 ** m["step"].item())).sqrt() for m in moments]
        made = [self.lr / (root + epsilon) for root in roots]
        for part, rate in self._parts(made, self._rates | {site: torch.tensor(0.0) for site in self.model.start}):
            part *= rate**2  # of the gradient, as of p / rate, and of the step
        return made

    def clone(self) -> list[Tensor]:
        """The parameters as they are."""
        return [parameter.clone() for parameter in self.parameters]

    def put(self, values: list[Tensor]) -> None:
        """Write the parameters, in place."""
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    @property
    def cycle(self) -> int:
        """The number of steps after which all terms of the prior are at the same turn again."""
        return self.gradient.objective.cycle

    def _phases(self) -> list[int]:
        """One step of each kind, by the turns of the prior's terms."""
        objective = self.gradient.objective
        found: dict[Any, int] = {}
        for objective.step in range(self.cycle):
            found.setdefault(tuple((objective.factors or {}).values()), objective.step)
        return list(found.values())

    def _rate(self) -> float:
        device = self.parameters[0].device.type
        return RATE["cpu"] * torch.get_num_threads() if device == "cpu" else RATE["cuda"]

    def _record(self, x: X, y: Tensor) -> str:
        kept = copy.deepcopy(self.state())
        try:
            with random_state_kept(y.device):
                self._recorded[self.gradient.kind(x, y)] = _record(self._update, x, y)
            return ", recorded as one CUDA graph"
        except RuntimeError as error:  # a kernel that waits for the host
            return f", not recorded as a CUDA graph ({error})"
        finally:
            self.restore(kept)

    def state(self) -> dict[str, Any]:
        """What changes from step to step: the tensors themselves, and how many steps are done."""
        self._begin()
        return {
            "parameters": self.gradient.parameters,
            "buffers": self.gradient.buffers,
            "moments": {name: self.optimiser.state[p] for name, p in self.gradient.parameters.items()},
            "done": self.done,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to that state, in place: what was captured reads and writes these very tensors."""
        ours = self.state()
        for part in ("parameters", "buffers"):
            for name, tensor in ours[part].items():
                tensor.copy_(state[part][name])
        for name, moments in ours["moments"].items():
            for key, tensor in moments.items():
                tensor.copy_(state["moments"][name][key])
        self.done = state["done"]


def _record(update: Compute, x: X, y: Tensor) -> Compute:
    """`update` as one CUDA graph: the host then has one launch per step, not one per kernel."""
    x, y = structure.mapped(torch.clone, x), y.clone()
    kept = (*structure.leaves(x), y)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(
        stream
    ):  # PyTorch's recipe: warm up on a side stream, so that nothing is set up during capture
        for _ in range(3):
            update(x, y)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        terms = update(x, y)

    def replay(x: X, y: Tensor) -> Tensor:
        for tensor, new in zip(kept, (*structure.leaves(x), y), strict=True):
            tensor.copy_(new)
        graph.replay()
        return terms.clone()

    return replay
