"""The user's network: any nn.Module that can be copied, takes x, or the parts of x, and returns one tensor."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bayesreg import structure
from bayesreg.structure import X


def copied(net: nn.Module) -> nn.Module:
    """A copy of the network. ValueError for what is not a network, or cannot be copied as it is."""
    if isinstance(net, type) and issubclass(net, nn.Module):
        raise ValueError(f"Model(net={net.__name__}) is a class: make an instance, {net.__name__}(...)")
    if not isinstance(net, nn.Module):
        raise ValueError(
            f"Model(net={net!r}): {type(net).__name__} is not a network; give a torch.nn.Module, "
            "such as br.nets.mlp(inputs=64, outputs=10)"
        )
    owner = f"Model(net={type(net).__name__})"
    lazy = [name for name, p in (*net.named_parameters(), *net.named_buffers()) if is_lazy(p)]
    if lazy:
        raise ValueError(
            f"{owner}: {lazy[0]} of a lazy layer has no shape yet; call the network once, as in net(x[:2])"
        )
    try:
        return copy.deepcopy(net)
    except (RuntimeError, TypeError) as error:
        why = _computed(net) or f"{str(error).splitlines()[0]}; keep in it only what copy.deepcopy takes"
        raise ValueError(f"{owner}: the network cannot be copied: {why}") from error


def _computed(net: nn.Module) -> str:
    """Which of its tensors is computed from others and so cannot be copied; "" where there is none."""
    for path, module in net.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and not value.is_leaf:
                return (
                    f"{path}.{name}".lstrip(".") + " is computed from other tensors, as by the old "
                    "torch.nn.utils.weight_norm; use torch.nn.utils.parametrizations.weight_norm"
                )
    return ""


def outputs(net: nn.Module, x: X, hint: str = "", call: Callable[[X], Any] | None = None) -> Tensor:
    """The outputs for x [B, ...], by `call(x)` where the network does not run at its own weights.

    ValueError where the network does not take x or gives no tensor [B, ...].
    """
    try:
        f = structure.call(net, x) if call is None else call(x)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if refused := structure.refusal(net.forward, x):
            raise ValueError(f"the network's forward {refused}") from error
        whole = not any(leaf.is_floating_point() for leaf in structure.leaves(x))
        hint += "; whole numbers are tokens; write x.float() where they are quantities" * whole
        what = f"of shape {list(x.shape)}, {x.dtype}" if isinstance(x, Tensor) else structure.describe(x)
        raise ValueError(f"the network does not take x {what}: {error}{hint}") from error
    if not isinstance(f, Tensor):
        raise ValueError(f"the network returns {_kind(f)}, not a tensor [B, ...]: {_remedy(f)}")
    size = structure.size(x)
    if f.dim() == 0 or len(f) != size:
        raise ValueError(
            f"the network gives outputs of shape {list(f.shape)} for {size} examples: the first dimension must be "
            f"that of the examples, [{size}, ...]"
        )
    return f


def _kind(value: Any) -> str:
    """A description: a tuple of Tensor, Tensor; a dict of logits; None."""
    parts = value if isinstance(value, dict) else [type(part).__name__ for part in value] if _several(value) else ()
    return "None" if value is None else f"a {type(value).__name__}" + " of " * bool(parts) + ", ".join(map(str, parts))


def _remedy(value: Any) -> str:
    if not value or not _several(value):
        return "let its forward return the outputs alone"
    which = next(iter(value)) if isinstance(value, dict) else 0
    return f"put it into a module whose forward does `return self.net(x)[{which!r}]`"


def _several(value: Any) -> bool:
    return isinstance(value, dict | tuple | list)


def stay_random(module: nn.Module) -> None:
    """Mark a module as staying in training mode, and so random, in prediction too."""
    module.stays_random = True  # type: ignore[assignment]  # a number in the module tells networks apart


def is_random(net: nn.Module) -> bool:
    """Whether its predictions are random."""
    return any(getattr(module, "stays_random", False) for module in net.modules())


def to_predict(net: nn.Module) -> None:
    """Eval mode, except for what stays random."""
    net.eval()
    for module in net.modules():
        module.training |= getattr(module, "stays_random", False)
