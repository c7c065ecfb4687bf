"""Pyro as its tutorials teach it: every parameter a PyroSample, AutoDelta, and SVI.step with Trace_ELBO."""

from __future__ import annotations

import itertools

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDelta, init_to_value
from pyro.nn import PyroSample
from pyro.nn.module import to_pyro_module_
from torch import Tensor, nn

from bayesreg.likelihoods import Categorical, Likelihood
from bayesreg.priors import L1, L2, Flat, Prior

_numbers = itertools.count()


def possible(net: nn.Module, prior: Prior) -> bool:
    """Whether this file can do it. nn.LSTM is not possible: it reads its weights from a list, past every PyroSample."""
    return isinstance(prior, Flat | L1 | L2) and not any(isinstance(m, nn.RNNBase) for m in net.modules())


def naive(net: nn.Module, prior: Prior, likelihood: Likelihood, size: int, lr: float) -> SVI:
    """Its `step(x, y)` trains. The guide starts at the weights of the network, which becomes a PyroModule itself."""
    values = {name: p.detach().clone() for name, p in net.named_parameters()}
    categorical = isinstance(likelihood, Categorical)
    if not categorical:
        values["noise"] = next(net.parameters()).new_tensor(1.0)
    to_pyro_module_(net)
    for name, value in values.items():
        owner, _, attribute = name.rpartition(".")
        if name != "noise":
            setattr(net.get_submodule(owner), attribute, PyroSample(_density(prior, value)))

    def model(x: Tensor, y: Tensor) -> None:
        noise = None if categorical else pyro.sample("noise", dist.LogNormal(0.0, 1.0).mask(False))
        f = net(x / 255 if x.dtype == torch.uint8 else x)
        with pyro.plate("data", size, subsample=x):
            pyro.sample("y", dist.Categorical(logits=f) if categorical else dist.Normal(f.squeeze(-1), noise), obs=y)

    guide = AutoDelta(model, init_loc_fn=init_to_value(values=values))
    guide._pyro_name = f"naive{next(_numbers)}"  # one parameter store holds all of them
    return SVI(model, guide, pyro.optim.Adam({"lr": lr}), Trace_ELBO())


def _density(prior: Prior, value: Tensor) -> dist.Distribution:
    zero = torch.zeros_like(value)
    if value.dim() >= 2 and isinstance(prior, L1 | L2):
        kind = dist.Normal if isinstance(prior, L2) else dist.Laplace
        return kind(zero, prior.scale).to_event(value.dim())
    return dist.Normal(zero, 1.0).to_event(value.dim()).mask(False)
