"""Local latents: z_i of each example, besides the global θ  (Hoffman et al., Stochastic Variational Inference, 2013).

A network declares them by two methods of its class, `model(x)` and `guide(x)`, that take a batch x [B, ...] as
`forward` does, with several inputs too, and make Pyro's sample statements for z ~ p(z | x, θ) and z ~ q(z | x, θ);
`model` returns the outputs f at z. Both run at θ, inside the plate "data". `forward` stays a function of x, as in any
network.
"""

from collections.abc import Callable
from typing import Any

import pyro
from pyro import poutine
from torch import nn

from bayesreg import structure
from bayesreg.structure import X


def has_local_latents(net: nn.Module) -> bool:
    """Whether the network's class has the methods `model` and `guide`; submodules of that name do not count."""
    return all(callable(getattr(type(net), name, None)) for name in ("model", "guide"))


class Method(nn.Module):
    """A method of a network as a module of its own, whose parameters are the network's: "net.<name>"."""

    def __init__(self, net: nn.Module, name: str) -> None:
        super().__init__()
        self.net, self.name = net, name

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.net, self.name)(*args, **kwargs)


def check(net: nn.Module, x: X) -> None:
    """Raise ValueError unless model and guide draw the same z, with one log density per example and a gradient."""
    kind, size = type(net).__name__, structure.size(x)
    for method in ("model", "guide"):
        if refused := structure.refusal(getattr(net, method), x):
            raise ValueError(f"{kind}.{method} {refused}: let it take what forward takes")
    prior, q = (_sites(getattr(net, method), x) for method in ("model", "guide"))
    if not prior or prior.keys() != q.keys():
        raise ValueError(
            f"{kind}.model samples {sorted(prior)} and {kind}.guide {sorted(q)}: let both sample the same sites, "
            'at least one, as in pyro.sample("z", ...)'
        )
    for name in prior:
        for method, site in (("model", prior[name]), ("guide", q[name])):
            if site["fn"].batch_shape != (size,):
                raise ValueError(
                    f"{kind}.{method} samples {name!r} with a batch shape of {list(site['fn'].batch_shape)} for "
                    f"{size} examples, not [{size}]: expand it to [B, ...] and declare the rest with .to_event(1)"
                )
        if prior[name]["value"].shape != q[name]["value"].shape:
            shapes = list(prior[name]["value"].shape), list(q[name]["value"].shape)
            raise ValueError(f"{name!r} is of shape {shapes[0]} in {kind}.model and of {shapes[1]} in {kind}.guide")
        if not q[name]["fn"].has_rsample:
            raise ValueError(
                f"{kind}.guide samples {name!r} from {type(q[name]['fn']).__name__}, which has no gradient with "
                "respect to its parameters: take a reparameterised distribution, such as Normal"
            )


def _sites(method: Callable[..., Any], x: X) -> dict[str, Any]:
    args, kwargs = structure.arguments(x)
    with poutine.block(), pyro.validation_enabled(False):  # the shapes are checked here, with our own messages
        trace = poutine.trace(method).get_trace(*args, **kwargs)
    return {name: site for name, site in trace.nodes.items() if site["type"] == "sample" and not site["is_observed"]}
