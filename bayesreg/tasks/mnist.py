"""MNIST and Fashion-MNIST with a variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bayesreg.tasks.registered import Registered

if TYPE_CHECKING:
    from bayesreg.datasets import Data


@dataclass(frozen=True)
class Mnist(Registered):
    """MNIST (LeCun et al., 1998) or Fashion-MNIST (Xiao et al., 2017), reconstructed from a few numbers by a VAE."""

    name = "mnist"
    net = "vae"
    metric = "mse"
    dataset: Literal["mnist", "fashion_mnist"] = "mnist"
    """Which of the two."""
    latent: int = 20
    """Latent numbers that encode an image."""
    hidden: int = 400
    """Units of each of the two hidden layers of the encoder, and of the decoder."""

    @property
    def data_set(self) -> str:
        return self.dataset

    def load(self) -> Data:
        from bayesreg.datasets import reconstruct

        return reconstruct(super().load())

    def network(self, data: Data) -> Any:
        from bayesreg import nets

        return nets.vae(data.features, latent=self.latent, hidden=self.hidden)

    def baseline_options(self) -> dict[str, dict[str, Any]]:
        return {"principal_components": {"latent": self.latent}}

    def likelihood(self) -> Any:
        from bayesreg.likelihoods import Bernoulli

        return Bernoulli()
