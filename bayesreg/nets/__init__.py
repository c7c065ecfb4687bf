"""Networks Ω(x; θ): plain modules of PyTorch, which know nothing of priors."""

from collections.abc import Callable

from torch import nn

from bayesreg.nets.mlp import MLP, mlp
from bayesreg.nets.recurrent import LSTM, BiLSTM, bilstm, lstm
from bayesreg.nets.resnet import BasicBlock, ResNet, resnet18
from bayesreg.nets.transformer import Transformer, transformer
from bayesreg.nets.vae import VAE, conv_vae, vae

NETS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "resnet18": resnet18,
    "lstm": lstm,
    "bilstm": bilstm,
    "transformer": transformer,
    "vae": vae,
}

__all__ = [
    "LSTM",
    "MLP",
    "NETS",
    "VAE",
    "BasicBlock",
    "BiLSTM",
    "ResNet",
    "Transformer",
    "bilstm",
    "conv_vae",
    "lstm",
    "mlp",
    "resnet18",
    "transformer",
    "vae",
]
