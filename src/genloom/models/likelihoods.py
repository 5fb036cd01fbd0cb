"""What a decoder's output says of a datum: Bernoulli, Gaussian, logistic, mixed logistics.

Each is a module with `factors` (channels it reads per channel of the datum), `log_prob` in nats,
`mean` and `draw`. Where the space has levels, `log_prob` is the mass of a level and sums to one.
"""

from __future__ import annotations

import math
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Real, Rng
from genloom.errors import BadInput

Scale = Literal["global", "pixel"]
QUANTILES = 32


def make(
    space: Real, kind: str | None, scale: Scale | None, *, binarized: bool = False
) -> Bernoulli | LocationScale:
    """The likelihood of that kind for a space; None picks what suits the space.

    Two levels: Bernoulli. More levels: a discretized logistic with a scale per pixel. No levels:
    a Gaussian with one learned scale (the sigma-VAE).

    Raises:
        BadInput: Bernoulli for data with more than two levels that are not binarized.
    """
    two = space.levels == 2 or binarized
    kind = kind or ("bernoulli" if two else "dlogistic" if space.levels else "gaussian")
    if kind == "bernoulli":
        if not two:
            has = f"{space.levels} levels" if space.levels else "continuous values"
            raise BadInput(
                f"likelihood = 'bernoulli' is for data with 2 levels; these have {has}. "
                "Choose 'dlogistic' or 'gaussian', or binarize = 'dynamic' or 'threshold'."
            )
        return Bernoulli()
    shape: Literal["gaussian", "logistic"] = "gaussian" if kind == "gaussian" else "logistic"
    return LocationScale(
        shape, space.levels, scale or ("global" if shape == "gaussian" else "pixel")
    )


@final
class Bernoulli(nn.Module):
    """One bit per value, stored as -1 or 1; the decoder's output is its logit."""

    factors = 1

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Nats of mass, (B,). out, x: (B, C, *spatial)."""
        return F.logsigmoid(out * x).flatten(1).sum(1)

    def mean(self, out: Tensor) -> Tensor:
        """Expected value, in [-1, 1]."""
        return (out / 2).tanh()

    def draw(self, out: Tensor, rng: Rng) -> Tensor:
        """One datum of -1 and 1 per row."""
        return torch.where(rng.uniform(*out.shape[1:]) < out.sigmoid(), 1.0, -1.0).to(out.dtype)

    def prepare(self, x: Tensor) -> None:
        """Nothing to measure."""


@final
class LocationScale(nn.Module):
    """A Gaussian or a logistic around the decoder's output, with a learned scale.

    Without levels: a density; a Gaussian with one scale is the sigma-VAE (Rybkin et al., 2021,
    arXiv:2006.13202, section 3.1). With levels: the mass of each level's bin, the tails with the
    first and the last level (Salimans et al., 2017, arXiv:1701.05517, Eq. 2), so that a value that
    is either black or white costs a bit. Deviation: a learned share of each value is uniform over
    the levels, from e^-7 on: no value is ever impossible, and with all of it uniform the
    likelihood is exactly 8 bits for 256 levels.

    Args:
        shape: Of the distribution.
        levels: Number of values over [-1, 1], or None.
        scale: "global": one for all values, a parameter; "pixel": the decoder says it.
        floor: Of the log scale, approached softly.
    """

    start: Tensor

    def __init__(
        self,
        shape: Literal["gaussian", "logistic"],
        levels: int | None,
        scale: Scale,
        *,
        floor: float = -7.0,
    ):
        super().__init__()
        self.shape, self.levels, self.floor = shape, levels, floor
        self.factors = 2 if scale == "pixel" else 1
        self.bin = 2 / (levels - 1) if levels else 0.0
        self.haze = nn.Parameter(torch.full((), -7.0)) if levels else None
        self.raw = nn.Parameter(torch.zeros(())) if scale == "global" else None
        self.register_buffer("start", torch.zeros(()))

    def prepare(self, x: Tensor) -> None:
        """Start from the spread of the data."""
        self.start.copy_(x.std().clamp(min=1e-3).log())

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Nats, (B,): mass with levels, else density. out: (B, factors * C, *spatial)."""
        centre, log_scale = self._parts(out)
        if not self.levels:
            z = (x - centre) * (-log_scale).exp()
            return (self._log_density(z) - log_scale).flatten(1).sum(1)
        inverse, half = (-log_scale).exp(), self.bin / 2
        below, above = (x - half - centre) * inverse, (x + half - centre) * inverse
        mass = self._log_between(below, above, self.bin * inverse)
        mass = torch.where(x < -1 + half, self._log_cdf(above), mass)
        mass = torch.where(x > 1 - half, self._log_cdf(-below), mass)
        clear, uniform = F.logsigmoid(-self._haze), F.logsigmoid(self._haze)
        return torch.logaddexp(mass + clear, uniform - math.log(self.levels)).flatten(1).sum(1)

    def mean(self, out: Tensor) -> Tensor:
        """Expected value; with levels, from quantiles, for the range moves it off the centre."""
        if not self.levels:
            return self._parts(out)[0]
        total = torch.zeros((), device=out.device)
        for i in range(QUANTILES):
            total = total + self._at(out, (i + 0.5) / QUANTILES)
        return total / QUANTILES * (-self._haze).sigmoid()

    def draw(self, out: Tensor, rng: Rng) -> Tensor:
        """One datum per row, on a level where there are levels."""
        shape = (out.shape[1] // self.factors, *out.shape[2:])
        x = self._at(out, rng.uniform(*shape).clamp(min=1e-300))
        if not self.levels:
            return x
        anywhere = 2 * rng.uniform(*shape).to(x.dtype) - 1
        x = torch.where(
            rng.uniform(*shape) < self._haze.sigmoid(), anywhere * (1 + self.bin / 2), x
        )
        return ((x + 1) / self.bin).round().clamp(0, self.levels - 1) * self.bin - 1

    def _at(self, out: Tensor, u: Tensor | float) -> Tensor:
        """The u-th quantile, within the range where there is one, before rounding to a level."""
        centre, log_scale = self._parts(out)
        z = self._quantile(torch.as_tensor(u, dtype=torch.float64, device=out.device))
        x = centre + log_scale.exp() * z.to(out.dtype)
        return x.clamp(-1, 1) if self.levels else x

    @property
    def _haze(self) -> Tensor:
        assert self.haze is not None, "there are levels"
        return self.haze

    def _parts(self, out: Tensor) -> tuple[Tensor, Tensor]:
        """Centre and log scale; a unit step of the parameter moves the latter by five."""
        if self.raw is None:
            centre, free = out.chunk(2, 1)
        else:
            centre, free = out, 5 * self.raw
        log_scale = self.floor + F.softplus(free + self.start - self.floor)
        return centre, log_scale.clamp(max=20)

    def _log_density(self, z: Tensor) -> Tensor:
        if self.shape == "gaussian":
            return -z.square() / 2 - math.log(2 * math.pi) / 2
        return F.logsigmoid(z) + F.logsigmoid(-z)

    def _log_between(self, a: Tensor, b: Tensor, width: Tensor) -> Tensor:
        """log(cdf(b) - cdf(a)), where b - a = width > 0, without cancellation in the tails."""
        if self.shape == "logistic":
            return F.logsigmoid(b) + F.logsigmoid(-a) + torch.log(-torch.expm1(-width))
        a, b = a.double(), b.double()  # the difference of two nearly equal logarithms follows
        flip = a + b > 0
        a, b = torch.where(flip, -b, a), torch.where(flip, -a, b)
        low, high = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
        return (high + torch.log(-torch.expm1((low - high).clamp(max=-1e-15)))).to(width.dtype)

    def _log_cdf(self, z: Tensor) -> Tensor:
        return F.logsigmoid(z) if self.shape == "logistic" else torch.special.log_ndtr(z)

    def _quantile(self, u: Tensor) -> Tensor:
        return torch.logit(u) if self.shape == "logistic" else torch.special.ndtri(u)


@final
class LogisticMixture(nn.Module):
    """A mixture of discretized logistics at each pixel, whose channels follow one another.

    Salimans et al., 2017 (arXiv:1701.05517), Eq. 1 and 2 (mass of a level, the tails with the
    first and last), Eq. 3 (the mean of a channel is linear in the channels before it, with
    coefficients in (-1, 1)); here for any number of channels.

    Args:
        channels: Of the datum.
        levels: Number of values over [-1, 1].
        mixtures: Components.
        floor: Of the log scale.
    """

    def __init__(self, channels: int, levels: int, *, mixtures: int, floor: float = -7.0):
        super().__init__()
        self.channels, self.levels, self.mixtures, self.floor = channels, levels, mixtures, floor
        self.bin = 2 / (levels - 1)
        pairs = channels * (channels - 1) // 2
        self.sizes = [mixtures, *[mixtures * n for n in (channels, channels, pairs)]]

    @property
    def outputs(self) -> int:
        """Channels that it reads: weights, means, log scales, coefficients of each component."""
        return sum(self.sizes)

    def start(self, log_scale: float = -1.5) -> Tensor:
        """A bias for the output that spreads the components over the range: (outputs,)."""
        bias = torch.zeros(self.outputs)
        weights, means, scales, _ = bias.split(self.sizes)
        assert len(weights) == self.mixtures
        spread = torch.linspace(-1, 1, self.mixtures + 2)[1:-1]
        means.copy_(spread.repeat_interleave(self.channels))
        scales.fill_(log_scale)
        return bias

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Nats of mass of each pixel, (B, *spatial). out: (B, outputs, *spatial)."""
        log_weights, means, log_scales, coefficients = self._parts(out)
        means = torch.stack(
            [self._mean(means, coefficients, c, x) for c in range(self.channels)], 2
        )
        x, half = x[:, None], self.bin / 2
        inverse = (-log_scales).exp()
        below, above = (x - half - means) * inverse, (x + half - means) * inverse
        # log(cdf(above) - cdf(below)), without cancellation in the tails
        between = torch.log(-torch.expm1(-self.bin * inverse))
        mass = F.logsigmoid(above) + F.logsigmoid(-below) + between
        mass = torch.where(x < -1 + half, F.logsigmoid(above), mass)
        mass = torch.where(x > 1 - half, F.logsigmoid(-below), mass)
        return (log_weights + mass.sum(2)).logsumexp(1)

    def draw(self, out: Tensor, u: Tensor, *, temperature: float = 1.0) -> Tensor:
        """One pixel per row, each channel on a level: (n, outputs) -> (n, channels).

        Args:
            out: Of one place.
            u: Uniform in [0, 1), float64, (n, 1 + channels).
            temperature: Scales the log weights and the spread; 0 takes the likeliest component's
                centre.
        """
        log_weights, means, log_scales, coefficients = self._parts(out)
        cdf = (log_weights.double() / max(temperature, 1e-9)).softmax(1).cumsum(1)
        chosen = (cdf <= u[:, :1] * cdf[:, -1:]).sum(1).clamp(max=self.mixtures - 1)
        one = chosen[:, None, None]
        means, log_scales, coefficients = (
            part.gather(1, one.expand(-1, 1, part.shape[2]))
            for part in (means, log_scales, coefficients)
        )
        noise = temperature * torch.logit(u[:, 1:].clamp(min=1e-300)).to(out.dtype)
        x = torch.zeros_like(noise)
        for c in range(self.channels):
            mean = self._mean(means, coefficients, c, x)[:, 0]
            value = mean + log_scales[:, 0, c].exp() * noise[:, c]
            level = ((value + 1) / self.bin).round().clamp(0, self.levels - 1)
            x[:, c] = level * self.bin - 1
        return x

    def _parts(self, out: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log weights (B, K, *), means and log scales (B, K, C, *), coefficients (B, K, P, *)."""
        weights, means, scales, coefficients = out.split(self.sizes, 1)
        means, scales, coefficients = (
            part.unflatten(1, (self.mixtures, part.shape[1] // self.mixtures))
            for part in (means, scales, coefficients)
        )
        return weights.log_softmax(1), means, scales.clamp(min=self.floor), coefficients.tanh()

    def _mean(self, means: Tensor, coefficients: Tensor, c: int, x: Tensor) -> Tensor:
        """Of channel c, given those before it: (B, K, *)."""
        first = c * (c - 1) // 2
        mean = means[:, :, c]
        for j in range(c):
            mean = mean + coefficients[:, :, first + j] * x[:, None, j]
        return mean
