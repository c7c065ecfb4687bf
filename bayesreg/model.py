"""The Pyro model p(y, θ | x) of a network, a prior and a likelihood."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.func import functional_call

from bayesreg import structure
from bayesreg.likelihoods import Likelihood, as_likelihood
from bayesreg.local import Method, has_local_latents
from bayesreg.network import copied
from bayesreg.priors import Batch, Latent, Prior, WeightPrior, as_prior
from bayesreg.priors.base import whole
from bayesreg.priors.batch import Factor
from bayesreg.priors.vector import FlatVector
from bayesreg.structure import X

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Block:
    """The parameters that one prior claims: one flat vector, one Pyro site. prior None: a flat density."""

    site: str
    prior: WeightPrior | None
    shapes: dict[str, torch.Size]

    @property
    def size(self) -> int:
        """n, the number of parameters."""
        return sum(shape.numel() for shape in self.shapes.values())

    @property
    def constant(self) -> float:
        """The part of the log density that is the same for every θ, in nats."""
        return self.prior.constant(self.size) if self.prior else 0.0

    @property
    def latents(self) -> dict[str, Latent]:
        """The prior's own latents, by site, such as "precision.weights"."""
        return {f"{latent.name}.{self.site}": latent for latent in self.prior.latents} if self.prior else {}

    @property
    def shapes_of_sites(self) -> dict[str, tuple[int, ...]]:
        """The shape of the value at each site of the block: of its vector, and of its prior's latents."""
        shapes = {site: (self.size,) if each.shape is None else each.shape for site, each in self.latents.items()}
        return {self.site: (self.size,)} | shapes

    def sample(self, like: Tensor) -> Parameters:
        """The sample statements of the vector and the prior's latents, by site; ValueError for other sites."""
        assert self.prior is not None
        drawn = self.prior.sample(self.site, like)
        if drawn.keys() != self.shapes_of_sites.keys():
            raise ValueError(
                f"{type(self.prior).__name__}.sample gives the sites {sorted(drawn)}, but declares "
                f"{sorted(self.shapes_of_sites)}: declare each latent of its own in `latents`, and return them all"
            )
        return drawn

    def initial(self, vector: Tensor) -> Parameters:
        """Where inference starts, by site, for parameters `vector` [n]."""
        shapes = self.shapes_of_sites
        starts = {site: torch.as_tensor(each.start(vector)).to(vector) for site, each in self.latents.items()}
        return {self.site: vector} | {site: start.expand(shapes[site]).clone() for site, start in starts.items()}

    def profile(self, vector: Tensor) -> Parameters:
        """The prior's latents at their maximum given `vector` [n], where that has a closed form, by site."""
        return {site: each.profile(vector) for site, each in self.latents.items() if each.profile}

    def named(self, site: str, value: Tensor) -> Parameters:
        """The value at a site of the block by parameter name; a latent of another shape keeps the site's name."""
        if site != self.site and self.latents[site].shape is not None:
            return {site: value}
        return self.unpack(value, site.removesuffix(self.site))

    def at(self, site: str, parameters: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `named`."""
        if site != self.site and self.latents[site].shape is not None:
            return parameters[site]
        return self.pack(parameters, site.removesuffix(self.site))

    def pack(self, named: Mapping[str, Tensor], prefix: str = "") -> Tensor:
        """{"fc1.weight": tensor, ...} as one vector [n]; convolution filters with their channels last.

        So are their gradients when the images are, which then need no reordering.
        """
        tensors = [named[prefix + name] for name in self.shapes]
        return torch.cat([(t.movedim(1, -1) if t.dim() == 4 else t).reshape(-1) for t in tensors])

    def unpack(self, vector: Tensor, prefix: str = "") -> Parameters:
        """The vector [..., n] as views by name."""
        parts = vector.split([shape.numel() for shape in self.shapes.values()], dim=-1)
        named: Parameters = {}
        for (name, shape), part in zip(self.shapes.items(), parts, strict=True):
            filters = len(shape) == 4
            stored = (shape[0], *shape[2:], shape[1]) if filters else shape
            tensor = part.reshape(*vector.shape[:-1], *stored)
            named[prefix + name] = tensor.movedim(-1, -3) if filters else tensor
        return named


class Model(nn.Module):
    """log p(y, θ | x) = Σ_i log p(y_i | f(x_i; θ)) + log p(θ), an ordinary Pyro model.

    net: any nn.Module; it is copied, so the caller's stays as it is. Parameters that do not require a
    gradient stay fixed at their values. prior: a `Prior`, a sum, or its text, "l2:1e-4+entropic:0.1". likelihood: p(y |
    f), an instance, its class or its name in LIKELIHOODS. size: N, the number of data; a batch of B stands for all of
    them, scaled by N/B. x may be a tuple or a dict of tensors, the network's positional or keyword arguments; for Pyro
    it is a single argument. Images of dtype uint8 are scaled to [0, 1]. Hand it to Pyro's SVI, Predictive or
    MCMC(NUTS(...)) as it is, or to `bayesreg.fit`.

    A network with latents z_i of each example (see `local`) adds Σ_i log p(z_i | x_i, θ), and f is taken at z_i; the
    curvature and the predictions stay those of its `forward`.

    ValueError where a prior has no meaning here, where two weight priors claim one parameter, where an
    `on` matches none, and for what is not a network, prior, likelihood or size.
    """

    def __init__(
        self, net: nn.Module, prior: Prior | str, likelihood: Likelihood | type[Likelihood] | str, size: int
    ) -> None:
        super().__init__()
        try:
            whole("Model", size=size)
        except ValueError as error:
            raise ValueError(f"{error}; it is the number of data, len(data.train)") from None
        self.net = copied(net)
        self.size = int(size)
        self.prior = as_prior(prior, self.size)
        self.likelihood = as_likelihood(likelihood)
        for term in self.prior.terms:
            term.check(self.net, self.likelihood)
        learned = {name: p for name, p in self.net.named_parameters() if p.requires_grad}
        if not learned:
            raise ValueError("the network has no parameter that requires a gradient: there is nothing to learn")
        self.blocks = _blocks(self.prior, learned)
        self.local = has_local_latents(self.net)
        self.autocast: torch.dtype | None = None  # what the network alone computes in during training
        self.start: Parameters = {}  # where the likelihood's latents start, once data are known
        self.units: Parameters = {}  # of the network's parameters, by name, where y gives them one
        self.net.requires_grad_(False)

    def __repr__(self) -> str:
        count = sum(block.size for block in self.blocks)
        return (
            f"Model({type(self.net).__name__} of {count:,} parameters, prior: {self.prior}, "
            f"likelihood: {self.likelihood}, N = {self.size:,})"
        )

    def copy(self) -> Model:
        """The same model with its own mode and buffers; the network's weights, never written to, are shared."""
        shared: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in self.net.parameters()}
        return copy.deepcopy(self, shared)

    def initial(self) -> Parameters:
        """Where inference starts, by site: the network's own weights, and each prior's latents given them."""
        own = dict(self.net.named_parameters())
        start: Parameters = {}
        for block in self.blocks:
            vector = block.pack(own).clone()
            start |= block.initial(vector)
        return start | {site: value.to(vector) for site, value in (self.likelihood.initial() | self.start).items()}

    def latents(self, *args: Any) -> Parameters:
        """The sample statements of everything unknown, by site; data that are passed have no effect."""
        own = dict(self.net.named_parameters())
        sites: Parameters = {}
        for block in self.blocks:
            if block.prior:
                sites |= block.sample(block.pack(own))
            else:
                flat = FlatVector(partial(block.pack, own), block.size)
                sites[block.site] = pyro.sample(block.site, flat)
        return sites | self.likelihood.sample()

    def forward(self, x: X, y: Tensor | None = None, factors: Mapping[str, Factor] | None = None) -> Tensor:
        """Pyro statements for inputs x [B, ...] and targets y [B, ...]; y None draws from p(y | x, θ).

        factors: what stands in for those of the prior's terms, by site, as in a training step; None: all in full.
        """
        x = to_unit(x)
        parameters = self.unpack(self._single(self.latents()))
        data = self._data(x)
        batch = Batch(x, partial(self.outputs, parameters), self.size, lambda f: self.likelihood(f, parameters))
        at_latents = None
        if self.local:
            with data:  # for latents of each example
                at_latents = self._call("model", parameters, x)
        full = {name: term.log_factor for name, term in self.terms.items()}
        for name, factor in batch.evaluate(full if factors is None else factors, at_latents).items():
            if factor is not None:  # outside the plate, which would scale it by N/B once more
                pyro.factor(name, self._number(factor))
        with data:
            if y is None:
                return pyro.sample("y", batch.predictive)
            observed = self.likelihood.target(y, batch.predictive)
            return pyro.sample("y", self.likelihood.observation(batch.predictive), obs=observed)

    def _single(self, sites: Parameters) -> Parameters:
        """Values in Predictive's shape, [1, ...], in their own shape."""
        own = {site: len(shape) for block in self.blocks for site, shape in block.shapes_of_sites.items()}
        own |= {site: value.dim() for site, value in self.likelihood.initial().items()}
        return {site: value.squeeze(0) if value.dim() > own.get(site, 1) else value for site, value in sites.items()}

    def _number(self, value: Tensor | float) -> Tensor:
        like = next(self.net.parameters())
        return value if isinstance(value, Tensor) else torch.full((), value, dtype=like.dtype, device=like.device)

    def guide(self, parameters: Parameters, x: X, y: Tensor | None = None) -> None:
        """Pyro statements of q(z | x, θ) at named parameters, where the network has latents of each example."""
        if self.local:
            with self._data(x):
                self._call("guide", parameters, x)

    def _data(self, x: X) -> Any:
        some = structure.leaves(x)[0]  # only the length of the subsample matters
        return pyro.plate("data", self.size, subsample=some, dim=-1)

    @property
    def terms(self) -> dict[str, Prior]:
        """The terms of the prior by the site of their factors; a second one of the same name gets a trailing _."""
        named: dict[str, Prior] = {}
        for term in self.prior.terms:
            repeats = [earlier.name for earlier in named.values()].count(term.name)
            named[term.name + "_" * repeats] = term
        return named

    def penalty(self, terms: Mapping[str, float]) -> float:
        """What the prior adds to the loss, strength × penalty in nats per datum, without its densities' constants.

        terms: those of the objective by site, in nats per datum; under a guide with draws, their mean over the draws.
        """
        sites = {*self.terms, *(site for block in self.blocks for site in block.shapes_of_sites)}
        ours = [term for site, term in terms.items() if site in sites]
        return sum(ours) + sum(block.constant for block in self.blocks) / self.size

    def in_precision(self, x: X) -> X:
        """x in the dtype of the network, integers unchanged: tables are often float64."""
        dtype = next(self.net.parameters()).dtype
        return structure.mapped(lambda leaf: leaf.to(dtype) if leaf.is_floating_point() else leaf, x)

    def outputs(self, parameters: Parameters, x: X, buffers: Mapping[str, Tensor] | None = None) -> Tensor:
        """f = Ω(x; θ) at named parameters, in its present mode (train or eval). buffers: in place of its own ones."""
        return self._call("forward", parameters, x, buffers)

    def _call(self, method: str, parameters: Parameters, x: X, buffers: Mapping[str, Tensor] | None = None) -> Tensor:
        net, prefix = (self.net, "") if method == "forward" else (Method(self.net, method), "net.")
        own = {prefix + name: parameters[name] for block in self.blocks for name in block.shapes} | dict(buffers or {})
        args, kwargs = structure.arguments(to_unit(x))
        if self.autocast is None or not self.net.training:
            return functional_call(net, own, args, kwargs)
        with torch.autocast(structure.leaves(x)[0].device.type, self.autocast):  # densities need full precision
            f = functional_call(net, own, args, kwargs)
        return f.float() if f.dtype == self.autocast else f

    def unpack(self, sites: Parameters) -> Parameters:
        """Values by site as values by name: "fc1.weight", "precision.fc1.weight", "noise.scale"."""
        named: Parameters = {}
        rest = dict(sites)
        for block in self.blocks:
            for site in (site for site in block.shapes_of_sites if site in sites):
                named |= block.named(site, rest.pop(site))
        return named | rest

    def pack(self, parameters: Parameters) -> Parameters:
        """Values by name as values by site. ValueError for a name that is missing, unknown or misshapen."""
        self._check_names(parameters)
        packed = {site: block.at(site, parameters) for block in self.blocks for site in block.shapes_of_sites}
        return packed | {site: parameters[site] for site in self.likelihood.initial()}

    def log_joint(self, parameters: Parameters, x: X, y: Tensor) -> Tensor:
        """log p(y, θ | x) in nats on the scale of the N data, a scalar, differentiable in the parameters.

        parameters: {"layer1.0.conv1.weight": tensor, ...}, with "precision.<name>" under ARD and "noise.scale" where
        the likelihood learns it. For a batch (x, y) of B data it is the unbiased estimate, the likelihood scaled by
        N/B. The network's buffers stay as they are.

        Where the network has latents z of each example it is log p(y, z, θ | x) − log q(z | x, θ) at one draw of
        z ~ q from PyTorch's random state: unbiased for the evidence lower bound of log p(y, θ | x).
        """
        conditioned = poutine.condition(self, data=self.pack(parameters))
        with self.buffers_kept():
            guide = poutine.trace(self.guide).get_trace(parameters, x)
            model = poutine.trace(poutine.replay(conditioned, trace=guide)).get_trace(x, y)
        return model.log_prob_sum() - guide.log_prob_sum()

    @contextmanager
    def buffers_kept(self) -> Iterator[None]:
        """Restore the network's buffers (BatchNorm's running statistics) at the end."""
        kept = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
        try:
            yield
        finally:
            for name, buffer in self.net.named_buffers():
                buffer.copy_(kept[name])

    def _check_names(self, parameters: Parameters) -> None:
        expected = {name: value.shape for name, value in self.unpack(self.initial()).items()}
        for name in expected.keys() - parameters.keys():
            raise ValueError(f"parameter {name!r} is missing from {_few(parameters)}; needed: {_few(expected)}")
        for name in parameters.keys() - expected.keys():
            raise ValueError(f"parameter {name!r} is not one of this model's: {_few(expected)}")
        for name, shape in expected.items():
            if parameters[name].shape != shape:
                raise ValueError(f"parameter {name!r} has shape {list(parameters[name].shape)}, needed {list(shape)}")


def to_unit(x: X) -> X:
    """Images stored as bytes, scaled to [0, 1] and with channels last in memory: convolutions are a quarter faster.

    Anything else is returned as it is.
    """
    return structure.mapped(_to_unit, x)


def _to_unit(leaf: Any) -> Any:
    if leaf.dtype != torch.uint8:
        return leaf
    order = torch.channels_last if leaf.dim() == 4 else torch.contiguous_format
    return leaf.to(torch.float32, memory_format=order) / 255


def _blocks(prior: Prior, learned: Mapping[str, Tensor]) -> list[Block]:
    """The parameters by the weight prior that claims them; what nobody claims is flat."""
    claimed: dict[str, WeightPrior] = {}
    blocks: list[Block] = []
    for term in prior.terms:
        if not isinstance(term, WeightPrior):
            continue
        mine = {name: p.shape for name, p in learned.items() if term.claims(name, p)}
        if not mine:
            raise ValueError(f"{term} claims no parameter: on={term.on!r} matches none of {_few(learned)}")
        for name in mine.keys() & claimed.keys():
            raise ValueError(
                f'two priors claim {name!r}: {claimed[name]} and {term}; give each its own, such as on="head.*"'
            )
        claimed |= dict.fromkeys(mine, term)
        blocks.append(Block(_site(term, [b.site for b in blocks]), term, mine))
    rest = {name: p.shape for name, p in learned.items() if name not in claimed}
    return [*blocks, Block("flat", None, rest)] if rest else blocks


def _site(prior: WeightPrior, taken: list[str]) -> str:
    """A Pyro site name without dots, since AutoDelta stores sites as nested attributes."""
    words = prior.on if isinstance(prior.on, str) else prior.name
    site = re.sub(r"\W+", "_", words).strip("_") or prior.name
    while site in (*taken, "flat", "y", "data"):
        site += "_"
    return site


def _few(names: Mapping[str, object], most: int = 8) -> str:
    shown = list(names)[:most]
    return ", ".join(shown) + (f", … ({len(names)} in all)" if len(names) > most else "")
