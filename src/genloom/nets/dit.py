"""Diffusion transformer over 1 to 3 spatial axes: patches as tokens, modulated by time and labels.

Peebles and Xie, 2022 (arXiv:2212.09748): blocks whose norms are scaled, shifted and gated by the
condition, gates and head zero at the start ("adaLN-Zero"). Text is joined to the patches as further
tokens, one attention over both; grids are concatenated as channels. Positions are rotary (Su et
al., 2021, arXiv:2104.09864), an equal share of each head for every axis, with queries and keys
normed (Henry et al., 2020, arXiv:2010.04245); or the fixed waves of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space
from genloom.errors import BadInput
from genloom.nets.embed import ConditionGrid, ConditionSequence, ConditionVector, Dropout, Fourier
from genloom.nets.pointwise import rotate
from genloom.nets.text import EncoderBlock
from genloom.nets.unet import depth_to_space, padded, space_to_depth

TIMES = 256  # waves that a noise level is read by
ROTARY, WAVES = 100.0, 1e4  # longest period over 2 pi: of rotary positions, and of added waves


@final
class Dit(nn.Module):
    """net(x, t, cond) -> the same shape with `out_channels`; zero everywhere before training.

    With `positions="waves", high=1, low=1e-4 ** (128 / 127)` it is the paper's, as today's
    libraries build it. Sides that `patch` does not divide are padded with zeros.

    Args:
        in_channels: Of x.
        out_channels: Of the output.
        axes: Spatial axes, 1 to 3.
        conditions: Name -> space; each enters in its own way (see `embed`).
        width: Features of a token.
        layers: Blocks.
        heads: Of attention; width / heads must be even.
        patch: Side of the blocks of places that become a token.
        expand: Hidden features of the feed-forward net, in widths.
        positions: "rotary": queries and keys are turned; "waves": added to the tokens.
        dropout: Share of each branch's output that is dropped in training.
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
        width: Annotated[int, Interval(ge=8)] = 128,
        layers: Annotated[int, Interval(ge=1)] = 6,
        heads: Annotated[int, Interval(ge=1)] = 4,
        patch: Annotated[int, Interval(ge=1, le=64)] = 2,
        expand: Annotated[int, Interval(ge=1)] = 4,
        positions: Literal["rotary", "waves"] = "rotary",
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
        text_layers: Annotated[int, Interval(ge=0, le=12)] = 0,
        text_encoder: str | None = None,
        high: float = 64.0,
        low: float = 0.25,
    ):
        super().__init__()
        if not 1 <= axes <= 3:
            raise BadInput(f"dit needs 1 to 3 spatial axes, not {axes}. Use nets.mlp for none.")
        _check_width(width, heads, axes)
        self.patch, self.heads, self.rotary = patch, heads, positions == "rotary"
        self.time = nn.Sequential(
            Fourier(TIMES, high=high, low=low),
            nn.Linear(TIMES, width),
            nn.SiLU(),
            nn.Linear(width, width),
        )
        self.vector = ConditionVector(conditions, width, scale=0.02)
        self.sequence = ConditionSequence(
            conditions, width, layers=text_layers, frozen=text_encoder
        )
        self.grid = ConditionGrid(conditions)
        self.first = nn.Linear((in_channels + self.grid.channels) * patch**axes, width)
        self.blocks = nn.ModuleList(DitBlock(width, heads, expand, dropout) for _ in range(layers))
        self.modulate = nn.Linear(width, 2 * width)
        self.last = nn.Linear(width, out_channels * patch**axes)
        _start(self)

    def forward(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """(B, in_channels, *spatial), (B,) -> (B, out_channels, *spatial)."""
        n, spatial = len(x), x.shape[2:]
        modulation = F.silu(self.time(t.to(x.dtype)) + self.vector(cond, n))
        h = space_to_depth(padded(self.grid(x, cond), self.patch), self.patch)
        sides = h.shape[2:]
        h = self.first(h.flatten(2).transpose(1, 2))  # (B, L, D)
        if not self.rotary:
            h = h + waves(sides, h.shape[2], h.device).to(h.dtype)
        context = self.sequence(cond, n)
        before = 0 if context is None else context.shape[1]
        if context is not None:
            h = torch.cat([context.to(h.dtype), h], 1)
        turns = self._turns(sides, before, h) if self.rotary else None
        for block in self.blocks:
            h = block(h, modulation, turns)
        shift, scale = self.modulate(modulation)[:, None].chunk(2, -1)
        h = self.last(_modulated(h[:, before:], shift, scale))
        return self._image(h.transpose(1, 2).unflatten(2, sides), spatial)

    def _turns(self, sides: Sequence[int], before: int, h: Tensor) -> Tensor:
        """exp(i angle), (L, 1, 1, features / 2); joined tokens are not turned."""
        angles = rotary(sides, h.shape[2] // self.heads // 2, h.device)
        angles = F.pad(angles, (0, 0, before, 0))
        return torch.polar(torch.ones_like(angles), angles)[:, None, None]

    def _image(self, h: Tensor, spatial: torch.Size) -> Tensor:
        x = depth_to_space(h, self.patch)
        for axis, side in enumerate(spatial, start=2):
            x = x.narrow(axis, 0, side)
        return x


@final
class DitBlock(nn.Module):
    """Attention, then a feed-forward net, each on the modulated norm of its input, gated, added."""

    def __init__(self, width: int, heads: int, expand: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.modulate = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, expand * width)
        self.down = nn.Linear(expand * width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, modulation: Tensor, turns: Tensor | None) -> Tensor:
        """(B, L, D), (B, D), turns of positions if they are rotary -> (B, L, D)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulate(modulation)[:, None].chunk(
            6, -1
        )
        qkv = self.qkv(_modulated(x, shift1, scale1)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.unbind(2) if turns is None else rotate(qkv, turns)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        found = F.scaled_dot_product_attention(q, k, v)
        x = torch.addcmul(x, gate1, self.dropout(self.out(found.transpose(1, 2).flatten(2))))
        h = F.gelu(self.up(_modulated(x, shift2, scale2)), approximate="tanh")
        return torch.addcmul(x, gate2, self.dropout(self.down(h)))


def waves(sides: Sequence[int], width: int, device: torch.device) -> Tensor:
    """Sines and cosines of each axis's position, (places, width), the last axis first.

    Each axis has width / axes features, the first half of them sines; Vaswani et al., 2017
    (arXiv:1706.03762), section 3.5, as Peebles and Xie lay it out over two axes.
    """
    half = width // len(sides) // 2
    rate = WAVES ** -(torch.arange(half, dtype=torch.float64, device=device) / half)
    parts: list[Tensor] = []
    for place in reversed(_places(sides, device)):
        angle = place[:, None] * rate
        parts += [angle.sin(), angle.cos()]
    found = torch.cat(parts, 1).float()
    return F.pad(found, (0, width - found.shape[1]))


def rotary(sides: Sequence[int], pairs: int, device: torch.device) -> Tensor:
    """Angles of each place, (places, pairs): pairs / axes for each axis, the rest stays unturned.

    Heo et al., 2024 (arXiv:2403.13298), section 3.1, with their base of 100 for grids.
    """
    each = pairs // len(sides)
    rate = ROTARY ** -(torch.arange(each, dtype=torch.float64, device=device) / each)
    found = torch.cat([place[:, None] * rate for place in _places(sides, device)], 1).float()
    return F.pad(found, (0, pairs - found.shape[1]))


def _places(sides: Sequence[int], device: torch.device) -> list[Tensor]:
    """For each axis, where every place of a grid lies on it, row by row: (places,) float64."""
    steps = [torch.arange(side, dtype=torch.float64, device=device) for side in sides]
    return [axis.flatten() for axis in torch.meshgrid(*steps, indexing="ij")]


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), 1 + scale)


def _check_width(width: int, heads: int, axes: int) -> None:
    if width % (2 * heads):
        raise BadInput(
            f"width = {width} with heads = {heads} leaves {width / heads:g} features a head: "
            f"an even number is needed. Choose a multiple of {2 * heads}."
        )
    if width // heads < 2 * axes:
        raise BadInput(
            f"width = {width} with heads = {heads} leaves {width // heads} features a head: "
            f"{axes} axes need at least {2 * axes}. Choose fewer heads or a greater width."
        )


def _start(net: Dit) -> None:
    """The paper's start: even variance through matrices, gates and head silent."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    for layer in net.time:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
    silent = [
        net.last,
        net.modulate,
        *(m.modulate for m in net.modules() if isinstance(m, DitBlock)),
        *(last for m in net.modules() if isinstance(m, EncoderBlock) for last in (m.out, m.down)),
    ]
    for layer in silent:
        nn.init.zeros_(layer.weight)
