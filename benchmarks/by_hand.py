"""The same objective by hand in plain PyTorch, as someone would write it who wants it fast.

Tensors in float32, autograd, one fused Adam, and no operation whose result nobody needs: constants of the densities
are left out. Each term is written in the way that measured fastest on a CPU: squares as dot products, |θ| tensor by
tensor, ARD on one vector while that is small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from bayesreg.likelihoods import Categorical, Likelihood
from bayesreg.priors import ARD, L1, L2, Entropic, Prior

SMALL = 100_000  # weights: below this, copying them to one vector costs less than another kernel a tensor


class HandWritten:
    """(x, y) → the loss per datum without constants; the parameters move one step. MAP, the delta guide.

    The learned noise scale and the precisions of ARD are parameters of their own, in logarithms. decay: L2 as the
    weight decay of Adam, which gives the same steps but no longer the objective's value. compile: forward pass and
    loss go through `torch.compile`.
    """

    def __init__(
        self,
        net: nn.Module,
        prior: Prior,
        likelihood: Likelihood,
        size: int,
        lr: float,
        steps: int,
        decay: bool = False,
        compile: bool = False,
    ) -> None:
        self.net, self.prior, self.size, self.decay = _channels_last(net), prior, size, decay
        self.lr, self.steps, self.done = lr, steps, 0
        weights: list[Tensor] = [p for p in net.parameters() if p.dim() >= 2]
        self.weights, device = weights, weights[0].device
        self.log_scale = None if isinstance(likelihood, Categorical) else torch.zeros((), device=device)
        self.log_precisions: list[Tensor] = []
        if isinstance(prior, ARD):
            at_maximum = [torch.log((prior.a - 0.5) / (prior.b + w.detach() ** 2 / 2)) for w in _vectors(weights)]
            self.log_precisions = at_maximum
        self.parameters = self.learned()
        for parameter in self.parameters:
            parameter.requires_grad_()
        decayed = {id(w) for w in weights} if decay and isinstance(prior, L2) else set()
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.parameters if id(p) in decayed], "weight_decay": prior.per_datum(size)},
            {"params": [p for p in self.parameters if id(p) not in decayed]},
        ]
        self.optimiser = torch.optim.Adam([g for g in groups if g["params"]], lr=lr, fused=True)
        self.loss: Callable[[Tensor, Tensor], Tensor] = (
            torch.compile(self.forward, dynamic=False) if compile else self.forward
        )

    def learned(self) -> list[Tensor]:
        """All that Adam moves."""
        scale = [] if self.log_scale is None else [self.log_scale]
        return [*self.net.parameters(), *scale, *self.log_precisions]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        rate = self.lr * (1 + math.cos(math.pi * self.done / self.steps)) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.done += 1
        for parameter in self.parameters:
            parameter.grad = None  # zero_grad(set_to_none=True), without its bookkeeping
        loss = self.loss(x, y)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.objective(self.net(_floats(x)), y, self.weights, self.log_scale, self.log_precisions)

    def objective(
        self, f: Tensor, y: Tensor, weights: list[Tensor], log_scale: Tensor | None, log_precisions: list[Tensor]
    ) -> Tensor:
        """Mean negative log likelihood and −log p(θ) / N."""
        prior, bonus = self.prior, self.prior.strength if isinstance(self.prior, Entropic) else 0.0
        if log_scale is not None:
            loss = 0.5 * torch.exp(-2 * log_scale) * F.mse_loss(f.squeeze(-1), y) + (1 - bonus) * log_scale
        elif bonus:
            log_p = f.log_softmax(-1)
            loss = F.nll_loss(log_p, y) + bonus / len(y) * (log_p.exp() * log_p).sum()
        else:
            loss = F.cross_entropy(f, y)
        if isinstance(prior, L2) and not self.decay:
            for w in map(_flat, weights):
                loss = torch.add(loss, torch.dot(w, w), alpha=0.5 * prior.per_datum(self.size))
        elif isinstance(prior, L1):
            loss = loss + prior.per_datum(self.size) * sum(w.abs().sum() for w in weights)
        elif isinstance(prior, ARD):
            loss = loss + sum(map(self.ard, _vectors(weights), log_precisions)) / self.size
        return loss

    def ard(self, w: Tensor, log_precision: Tensor) -> Tensor:
        """Σ [½ α θ² + b α − (a − ½) log α]."""
        assert isinstance(self.prior, ARD)
        precision = log_precision.exp()
        return (
            0.5 * torch.dot(precision, w * w)
            + self.prior.b * precision.sum()
            - (self.prior.a - 0.5) * (log_precision.sum())
        )


class MeanField(HandWritten):
    """The normal guide by hand: one vector of means and one of scales, θ = m + s ε, less the entropy Σ log s / N.

    Noise scale and precisions are normal in their logarithms u, whose Jacobian adds Σ u to the entropy.
    """

    def learned(self) -> list[Tensor]:
        self.names = [name for name, _ in self.net.named_parameters()]
        each = super().learned()
        self.shapes = [p.shape for p in each]
        self.positive = sum(p.numel() for p in each[len(self.names) :])
        self.mean = torch.cat([p.detach().reshape(-1) for p in each])
        self.raw = torch.full_like(self.mean, math.log(0.01))  # log s
        self.net.requires_grad_(False)
        return [self.mean, self.raw]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        scale = self.raw.exp()
        draw = torch.addcmul(self.mean, scale, torch.randn_like(self.mean))
        parts = draw.split([shape.numel() for shape in self.shapes])
        values = [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        own, rest = values[: len(self.names)], values[len(self.names) :]
        f = functional_call(self.net, dict(zip(self.names, own, strict=True)), (_floats(x),))
        log_scale = None if self.log_scale is None else rest.pop(0)
        loss = self.objective(f, y, [w for w in own if w.dim() >= 2], log_scale, rest)
        entropy = self.raw.sum()
        if self.positive:
            entropy = entropy + draw[-self.positive :].sum()
        return loss - entropy / self.size


def _channels_last(net: nn.Module) -> nn.Module:
    """Convolutions are a little faster so; other networks as they are."""
    images = any(isinstance(module, nn.Conv2d) for module in net.modules())
    to: Any = net.to  # whose stubs know this call in newer versions only
    return to(memory_format=torch.channels_last) if images else net


def _floats(x: Tensor) -> Tensor:
    return x.to(torch.float32, memory_format=torch.channels_last) / 255 if x.dtype == torch.uint8 else x


def _flat(w: Tensor) -> Tensor:
    """[n], without a copy."""
    return (w.permute(0, 2, 3, 1) if w.dim() == 4 else w).reshape(-1)


def _vectors(weights: list[Tensor]) -> list[Tensor]:
    """One vector where that is small, else one a tensor."""
    flat = list(map(_flat, weights))
    return [torch.cat(flat)] if sum(map(len, flat)) < SMALL else flat
