"""Oxford flowers with a convolutional variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesreg.tasks.registered import Registered

if TYPE_CHECKING:
    from bayesreg.datasets import Data


@dataclass(frozen=True)
class Flowers(Registered):
    """Photographs of flowers (Nilsback & Zisserman, 2008), reconstructed from a few numbers by a convolutional VAE."""

    name = "flowers"
    net = "conv_vae"
    metric = "mse"
    batch_size: int = 32
    """Examples per step."""
    image_size: int = 64
    """Pixels along each side, a multiple of 16."""
    latent: int = 20
    """Latent numbers that encode an image."""
    width: int = 32
    """Channels at half the size; twice as many at each halving."""

    def load(self) -> Data:
        from bayesreg.datasets import flowers, reconstruct

        return reconstruct(flowers.load(self.data_dir, self.image_size))

    def network(self, data: Data) -> Any:
        from bayesreg import nets

        return nets.conv_vae(data.features, latent=self.latent, width=self.width)

    def baseline_options(self) -> dict[str, dict[str, Any]]:
        return {"principal_components": {"latent": self.latent}}

    def likelihood(self) -> Any:
        from bayesreg.likelihoods import Bernoulli

        return Bernoulli()
