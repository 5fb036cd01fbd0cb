"""Invertible layers with a cheap log-determinant, over grids whose channels come last.

Dinh et al., 2016 (arXiv:1605.08803); Kingma and Dhariwal, 2018 (arXiv:1807.03039), Table 1. Every
layer goes both ways: `forward` gives y and log |det dy/dx|, (B,), but for `Mix`; `inverse` gives x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast, final

import torch
from torch import Tensor, nn

from genloom.core import Condition, Space
from genloom.errors import BadInput
from genloom.nets.embed import ConditionVector

Net = Callable[[tuple[int, ...], int, Mapping[str, Space]], nn.Module]

BOUND = 2.0  # of a log-scale: one coupling stretches by less than exp(2)
LEAST = 1e-3  # deviation that a channel is taken to have, as a share of the widest one's


@final
class Mix(nn.Module):
    """A matrix on the channels of every place, then a scale and a shift of each (actnorm).

    The reference has actnorm before the matrix. After it the maps are the same, a coupling reads
    channels of unit variance, and both are one product.

    Args:
        channels: Of x.
        order: The channels in a fixed new order; None: a learned matrix that starts as a rotation,
            W = P L (U + diag(sign exp(log_s))), Eq. 10 of Glow.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, channels: int, order: Sequence[int] | None):
        super().__init__()
        self.learned = order is None
        if order is None:
            rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
            permutation, lower, upper = torch.linalg.lu(rotation)
            diagonal = upper.diagonal()
            self.lower = nn.Parameter(lower.tril(-1))
            self.upper = nn.Parameter(upper.triu(1))
            self.stretch = nn.Parameter(diagonal.abs().log())
            self.register_buffer("sign", diagonal.sign())
            self.register_buffer("order", permutation.argmax(1))
        else:
            self.register_buffer("order", torch.tensor(order))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def prepare(self, x: Tensor) -> None:
        """Choose scale and shift such that y has zero mean and unit variance in each channel."""
        y = x @ _products([self])[0].T
        std, mean = torch.std_mean(y.flatten(0, -2).double(), 0, correction=0)
        std = std.clamp(min=LEAST * float(std.max()))
        self.log_scale.copy_(-std.log())
        self.shift.copy_(-mean / std)

    def forward(self, x: Tensor, matrix: Tensor) -> Tensor:
        """(B, *spatial, C) and what `scaled` gave for this mix, (C, C) -> the same shape as x."""
        return nn.functional.linear(x, matrix, self.shift)

    def inverse(self, y: Tensor, inverted: Tensor) -> Tensor:
        """What `forward` made y of, by the inverse of its matrix."""
        return nn.functional.linear(y - self.shift, inverted)


def scaled(mixes: Sequence[Mix]) -> tuple[Tensor, Tensor]:
    """What each mix multiplies by, (n, C, C), and log |det| of all together at one place.

    For all at once: they are small, and one by one their calls take a tenth of a step.
    """
    log_scale = torch.stack([mix.log_scale for mix in mixes])
    total = log_scale.sum()
    if mixes[0].learned:
        total = total + torch.stack([mix.stretch for mix in mixes]).sum()
    return log_scale.exp()[..., None] * _products(mixes), total


def _products(mixes: Sequence[Mix]) -> Tensor:
    order = torch.stack([mix.order for mix in mixes])
    like = mixes[0].shift
    eye = torch.eye(len(like), dtype=like.dtype, device=like.device)
    if not mixes[0].learned:
        return eye[order]
    lower = torch.stack([mix.lower for mix in mixes]).tril(-1) + eye
    stretch = torch.stack([mix.stretch for mix in mixes]).exp()
    diagonal = torch.diag_embed(torch.stack([mix.sign for mix in mixes]) * stretch)
    upper = torch.stack([mix.upper for mix in mixes]).triu(1) + diagonal
    each = torch.arange(len(mixes), device=order.device)[:, None]
    return (lower @ upper)[each, order]


@final
class Coupling(nn.Module):
    """The first channels pass; the others are scaled and shifted by what a net makes of those.

    RealNVP, Eq. 4 and 5, with the log-scale bounded by a tanh, so that no datum can blow up.

    Args:
        net: (B, passing, *spatial), cond -> (B, 2 * the others, *spatial).
        passing: Number of channels that pass.
    """

    def __init__(self, net: nn.Module, passing: int):
        super().__init__()
        self.net, self.passing = net, passing

    def forward(self, x: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """(B, *spatial, C) -> the same shape, and the log-determinant, (B,)."""
        kept, moved = x.tensor_split([self.passing], -1)
        log_scale, shift = self._read(kept, cond)
        moved = torch.addcmul(shift, moved, log_scale.exp())
        return torch.cat([kept, moved], -1), log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor, cond: Condition) -> Tensor:
        """What `forward` made y of."""
        kept, moved = y.tensor_split([self.passing], -1)
        log_scale, shift = self._read(kept, cond)
        return torch.cat([kept, (moved - shift) * (-log_scale).exp()], -1)

    def _read(self, kept: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        raw, shift = self.net(kept.movedim(-1, 1), cond).movedim(1, -1).chunk(2, -1)
        return BOUND * (raw / BOUND).tanh(), shift


@final
class Centre(nn.Module):
    """A scale and a shift of each channel by the conditions: a normal law for each label.

    Glow's class-conditional prior, seen as the last layer of the flow. The identity at first.

    Args:
        channels: Of x.
        conditions: Labels and real vectors.
        width: Of their embedding.
    """

    def __init__(self, channels: int, conditions: Mapping[str, Space], *, width: int = 64):
        super().__init__()
        self.cond = ConditionVector(conditions, width)
        self.last = nn.Linear(width, 2 * channels)
        for p in self.last.parameters():
            nn.init.zeros_(p)

    def forward(self, x: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """(B, *spatial, C) -> the same shape, and the log-determinant, (B,)."""
        log_scale, shift = self._read(x, cond)
        places = math.prod(x.shape[1:-1])
        y = torch.addcmul(shift, x, log_scale.exp())
        return y, places * log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor, cond: Condition) -> Tensor:
        """What `forward` made y of."""
        log_scale, shift = self._read(y, cond)
        return (y - shift) * (-log_scale).exp()

    def _read(self, x: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        found = self.last(self.cond(cond, len(x)))
        raw, shift = found.view(len(x), *(1,) * (x.ndim - 2), -1).chunk(2, -1)
        return BOUND * (raw / BOUND).tanh(), shift


@final
class Scale(nn.Module):
    """A squeeze, pairs of `Mix` and `Coupling`, and a split: half of the channels is done here.

    What is done is first standardised given the rest, by a coupling: Glow's learned prior.

    Args:
        shape: Of what comes in, (C, *spatial).
        conditions: Labels and real vectors.
        net: Makes a coupling's net from (shape, channels out, conditions).
        learned: Matrices between the couplings, or fixed orders (see `masks`).
        steps: Number of pairs.
        last: Without a split.

    Raises:
        BadInput: There are not two channels, and no side that is even.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        conditions: Mapping[str, Space],
        net: Net,
        *,
        learned: bool,
        steps: int,
        last: bool,
    ):
        super().__init__()
        before, *spatial = shape
        self.factors = [2 if side % 2 == 0 else 1 for side in spatial]
        channels = before * math.prod(self.factors)
        spatial = [side // factor for side, factor in zip(spatial, self.factors)]
        if channels < 2:
            raise BadInput(
                f"a flow couples channels, and {shape} gives it one. Choose an even side, or data "
                "of two numbers and more."
            )

        def coupling(passing: int) -> Coupling:
            moved = channels - passing
            return Coupling(net((passing, *spatial), 2 * moved, conditions), passing)

        orders = [None] * steps if learned else masks(channels, before if spatial else 1, steps)
        self.mixes = nn.ModuleList(Mix(channels, order) for order in orders)
        self.couplings = nn.ModuleList(coupling(channels // 2) for _ in range(steps))
        going_on = channels if last else channels - channels // 2
        self.split = None if last else coupling(going_on)
        self.shape = (going_on, *spatial)
        self.done = (channels - going_on) * math.prod(spatial)

    def prepare(self, x: Tensor, cond: Condition) -> Tensor:
        """Start every `Mix` from data; what goes on to the next scale."""
        h = squeeze(x, self.factors)
        for mix, coupling in zip(self._mixes(), self._couplings()):
            mix.prepare(h)
            h, _ = coupling(mix(h, scaled([mix])[0][0]), cond)
        return h[..., : self.shape[0]]

    def forward(self, x: Tensor, cond: Condition) -> tuple[Tensor, Tensor, Tensor]:
        """(B, *spatial, C) -> what goes on, what is done, the log-determinant (B,)."""
        mixes, h = self._mixes(), squeeze(x, self.factors)
        matrices, of_mixes = scaled(mixes)
        total = math.prod(h.shape[1:-1]) * of_mixes
        for mix, matrix, coupling in zip(mixes, matrices.unbind(), self._couplings()):
            h, of_coupling = coupling(mix(h, matrix), cond)
            total = total + of_coupling
        if self.split is not None:
            h, of_split = self.split(h, cond)
            total = total + of_split
        going_on, done = h.tensor_split([self.shape[0]], -1)
        return going_on, done, total

    def inverse(self, going_on: Tensor, done: Tensor, cond: Condition) -> Tensor:
        """What `forward` made both of; done: (B, *), flat or not."""
        h = going_on
        if self.split is not None:
            h = torch.cat([h, done.reshape(*h.shape[:-1], -1)], -1)
            h = self.split.inverse(h, cond)
        mixes = self._mixes()
        inverted = torch.linalg.inv(scaled(mixes)[0]).unbind()
        for mix, matrix, coupling in reversed([*zip(mixes, inverted, self._couplings())]):
            h = mix.inverse(coupling.inverse(h, cond), matrix)
        return unsqueeze(h, self.factors)

    def _mixes(self) -> list[Mix]:
        return cast(list[Mix], list(self.mixes))

    def _couplings(self) -> list[Coupling]:
        return cast(list[Coupling], list(self.couplings))


def masks(channels: int, before: int, steps: int) -> list[list[int]]:
    """Orders of the channels, each relative to the one before, that put what passes first.

    RealNVP, section 3.4 and Fig. 3: a checkerboard of places for the first half of the steps, then
    halves of the channels; what passed at one step moves at the next. After a squeeze a
    checkerboard is a choice of channels. Data without places have one of single numbers.

    Args:
        channels: After the squeeze.
        before: Channels before it, which vary fastest.
        steps: Number of couplings.
    """
    orders, now = [], list(range(channels))
    for step in range(steps):
        wanted = list(range(channels))
        if step < (steps + 1) // 2:
            wanted.sort(key=lambda c: (c // before).bit_count() % 2)
        if step % 2:
            wanted = wanted[channels // 2 :] + wanted[: channels // 2]
        orders.append([now.index(c) for c in wanted])
        now = wanted
    return orders


def squeeze(x: Tensor, factors: Sequence[int]) -> Tensor:
    """Blocks of places become channels: (B, *spatial, C) -> (B, *spatial / factors, prod * C)."""
    axes = len(factors)
    for axis, factor in enumerate(factors):
        x = x.unflatten(1 + 2 * axis, (-1, factor))
    outer, inner = range(1, 1 + 2 * axes, 2), range(2, 2 + 2 * axes, 2)
    return x.permute(0, *outer, *inner, 1 + 2 * axes).flatten(1 + axes)


def unsqueeze(x: Tensor, factors: Sequence[int]) -> Tensor:
    """The inverse of `squeeze`."""
    axes = len(factors)
    x = x.unflatten(-1, (*factors, -1))
    order = [place for axis in range(axes) for place in (1 + axis, 1 + axes + axis)]
    x = x.permute(0, *order, 1 + 2 * axes)
    for axis in range(axes):
        x = x.flatten(1 + axis, 2 + axis)
    return x
