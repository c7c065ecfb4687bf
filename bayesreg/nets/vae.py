"""The variational autoencoder: z ~ N(0, I), y ~ p(y | Ω(z; θ)), q(z | x, θ) = N(m(x; θ), s(x; θ)²).

Kingma & Welling, Auto-Encoding Variational Bayes (2014). SiLU throughout, so that it has second derivatives.
"""

import math
from collections.abc import Sequence

import pyro
import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from bayesreg.nets.mlp import mlp

LARGEST = 10.0  # log s: e¹⁰ is beyond anything learned, and e⁻¹⁰ squared is not yet 0


class VAE(nn.Module):
    """x [B, ...] encoded in `latent` numbers z, and decoded to outputs [B, ...], the parameters of p(y | z).

    encoder: x → m and log s [B, 2 latent]; decoder: z [B, latent] → outputs. As a function of x, `forward`, it is the
    reconstruction at the mean of q; `model` and `guide` are Pyro's, of a latent z for each example.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.latent = encoder, decoder, latent

    def forward(self, x: Tensor) -> Tensor:
        """Ω(m(x))."""
        return self.decoder(self.encoder(x)[:, : self.latent])

    def model(self, x: Tensor) -> Tensor:
        """Ω(z) at z ~ N(0, I); of x only their number counts."""
        zero = torch.zeros(len(x), self.latent, dtype=x.dtype, device=x.device)
        return self.decoder(pyro.sample("z", Normal(zero, 1.0).to_event(1)))

    def guide(self, x: Tensor) -> Tensor:
        """z ~ q(z | x), in the precision of x, whatever the encoder computes in."""
        mean, log_scale = self.encoder(x).to(x.dtype).chunk(2, -1)
        scale = log_scale.clamp(-LARGEST, LARGEST).exp()
        return pyro.sample("z", Normal(mean, scale).to_event(1))


def vae(
    inputs: int | Sequence[int], outputs: int | Sequence[int] | None = None, latent: int = 20, hidden: int = 400
) -> VAE:
    """Encoder and decoder are MLPs of two hidden layers of `hidden` units; outputs None: of the shape of the inputs."""
    taken = _shape(inputs)
    given = taken if outputs is None else _shape(outputs)
    _at_least_1(inputs=min(taken), outputs=min(given), latent=latent, hidden=hidden)
    decoder = nn.Sequential(mlp(latent, math.prod(given), hidden), nn.Unflatten(1, given))
    return VAE(mlp(math.prod(taken), 2 * latent, hidden), decoder, latent)


def conv_vae(shape: Sequence[int] = (3, 64, 64), latent: int = 64, width: int = 32) -> VAE:
    """For images [channels, H, W], H and W multiples of 16: four convolutions of stride 2, and their mirror image.

    `width` channels at half the size, twice as many at each halving. The decoder doubles the size by repeating
    pixels before each convolution, which leaves no checkerboard artefacts (Odena et al., 2016).
    """
    channels, height, breadth = shape
    _at_least_1(channels=channels, latent=latent, width=width)
    if min(height, breadth) < 16 or height % 16 or breadth % 16:
        raise ValueError(f"conv_vae(shape={tuple(shape)}): height and width must be multiples of 16, as in (3, 64, 64)")
    widths = [width, 2 * width, 4 * width, 8 * width]
    smallest = (widths[-1], height // 16, breadth // 16)
    encoder, decoder = nn.Sequential(), nn.Sequential(nn.Linear(latent, math.prod(smallest)), nn.SiLU())
    decoder.append(nn.Unflatten(1, smallest))
    for below, above in zip([channels, *widths], widths, strict=False):
        encoder.extend([nn.Conv2d(below, above, 3, stride=2, padding=1), nn.SiLU()])
    for above, below in zip(widths[::-1], [*widths[-2::-1], width], strict=True):
        decoder.extend([nn.Upsample(scale_factor=2), nn.Conv2d(above, below, 3, padding=1), nn.SiLU()])
    encoder.extend([nn.Flatten(), nn.Linear(math.prod(smallest), 2 * latent)])
    decoder.append(nn.Conv2d(width, channels, 3, padding=1))
    return VAE(encoder, decoder, latent)


def _shape(size: int | Sequence[int]) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _at_least_1(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}={size} must be at least 1")
