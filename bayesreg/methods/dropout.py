"""Dropout: units that are left out at random in training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from bayesreg.methods.base import Tuned
from bayesreg.priors import Look

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)  # their inputs are integers, which cannot be dropped
LAYERS = (nn.Linear, nn.Bilinear, _ConvNd, nn.RNNBase, nn.RNNCellBase, *EMBEDDINGS)


@dataclass(frozen=True)
class Dropout(Tuned):
    """Each unit is 0 with probability p = `strength`, else 1/(1 − p) times as large; in prediction all are kept.

    Where the network has its own dropout (`nn.Dropout` and the like, the `dropout` of attention and between the layers
    of an LSTM), its p is set. Else dropout is applied to the inputs of every linear, convolutional or recurrent layer
    but the first, in the order in which the network defines them.

    Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, Dropout: A Simple Way to Prevent Neural Networks from
    Overfitting (2014).
    """

    default_strength: ClassVar[float] = 0.2
    grid: ClassVar[tuple[float | None, ...]] = (0.05, 0.1, 0.2, 0.4)
    look: ClassVar[Look] = Look("#56B4E9", "o")
    most: ClassVar[float] = 1.0

    def network(self, net: nn.Module) -> nn.Module:
        self.drop(net)
        return net

    def drop(self, net: nn.Module) -> list[nn.Module]:
        """Add dropout to the network, in place; returns the modules that drop out. ValueError where there is none."""
        own = list(_own(net))
        for module, option in own:
            setattr(module, option, self.strength)
        if own:
            return [module for module, _ in own]
        layers: list[nn.Module] = [module for module in net.modules() if isinstance(module, LAYERS)]
        dropped = [layer for layer in layers[1:] if not isinstance(layer, EMBEDDINGS)]
        if not dropped:
            raise ValueError(
                f"{self.name} has no meaning for {type(net).__name__}: it has no Dropout of its own, and no layer with "
                "weights after the first; give it a hidden layer, or take another method"
            )
        for layer in dropped:
            layer.input_dropout = self.strength  # type: ignore[assignment]  # a number in the module tells networks apart
            layer.register_forward_pre_hook(_drop, with_kwargs=True)
        return dropped


def _own(net: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """The modules that have their own dropout, and the name of its probability."""
    for module in net.modules():
        if isinstance(module, _DropoutNd):
            yield module, "p"
        elif isinstance(module, nn.MultiheadAttention) or (isinstance(module, nn.RNNBase) and module.num_layers > 1):
            yield module, "dropout"


def _drop(layer: Any, args: Any, kwargs: Any) -> Any:
    """Before a layer: its first input, dropped out while the layer is in training mode."""
    if args:
        return (F.dropout(args[0], layer.input_dropout, layer.training), *args[1:]), kwargs
    return args, kwargs | {"input": F.dropout(kwargs["input"], layer.input_dropout, layer.training)}
