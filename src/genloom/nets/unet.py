"""U-Net over 1 to 3 spatial axes, modulated by time and conditions, attention where it is small.

Ronneberger et al., 2015 (arXiv:1505.04597); for diffusion Ho et al., 2020 (arXiv:2006.11239), with
the changes of Dhariwal and Nichol, 2021 (arXiv:2105.05233): modulated norms, zero-initialised last
convolutions; and a space-to-depth stem, which makes it about four times cheaper for images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Literal, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space
from genloom.errors import BadInput
from genloom.nets.embed import ConditionGrid, ConditionSequence, ConditionVector, Dropout, Fourier
from genloom.nets.layout import FORMATS, channels_last, to_channels_last
from genloom.nets.norm import GroupNorm

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
CONV_FUNCTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@final
class UNet(nn.Module):
    """net(x, t, cond) -> the same shape with `out_channels`; zero everywhere before training.

    With `stem=1, modulate="add", balance=1, high=1, low=1e-4, groups=32, head=8` it is the U-Net
    of Ho et al., as today's libraries build it.

    Args:
        in_channels: Of x.
        out_channels: Of the output.
        axes: Spatial axes, 1 to 3.
        conditions: Name -> space; each enters in its own way (see `embed`).
        width: Channels of the first level; level i has width * min(2**i, cap).
        levels: Resolutions, each half of the one before.
        cap: Most that the width is multiplied by.
        blocks: Residual blocks of a level on the way down; one more on the way up.
        attend: First level whose blocks are followed by attention; `levels` = in the middle only.
        head: Channels of an attention head.
        stem: Side of the blocks of pixels that become channels before the first convolution.
        groups: Of the group norms, at most.
        modulate: "film": time scales and shifts the second norm; "add": it is added before it.
        balance: Factor on the sum at the end of a residual block.
        dropout: Share of values dropped inside residual blocks.
        text_layers: Of a text encoder over conditions that are sequences (see `text`).
        text_encoder: The folder of a trained one that reads them before, frozen.
        high: First frequency of the time embedding.
        low: Last one. The defaults suit ln(sigma)/4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        axes: int,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=8, le=2048)] = 32,
        levels: Annotated[int, Interval(ge=1, le=8)] = 3,
        cap: Annotated[int, Interval(ge=1, le=64)] = 2,
        blocks: Annotated[int, Interval(ge=1, le=16)] = 1,
        attend: Annotated[int, Interval(ge=0, le=8)] = 1,
        head: Annotated[int, Interval(ge=1, le=512)] = 32,
        stem: Annotated[int, Interval(ge=1, le=16)] = 2,
        groups: Annotated[int, Interval(ge=1, le=64)] = 8,
        modulate: Literal["film", "add"] = "film",
        balance: Annotated[float, Interval(ge=0.1, le=1)] = math.sqrt(0.5),
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
        text_layers: Annotated[int, Interval(ge=0, le=12)] = 0,
        text_encoder: str | None = None,
        high: float = 64.0,
        low: float = 0.25,
    ):
        super().__init__()
        if axes not in CONVS:
            raise BadInput(f"a U-Net needs 1 to 3 spatial axes, not {axes}. Use nets.mlp for none.")
        self.axes, self.stem = axes, stem
        features = 4 * width
        self.time = nn.Sequential(
            Fourier(width, high=high, low=low),
            nn.Linear(width, features),
            nn.SiLU(),
            nn.Linear(features, features),
        )
        self.vector = ConditionVector(conditions, features)
        self.sequence = ConditionSequence(
            conditions, features, layers=text_layers, frozen=text_encoder
        )
        self.grid = ConditionGrid(conditions)
        if self.sequence.lengths and attend > levels:
            raise BadInput(
                f"{', '.join(self.sequence.lengths)} must be attended to, but attend = {attend} "
                f"leaves no attention. Set it to {levels} or less."
            )
        context = features if self.sequence.lengths else 0
        widths = [width * min(2**i, cap) for i in range(levels)]

        def block(before: int, after: int) -> ResidualBlock:
            return ResidualBlock(
                before, after, features, axes, groups=groups, film=modulate == "film",
                balance=balance, dropout=dropout,
            )  # fmt: skip

        def attention(level: int, channels: int) -> nn.Module:
            if level < attend:
                return nn.Identity()
            return Attention(channels, context, groups=groups, head=head)

        self.first = _conv(axes, (in_channels + self.grid.channels) * stem**axes, width)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        skips, here = [width], width
        for level, channels in enumerate(widths):
            for _ in range(blocks):
                self.down.append(nn.ModuleList([block(here, channels), attention(level, channels)]))
                here = channels
                skips.append(here)
            if level < levels - 1:
                self.shrink.append(_conv(axes, here, here, stride=2))
                skips.append(here)
        self.middle = nn.ModuleList([block(here, here), attention(levels, here), block(here, here)])
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, channels in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                pair = [block(here + skips.pop(), channels), attention(level, channels)]
                self.up.append(nn.ModuleList(pair))
                here = channels
            if level > 0:
                self.grow.append(Grow(axes, here))
        self.norm = GroupNorm(groups, here)
        self.last = _zero(_conv(axes, here, out_channels * stem**axes))
        self.blocks = blocks
        to_channels_last(self)

    def forward(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """(B, in_channels, *spatial), (B,) -> (B, out_channels, *spatial)."""
        n, spatial = len(x), x.shape[2:]
        modulation = F.silu(self.time(t.to(x.dtype)) + self.vector(cond, n))
        context = self.sequence(cond, n)
        h = self.first(self._fold(self.grid(x, cond)))
        skips = [h]
        for i, (block, attention) in enumerate(_pairs(self.down)):
            h = _attended(attention, block(h, modulation), context)
            skips.append(h)
            level, place = divmod(i, self.blocks)
            if place == self.blocks - 1 and level < len(self.shrink):
                h = self.shrink[level](h)
                skips.append(h)
        before, attention, after = self.middle
        h = after(_attended(attention, before(h, modulation), context), modulation)
        for i, (block, attention) in enumerate(_pairs(self.up)):
            h = block(torch.cat([h, skips.pop()], 1), modulation)
            h = _attended(attention, h, context)
            level, place = divmod(i, self.blocks + 1)
            if place == self.blocks and level < len(self.grow):
                h = self.grow[level](h, skips[-1].shape[2:])
        return self._unfold(self.last(self.norm(h)), spatial)

    def _fold(self, x: Tensor) -> Tensor:
        """Blocks of stem**axes places become channels; the far edges are padded with zeros."""
        if self.stem > 1:
            x = space_to_depth(padded(x, self.stem), self.stem)
        return channels_last(x) if x.ndim in FORMATS else x

    def _unfold(self, x: Tensor, spatial: torch.Size) -> Tensor:
        if self.stem > 1:
            x = depth_to_space(x, self.stem)
        for axis, side in enumerate(spatial, start=2):
            x = x.narrow(axis, 0, side)
        return x


def fitting(spatial: Sequence[int]) -> partial[UNet]:
    """A U-Net of about a million parameters whose levels suit the sides of a datum."""
    stem = 2 if min(spatial) >= 16 else 1
    sides = [[-(-side // stem) for side in spatial]]
    while min(sides[-1]) > 6:
        sides.append([-(-side // 2) for side in sides[-1]])
    places = [math.prod(level) for level in sides]
    attend = next((i for i, count in enumerate(places) if count <= 64), len(sides))
    return partial(UNet, stem=stem, levels=len(sides), attend=attend)


@final
class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution; modulated norm, SiLU, convolution (zero at first); plus input."""

    def __init__(
        self,
        before: int,
        after: int,
        features: int,
        axes: int,
        *,
        groups: int,
        film: bool,
        balance: float,
        dropout: float,
    ):
        super().__init__()
        self.film, self.balance = film, balance
        self.norm1, self.conv1 = GroupNorm(groups, before), _conv(axes, before, after)
        self.modulate = nn.Linear(features, after * (1 + film))
        self.norm2, self.conv2 = GroupNorm(groups, after), _zero(_conv(axes, after, after))
        self.dropout = Dropout(dropout)
        self.shortcut = nn.Identity() if before == after else Pointwise(axes, before, after)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """(B, before, *spatial), (B, features) -> (B, after, *spatial)."""
        h = self.conv1(self.norm1(x))
        m = self.modulate(modulation)
        if self.film:
            scale, shift = m.chunk(2, 1)
            h = self.norm2(h, scale, shift)
        else:
            h = self.norm2(h + m.view(*m.shape, *(1,) * (x.ndim - 2)))
        h = self.shortcut(x) + self.conv2(self.dropout(h))
        return h if self.balance == 1 else h * self.balance


@final
class Pointwise(nn.Module):
    """A convolution of width 1, done as one matrix product where channels are fastest in memory.

    There the backward pass of the convolution itself was measured three times slower.
    """

    def __init__(self, axes: int, before: int, after: int):
        super().__init__()
        conv = CONVS[axes](before, after, 1)
        self.weight, self.bias = conv.weight, conv.bias
        self.conv = CONV_FUNCTIONS[axes]

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, *spatial) -> (B, after, *spatial)."""
        if x.stride(1) != 1:
            return self.conv(x, self.weight, self.bias)
        return F.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)


@final
class Grow(nn.Module):
    """Double each axis by repeating places, then a convolution of width 3; cut to a size.

    Done as one transposed convolution of width 4, whose kernel follows from the 3: less than half
    of the products, and the same result.
    """

    def __init__(self, axes: int, channels: int):
        super().__init__()
        conv = CONVS[axes](channels, channels, 3)
        self.weight, self.bias = conv.weight, conv.bias
        self.axes = axes

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """(B, C, *spatial) -> (B, C, *size), each side twice as long or one less."""
        kernel = self.weight.transpose(0, 1)
        for axis in range(2, 2 + self.axes):
            a, b, c = kernel.unbind(axis)
            kernel = torch.stack([c, b + c, a + b, a], axis)
        if kernel.ndim in FORMATS:
            kernel = kernel.contiguous(memory_format=FORMATS[kernel.ndim])
        h = TRANSPOSED[self.axes](x, kernel, self.bias, stride=2, padding=1)
        for axis, side in enumerate(size, start=2):
            h = h.narrow(axis, 0, side)
        return h


@final
class Attention(nn.Module):
    """Every place attends to every place and, where there is one, to a context sequence."""

    def __init__(self, channels: int, context: int, *, groups: int, head: int):
        super().__init__()
        self.heads = max(1, channels // head)
        self.norm = GroupNorm(groups, channels, silu=False)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.context = nn.Linear(context, 2 * channels) if context else None
        self.out = _zero(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """(B, C, *spatial), (B, L, context) or None -> (B, C, *spatial)."""
        places = self.norm(x).flatten(2).transpose(1, 2)  # (B, P, C)
        q, k, v = (self._split(part) for part in self.qkv(places).chunk(3, -1))
        if self.context is not None and context is not None:
            more_k, more_v = (self._split(part) for part in self.context(context).chunk(2, -1))
            k, v = torch.cat([k, more_k], 2), torch.cat([v, more_v], 2)
        found = F.scaled_dot_product_attention(q, k, v)  # (B, heads, P, C / heads)
        found = self.out(found.transpose(1, 2).flatten(2))
        return x + found.transpose(1, 2).unflatten(2, x.shape[2:])

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def padded(x: Tensor, factor: int) -> Tensor:
    """(B, C, *spatial) with zeros at the far edges, so that the factor divides every side."""
    pad = [(-side) % factor for side in x.shape[2:]]
    return F.pad(x, [amount for side in reversed(pad) for amount in (0, side)]) if any(pad) else x


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(B, C, *spatial) -> (B, C * factor**axes, *spatial / factor); channels vary slowest."""
    axes = x.ndim - 2
    if axes == 2:
        return F.pixel_unshuffle(x, factor)
    for axis in range(axes):
        x = x.unflatten(2 + 2 * axis, (-1, factor))
    inner = [3 + 2 * axis for axis in range(axes)]
    outer = [2 + 2 * axis for axis in range(axes)]
    return x.permute(0, 1, *inner, *outer).flatten(1, 1 + axes)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """The inverse of `space_to_depth`."""
    axes = x.ndim - 2
    if axes == 2:
        return F.pixel_shuffle(x, factor)
    x = x.unflatten(1, (-1, *(factor,) * axes))
    order = [place for axis in range(axes) for place in (2 + axes + axis, 2 + axis)]
    x = x.permute(0, 1, *order)
    for axis in range(axes):
        x = x.flatten(2 + axis, 3 + axis)
    return x


def _pairs(modules: nn.ModuleList) -> list[tuple[nn.Module, nn.Module]]:
    return [cast(tuple[nn.Module, nn.Module], tuple(cast(nn.ModuleList, m))) for m in modules]


def _attended(attention: nn.Module, h: Tensor, context: Tensor | None) -> Tensor:
    return attention(h, context) if isinstance(attention, Attention) else h


def _conv(axes: int, before: int, after: int, *, stride: int = 1) -> nn.Module:
    return CONVS[axes](before, after, 3, stride=stride, padding=1)


def _zero(module: nn.Module) -> nn.Module:
    for p in module.parameters():
        nn.init.zeros_(p)
    return module
