"""Bottlenecks of autoencoders: from a grid of features to a grid of codes, with a gradient through.

A learned codebook (van den Oord et al., 2017, arXiv:1711.00937), fixed levels for each feature
(Mentzer et al., 2023, arXiv:2309.15505), or noise (Rombach et al., 2021, arXiv:2112.10752).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom import ranks
from genloom.core import Terms, normal_like
from genloom.errors import BadInput


@dataclass(frozen=True)
class Coded:
    """What a bottleneck makes of features.

    Args:
        h: What it was given, (B, channels, *grid), without a gradient.
        z: What the decoder reads, (B, features, *grid); its gradient goes on to the encoder.
        codes: Without a gradient: integers in [0, vocab), (B, *grid), or where there is no
            vocabulary the reals (B, features, *grid) that z lies around.
        terms: What the bottleneck adds to the loss.
    """

    h: Tensor
    z: Tensor
    codes: Tensor
    terms: Terms


@final
class Codebook(nn.Module):
    """The nearest of `vocab` vectors, each the moving mean of the features that it stood for.

    van den Oord et al., 2017, Eq. 2 and 3 and appendix A.1: the mean takes the place of the
    codebook's term. A vector that is hardly used any more is put beside one that is, drawn in
    proportion to its use (splitting; Linde, Buzo and Gray, 1980).

    All that moves the vectors is sums over the batch. `see` adds a part of it and `move` ends it,
    so that micro-batches and processes make the vectors that the whole batch would have made.

    Args:
        vocab: Vectors.
        features: Of each.
        commitment: Weight of what draws the encoder to its codes (beta of Eq. 3).
        decay: Of the moving means, per step. 0.98 rather than 0.99: for short runs.
        idle: A vector is put elsewhere when its use falls below this share of even use.
    """

    vectors: Tensor
    use: Tensor
    sums: Tensor

    def __init__(
        self,
        vocab: int,
        features: int,
        *,
        commitment: float = 0.25,
        decay: float = 0.98,
        idle: float = 0.03,
    ):
        super().__init__()
        self.channels = self.features = features
        self.vocab, self.commitment, self.decay, self.idle = vocab, commitment, decay, idle
        self.register_buffer("vectors", torch.randn(vocab, features) / math.sqrt(features))
        self.register_buffer("use", torch.ones(vocab))  # 1 is even use
        self.register_buffer("sums", self.vectors.clone())  # use times the vector
        self.seen: Tensor | None = None

    @torch.no_grad()
    def prepare(self, h: Tensor) -> None:
        """Start from features of data, (B, features, *grid)."""
        rows = _rows(h).flatten(0, -2)
        stream = torch.Generator().manual_seed(0)
        picked = torch.randint(len(rows), (self.vocab,), generator=stream)
        jitter = torch.randn(self.vectors.shape, generator=stream).to(rows)
        self.vectors.copy_(rows[picked.to(rows.device)] + 0.01 * rows.std() * jitter)
        self.sums.copy_(self.vectors)

    def code(self, h: Tensor) -> Coded:
        """(B, features, *grid)."""
        rows = _rows(h)
        codes = self.nearest(rows.detach().flatten(0, -2))
        chosen = F.embedding(codes, self.vectors).view(rows.shape)
        off = chosen - rows
        z = rows + off.detach()
        return Coded(
            h.detach(),
            _grid(z),
            codes.view(rows.shape[:-1]),
            {"commitment": self.commitment * off.square().mean()},
        )

    def nearest(self, rows: Tensor) -> Tensor:
        """Number of the nearest vector of each row: (n, features) -> (n,)."""
        with torch.autocast(rows.device.type, enabled=False):  # near vectors differ by little
            rows, vectors = rows.float(), self.vectors
            return torch.addmm(vectors.square().sum(1), rows, vectors.T, alpha=-2).argmin(1)

    @torch.no_grad()
    def see(self, coded: Coded) -> None:
        """Add a part of the batch."""
        flat, to = _rows(coded.h).flatten(0, -2).float(), coded.codes.flatten()
        found = flat.new_zeros(self.vocab, self.features + 1)
        found[:, :-1].index_add_(0, to, flat)
        found[:, -1] = torch.bincount(to, minlength=self.vocab)
        self.seen = found if self.seen is None else self.seen + found

    @torch.no_grad()
    def move(self) -> None:
        """Move the vectors by what was seen since the last time, where anything was."""
        if self.seen is None:
            return
        ranks.add([self.seen])
        scaled = self.seen * (self.vocab / self.seen[:, -1].sum())
        self.seen = None
        self.sums.lerp_(scaled[:, :-1], 1 - self.decay)
        self.use.lerp_(scaled[:, -1], 1 - self.decay)
        self._split((self.use < self.idle).nonzero()[:, 0])
        self.vectors.copy_(self.sums / self.use[:, None])

    def _split(self, idle: Tensor) -> None:
        """Put vectors beside others; they have half of even use to find features of their own."""
        if not len(idle):
            return
        cdf = self.use.double().cumsum(0)
        u = torch.rand(len(idle), dtype=torch.float64).to(cdf.device) * cdf[-1]
        beside = torch.searchsorted(cdf, u).clamp(max=self.vocab - 1)
        jitter = 0.1 * self.vectors.std() * torch.randn(len(idle), self.features).to(self.vectors)
        self.sums[idle] = (self.vectors[beside] + jitter) / 2
        self.use[idle] = 0.5

    def lookup(self, codes: Tensor) -> Tensor:
        """(B, *grid) -> (B, features, *grid)."""
        return _grid(F.embedding(codes, self.vectors))


@final
class Levels(nn.Module):
    """Finite scalar quantization: each feature is rounded to one of a few levels in [-1, 1].

    Mentzer et al., 2023 (arXiv:2309.15505), section 3.1 and appendix A.1. Nothing is learned and
    nothing is added to the loss. A code numbers the combination of levels, the first feature's
    varying fastest.

    Args:
        levels: Of each feature, at least 2.
    """

    counts: Tensor
    strides: Tensor

    def __init__(self, levels: tuple[int, ...]):
        super().__init__()
        if not levels or min(levels) < 2:
            raise BadInput(f"levels = {levels} must be counts of at least 2, such as (8, 6, 5).")
        self.channels = self.features = len(levels)
        self.vocab = math.prod(levels)
        strides = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("counts", torch.tensor(levels), persistent=False)
        self.register_buffer("strides", torch.tensor(strides), persistent=False)

    def prepare(self, h: Tensor) -> None:
        """Nothing to measure."""

    def see(self, coded: Coded) -> None:
        """Nothing to learn."""

    def move(self) -> None:
        """Nothing to move."""

    def code(self, h: Tensor) -> Coded:
        """(B, features, *grid)."""
        even = (self.counts % 2 == 0) * 0.5
        reach = (self.counts - 1) * (1.001 / 2)  # a little beyond the last level, so it is reached
        bounded = (_rows(h) + (even / reach).atanh()).tanh() * reach - even
        steps = bounded + (bounded.round() - bounded).detach()
        half = self.counts // 2
        codes = ((steps.detach().round().long() + half) * self.strides).sum(-1)
        return Coded(h.detach(), _grid(steps / half), codes, {})

    def lookup(self, codes: Tensor) -> Tensor:
        """(B, *grid) -> (B, features, *grid)."""
        half = self.counts // 2
        places = codes[..., None] // self.strides % self.counts
        return _grid((places - half) / half)


@final
class Gaussian(nn.Module):
    """A small cloud around each place's features, as in a VAE, whose size the encoder says.

    Args:
        features: Of a place; the encoder gives twice as many, means and log deviations.
        beta: Weight of the rate, the mean divergence of a feature from a standard normal in nats.
    """

    def __init__(self, features: int, *, beta: float):
        super().__init__()
        self.channels, self.features, self.beta = 2 * features, features, beta

    def prepare(self, h: Tensor) -> None:
        """Nothing to measure."""

    def code(self, h: Tensor) -> Coded:
        """(B, 2 * features, *grid)."""
        mean, log_std = self.posterior(h)
        z = mean + log_std.exp() * normal_like(mean)
        rates = (mean.square() + (2 * log_std).exp() - 1) / 2 - log_std
        return Coded(h.detach(), z, mean.detach(), {"rate": self.beta * rates.mean()})

    def posterior(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log deviation of each place, (B, features, *grid) each."""
        mean, log_std = h.chunk(2, 1)
        return mean, log_std.clamp(-8, 4)


def perplexity(codes: Tensor, vocab: int) -> Tensor:
    """The exponential of the entropy of codes: 1 for a single one, `vocab` for all alike."""
    share = torch.bincount(codes.flatten(), minlength=vocab) / codes.numel()
    return torch.special.entr(share).sum().exp()


def _rows(h: Tensor) -> Tensor:
    return h.movedim(1, -1)


def _grid(rows: Tensor) -> Tensor:
    return rows.movedim(-1, 1)
