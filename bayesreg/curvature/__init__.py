"""Second derivatives of a network's outputs with respect to its inputs, in one pass.

The network runs once on a `Jet` (jet.py), which carries value, first and second derivatives along chosen coordinates
through its layers, by the chain rule to second order (rules.py, elementwise.py, norms.py, attention.py; recurrent.py
and its lstm_steps.py).
What differs from one run of a network to the next is held constant (tape.py). Where there are no rules, double backward
is used (double_backward.py).
"""

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from bayesreg import structure
from bayesreg.curvature import attention, elementwise, norms, recurrent  # noqa: F401  (their rules)
from bayesreg.curvature.double_backward import double_backward
from bayesreg.curvature.jet import PIECEWISE, RULES, Jet, say, values
from bayesreg.curvature.tape import NotByExample, Replay, Tape, Undo
from bayesreg.structure import X

__all__ = [
    "ALL",
    "RULES",
    "Jet",
    "Share",
    "curvature",
    "curvature_apart",
    "double_backward",
    "outputs_and_curvature",
    "zero_curvature",
]

PIECEWISE_MODULES: tuple[type[nn.Module], ...] = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Hardtanh)
PIECEWISE_MODULES += (nn.Threshold, nn.Hardsigmoid, nn.Hardshrink, nn.Softshrink)  # ReLU6 is a Hardtanh
PIECEWISE_FUNCTIONS = [getattr(space, f) for space in (torch, F) for f in PIECEWISE if hasattr(space, f)]
Directions = Callable[[Tensor], tuple[Tensor, float]]  # of x, and the factor of the sum over them
UNSUPPORTED = (NotImplementedError, TypeError, AttributeError)  # what a network raises that cannot take Jets


class Share(NamedTuple):
    """What d is computed from: a fraction of the examples, and so many coordinates of each, both drawn at random.

    coordinates None: all of them if there are at most `exact`, else one. least: at least so many examples.
    """

    fraction: float = 1.0
    coordinates: int | None = None
    exact: int = 32
    least: int = 1

    def examples(self, batch: int) -> int:
        return min(batch, max(self.least, math.ceil(self.fraction * batch)))


ALL = Share(exact=sys.maxsize)


def curvature(network: Callable[[X], Any], x: X, coordinates: int | None = None) -> Tensor:
    """d(x) = Σ_c Σ_k (∂²Ω_c/∂x_k²)² of each example: [B], in (units of Ω)² / (units of x)⁴.

    `network` maps x [B, ...] to outputs [B, ...], each example on its own; k runs over the D elements of an
    example, c over all outputs. Integer x are tokens, and k runs over the elements of their embeddings, the first
    thing that the network makes of them. Of a tuple or a dict of inputs, which `network` takes as one argument, k runs
    over all elements of those in floating point together, and the others are constant; if there is none in floating
    point, over the elements of the first embedding.

    coordinates: None for all of them, exactly, at the cost of about 2 D forward passes. With m < D each example has m
    coordinates of its own, drawn without replacement and weighted by D/m: unbiased, with the variance
    D²/m (1 − m/D) S², where S² is the variance of q_k = Σ_c (∂²Ω_c/∂x_k²)² over the coordinates k.

    Batch statistics and dropout masks are constant with respect to x; running statistics stay as they were.
    Differentiable in whatever `network` closes over. Raises ValueError for piecewise linear activations, and where x
    or the output is of another kind.
    """
    return curvature_apart(network, x, ALL if coordinates is None else Share(coordinates=coordinates))


def curvature_apart(network: Callable[[X], Any], x: X, share: Share = ALL) -> Tensor:
    """d(x) of each example [B], as `curvature`, along the coordinates of a share, from a separate run."""
    _check(x)
    return _along(network, x, _drawn_once(share), lambda: Replay(None, None, structure.size(x)))[1]


def outputs_and_curvature(network: Callable[[X], Any], x: X, share: Share = ALL) -> tuple[Tensor, Tensor]:
    """Ω(x) [B, ...] of this run of the network, and d of a share of the examples [b].

    Their mean is an unbiased estimate of the mean of d over the batch. The curvature is that of this run: with its
    batch statistics, over the whole batch, and its dropout masks.
    """
    _check(x)
    size = structure.size(x)
    count, directions = share.examples(size), _drawn_once(share)
    if count == size:
        try:
            with Undo():
                return _by_jets(network, x, directions)
        except UNSUPPORTED as error:
            say(f"{error}; double backward instead, which is slow")
    with Tape() as tape:
        outputs = network(x)
    rows = torch.randperm(size, device=structure.leaves(x)[0].device)[:count] if count < size else None
    try:
        part = x if rows is None else structure.rows(x, rows)
        return outputs, _along(network, part, directions, lambda: Replay(tape.notes, rows, size))[1]
    except NotByExample as error:
        say(f"{error}; so the whole batch is used, not a share of it")
        return outputs, _along(network, x, directions, lambda: Replay(tape.notes, None, size))[1]


def _check(x: X) -> None:
    leaves = structure.leaves(x)
    if any(t.dim() == 0 or t.is_complex() for t in leaves) or all(t.dtype == torch.bool for t in leaves):
        raise ValueError(f"curvature needs floating point x [B, ...] or tokens, got {structure.describe(x)}")


def _along(
    network: Callable[[X], Any], x: X, directions: Directions, run: Callable[[], TorchFunctionMode]
) -> tuple[Tensor, Tensor]:
    """Ω(x), and d(x) with what `run` holds constant."""
    try:
        with run():
            return _by_jets(network, x, directions)
    except NotByExample:
        raise
    except UNSUPPORTED as error:
        say(f"{error}; double backward instead, which is slow")
    with run():
        return _by_reverse_mode(network, x, directions)


def _by_jets(network: Callable[[X], Any], x: X, directions: Directions) -> tuple[Tensor, Tensor]:
    weights: list[float] = []

    def begin(value: Tensor) -> Jet:
        along, weight = directions(value)
        weights.append(weight)
        return Jet(value, lambda: along)

    out = _run(network, x, begin)
    if isinstance(out, Tensor) or out.second is None:
        return values(out), values(out).new_zeros(structure.size(x))
    second = out.second.expand(-1, -1, *out.shape[1:])
    d = second.square().sum([i for i in range(second.dim()) if i != 1])
    return out.value, weights[0] * d.expand(structure.size(x))


def _by_reverse_mode(network: Callable[[X], Any], x: X, directions: Directions) -> tuple[Tensor, Tensor]:
    starts: list[Tensor] = []

    def begin(value: Tensor) -> Tensor:
        starts.append(value if value.requires_grad else value.detach().requires_grad_())
        return starts[0].clone()  # the network may write to it

    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        outputs = _run(network, x, begin)
        along, weight = directions(starts[0])
        return outputs, weight * double_backward(outputs, starts[0], along)


def _run(network: Callable[[X], Any], x: X, begin: Callable[[Tensor], Any]) -> Any:
    """The outputs, where `begin` takes the place of x in floating point, or of the embeddings of tokens x."""
    leaves = structure.leaves(x)
    moving = [n for n, leaf in enumerate(leaves) if leaf.is_floating_point()]
    if moving:
        begun = dict(zip(moving, _begun([leaves[n] for n in moving], begin), strict=True))
        out = network(structure.build(structure.form(x), [begun.get(n, leaf) for n, leaf in enumerate(leaves)]))
    else:
        with _FromEmbeddings(begin) as mode:
            out = network(x)
        if not mode.begun:
            what = structure.describe(x)
            raise ValueError(f"curvature needs floating point x [B, ...], or tokens for nn.Embedding, got {what}")
    if not isinstance(out, Jet | Tensor) or out.shape[:1] != leaves[0].shape[:1]:
        what = str(list(out.shape)) if isinstance(out, Jet | Tensor) else type(out).__name__
        raise ValueError(f"curvature needs one output tensor [B, ...] for x {structure.describe(x)}, got {what}")
    return out


def _begun(leaves: list[Tensor], begin: Callable[[Tensor], Any]) -> list[Any]:
    """What replaces the leaves: for several, the parts of one, so that their coordinates are drawn together."""
    if len(leaves) == 1:
        return [begin(leaves[0])]
    joined = begin(torch.cat([leaf.reshape(len(leaf), -1) for leaf in leaves], 1))
    parts = joined.split([leaf.shape[1:].numel() for leaf in leaves], 1)
    return [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]


def _drawn_once(share: Share) -> Directions:
    """Directions drawn once, whichever method is used in the end: PyTorch's random state must not depend on it."""
    drawn: dict[torch.Size, tuple[Tensor, float]] = {}

    def directions(x: Tensor) -> tuple[Tensor, float]:
        if x.shape not in drawn:
            drawn[x.shape] = _directions(x, share)
        return drawn[x.shape]

    return directions


def _directions(x: Tensor, share: Share) -> tuple[Tensor, float]:
    """Unit vectors [m, B, ...], or [D, 1, ...] for all of them, the same for all examples; and D/m."""
    B, D = len(x), x.shape[1:].numel()
    m = share.coordinates or (D if share.exact >= D else 1)
    if m >= D:
        return torch.eye(D, dtype=x.dtype, device=x.device).reshape(D, 1, *x.shape[1:]), 1.0
    if m == 1:
        chosen = torch.randint(D, (1, B, 1), device=x.device)
    else:
        chosen = torch.rand(B, D, device=x.device).topk(m).indices.t().unsqueeze(-1)
    one_hot = torch.zeros(m, B, D, dtype=x.dtype, device=x.device).scatter(2, chosen, 1.0).reshape(m * B, *x.shape[1:])
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):  # like all that is computed from it
        one_hot = one_hot.contiguous(memory_format=torch.channels_last)
    return one_hot.unflatten(0, (m, B)), D / m


class _FromEmbeddings(TorchFunctionMode):
    """`begin` takes the place of the first embedding."""

    def __init__(self, begin: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.begin, self.begun = begin, False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is F.embedding and not self.begun:
            self.begun = True
            return self.begin(out)
        return out


def zero_curvature(module: nn.Module) -> list[str]:
    """Activations with zero curvature almost everywhere, each as "name (type)": refuse them before training."""
    found = []
    for name, child in module.named_modules():
        kinds = [f.__name__ for f in PIECEWISE_FUNCTIONS if any(f is held for held in vars(child).values())]
        if isinstance(child, PIECEWISE_MODULES) or getattr(child, "nonlinearity", "") == "relu":
            kinds.append(type(child).__name__)
        found += [f"{name or 'network'} ({kind})" for kind in kinds]
    return found
