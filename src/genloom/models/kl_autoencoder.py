"""An autoencoder with a grid of real codes, for models that live on such grids.

Rombach et al., 2021 (arXiv:2112.10752), section 3.1 and appendix G: a VAE whose rate weighs next to
nothing, so that its decoder is sharp and its codes are smooth. Without the discriminator and the
perceptual distance there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, final

import torch
from torch import Tensor, nn

from genloom.core import Condition, Generative, Interval, Real, Rng, Space, Step, Terms
from genloom.models.grid_coding import Error, GridCoding
from genloom.models.quantize import Gaussian
from genloom.nets.grid_coder import GridCoder, usual_coder


@final
class ChannelGaussian(nn.Module):
    """Mean and deviation of each channel of the codes, learned as a density.

    So they are measured over the last part of a run, whole batches or micro-batches or processes
    alike, and averaged as all weights are.
    """

    def __init__(self, features: int):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(features))
        self.raw = nn.Parameter(torch.zeros(features))

    def loss(self, z: Tensor) -> Terms:
        """Nats per number; z: (B, features, *grid)."""
        unit = self.normalised(z)
        log_std = self._stretched(self.raw, z)
        return {"nats": (unit.square() / 2 + log_std + math.log(2 * math.pi) / 2).mean()}

    def normalised(self, z: Tensor) -> Tensor:
        """Of mean 0 and deviation 1 in every channel."""
        return (z - self._stretched(self.mean, z)) * (-self._stretched(self.raw, z)).exp()

    def restored(self, unit: Tensor) -> Tensor:
        """The inverse."""
        return unit * self._stretched(self.raw, unit).exp() + self._stretched(self.mean, unit)

    def _stretched(self, value: Tensor, z: Tensor) -> Tensor:
        """A unit step of a parameter moves what it stands for by five: as fast as the encoder."""
        return (5 * value).view(-1, *(1,) * (z.ndim - 2))


@final
class KlAutoencoder(Generative):
    """An encoder to a grid of real codes of about unit scale, and a decoder.

    It is made for `encode` and `decode`. Its own samples decode normal noise of each channel's mean
    and deviation, places independent of each other: what a grid of codes looks like is for a second
    model to learn, and such samples are no more than textures.

    Args:
        space: One datum, (C, *spatial), of 1 to 3 axes.
        conditions: Not looked at.
        net: Makes (encoder, decoder), see `grid_coder`.
        latent: Channels of a code.
        beta: Weight of the rate beside the distortion, which is relative to that of a constant.
        error: "l2" or "l1", between a datum and its reconstruction.
    """

    players = ("coder", "prior")
    recommended: Mapping[str, Any] = {
        "optimizer": "adamw",
        "lr": 2e-3,
        "beta1": 0.9,
        "beta2": 0.99,
        "batch": 64,
        "clip": None,
        "warmup": 0.02,
        "ema": 0.05,
    }

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        net: GridCoder | None = None,
        latent: Annotated[int, Interval(ge=1)] = 4,
        beta: Annotated[float, Interval(ge=0)] = 1e-4,
        error: Error = "l2",
    ):
        super().__init__(space, conditions)
        between = Gaussian(latent, beta=beta)
        self.coder = GridCoding(space, net or self.usual_net(space), between, error=error)
        self.prior = ChannelGaussian(latent)
        self.latent_shape = (latent, *self.coder.grid)

    @staticmethod
    def usual_net(space: Real) -> GridCoder:
        """Convolutions that make a grid coarser by four, or by two where little would be left."""
        return usual_coder(space)

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Measure the spread of the data."""
        self.coder.prepare(x)

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """The coder's turn, then that of the channels' means and deviations."""
        terms, coded = self.coder.terms(x)
        yield "coder", terms
        yield "prior", self.prior.loss(coded.codes)

    def encode(self, x: Tensor, cond: Condition) -> Tensor:
        """The posterior's mean, normalised: (B, *space.shape) -> (B, *latent_shape)."""
        mean, _ = self.coder.bottleneck.posterior(self.coder.encoder(x))
        return self.prior.normalised(mean)

    def decode(self, z: Tensor, cond: Condition) -> Tensor:
        """(B, *latent_shape) of about unit scale -> (B, *space.shape)."""
        return self.coder.decoder(self.prior.restored(z))

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        temperature: Annotated[float, Interval(ge=0, le=2)] = 1.0,
    ) -> Iterator[Tensor]:
        """One guess: normal noise, decoded. Temperature scales the noise."""
        yield self.decode(rng.normal(*self.latent_shape) * temperature, cond)
