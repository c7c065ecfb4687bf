"""Networks Ω(x; θ): plain modules of PyTorch, which know nothing of priors."""

from collections.abc import Callable

from torch import nn

from bayesreg.nets.mlp import MLP, mlp
from bayesreg.nets.resnet import BasicBlock, ResNet, resnet18

NETS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "resnet18": resnet18}

__all__ = ["MLP", "NETS", "BasicBlock", "ResNet", "mlp", "resnet18"]
