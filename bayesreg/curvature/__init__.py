"""Second derivatives of a network's outputs with respect to its inputs: exact, and in one pass.

The network runs once on a `Jet` (jet.py), which carries value, first and second derivatives along all
coordinates through its layers, by the chain rule to second order (rules.py).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bayesreg.curvature.jet import PIECEWISE, Jet
from bayesreg.curvature.rules import RULES

__all__ = ["RULES", "Jet", "curvature", "zero_curvature"]

PIECEWISE_MODULES: tuple[type[nn.Module], ...] = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Hardtanh)
PIECEWISE_MODULES += (nn.Threshold, nn.Hardsigmoid, nn.Hardshrink, nn.Softshrink)  # ReLU6 is a Hardtanh
PIECEWISE_FUNCTIONS = [getattr(space, f) for space in (torch, F) for f in PIECEWISE if hasattr(space, f)]


def curvature(network: Callable[[Any], Any], x: Tensor) -> Tensor:
    """d(x) = Σ_c Σ_k (∂²Ω_c/∂x_k²)² of each example: [B], in (units of Ω)² / (units of x)⁴.

    `network` maps x [B, ...] to outputs [B, ...], each example on its own; k runs over the D elements of an
    example, c over all outputs. Batch statistics and dropout masks are constant with respect to x; running
    statistics stay as they were. Differentiable in whatever `network` closes over. Costs about 2 D forward
    passes. Raises ValueError for piecewise linear activations, and where x or the output is of another kind;
    NotImplementedError for a function of which torch has no right second derivative in forward mode.
    """
    if not x.is_floating_point() or x.dim() == 0:
        what = f"{x.dtype} {list(x.shape)}"
        raise ValueError(f"curvature needs floating point x [B, ...], got {what}; of tokens, pass the embeddings")
    D = x.shape[1:].numel()
    # All examples move along the same D directions: a batch of one, as long as no layer tells them apart.
    directions = torch.eye(D, dtype=x.dtype, device=x.device).reshape(D, 1, *x.shape[1:])
    with _Uncounted():
        out = network(Jet(x, lambda: directions))
    if not isinstance(out, Jet | Tensor) or out.shape[:1] != x.shape[:1]:
        what = str(list(out.shape)) if isinstance(out, Jet | Tensor) else type(out).__name__
        raise ValueError(f"curvature needs one output tensor [B, ...] for x {list(x.shape)}, got {what}")
    if isinstance(out, Tensor) or out.second is None:
        return x.new_zeros(len(x))
    second = out.second.expand(D, -1, *out.shape[1:])
    return second.square().sum([i for i in range(second.dim()) if i != 1]).expand(len(x))


def zero_curvature(module: nn.Module) -> list[str]:
    """Activations of zero curvature almost everywhere, "name (type)" each: refuse them before training."""
    found = []
    for name, child in module.named_modules():
        kinds = [f.__name__ for f in PIECEWISE_FUNCTIONS if any(f is held for held in vars(child).values())]
        if isinstance(child, PIECEWISE_MODULES) or getattr(child, "nonlinearity", "") == "relu":
            kinds.append(type(child).__name__)
        found += [f"{name or 'network'} ({kind})" for kind in kinds]
    return found


class _Uncounted(TorchFunctionMode):
    """BatchNorm counts its batches in a buffer; a curvature pass is not one, so the counts are taken back."""

    def __enter__(self) -> Any:
        self.counts: list[Any] = []
        return super().__enter__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.add_ and isinstance(args[0], Tensor) and not args[0].is_floating_point():
            self.counts.append(args)
        return func(*args, **(kwargs or {}))

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for count, increment in self.counts:
            count.sub_(increment)
