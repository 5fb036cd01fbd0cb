"""From one grid to another of the same size: halvings, residual blocks, doublings.

The shape of Johnson et al., 2016 (arXiv:1603.08155), which CycleGAN uses, with the skip connections
of the U-Net of pix2pix (Isola et al., 2017, arXiv:1611.07004, section 3.2.1). Where the two grids
have the same channels, a mask says at each place how much of the source stays as it is (Mejjati et
al., 2018, arXiv:1806.02311, Eq. 1, with one net for mask and picture).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from genloom.core import Condition, Real, Space
from genloom.errors import BadInput
from genloom.nets.conv import Conv, double, grid_of, half, vectors_only
from genloom.nets.embed import ConditionVector
from genloom.nets.norm import GroupNorm
from genloom.nets.patch import Patch

FEATURES = 64  # of the vector that noise and labels become
EMPTY = "a translator needs the condition 'source'"


def source_of(space: Real, conditions: Mapping[str, Space]) -> Real:
    """The space of the condition "source".

    Raises:
        BadInput: There is none, or it is not a grid of the datum's size.
    """
    source = conditions.get("source")
    if source is None:
        raise BadInput(f"{EMPTY}. Set data.given, such as data.given = 'paired' or 'unpaired'.")
    if not isinstance(source, Real) or source.shape[1:] != space.shape[1:]:
        raise BadInput(
            f"the source is {source} and the datum is {space}: a translator needs grids of one "
            "size. Resize the source to it."
        )
    return source


def given(cond: Condition) -> Tensor:
    """The source pictures of a batch that is to be sampled.

    Raises:
        BadInput: There are none, or some rows are hidden.
    """
    source = cond.get("source")
    if source is None:
        raise BadInput(f"{EMPTY}: there is nothing to translate. Give a picture a sample.")
    hidden = source.flatten(1).isnan().any(1).nonzero()[:5, 0].tolist()
    if hidden:
        raise BadInput(f"{EMPTY}: it is hidden in rows {hidden}. Give a picture for each of them.")
    return source


@final
class Block(nn.Module):
    """h + conv(act(norm(conv(act(norm(h)))))), the first norm modulated."""

    def __init__(self, axes: int, width: int, groups: int, modulated: bool):
        super().__init__()
        self.norms = nn.ModuleList(GroupNorm(groups, width) for _ in range(2))
        self.convs = nn.ModuleList(Conv[axes](width, width, 3, padding=1) for _ in range(2))
        self.modulate = nn.Linear(FEATURES, 2 * width) if modulated else None

    def forward(self, h: Tensor, vector: Tensor | None) -> Tensor:
        """(B, width, *spatial) and (B, FEATURES) -> (B, width, *spatial)."""
        scale = shift = None
        if self.modulate is not None:
            scale, shift = self.modulate(vector).chunk(2, 1)
        first = self.convs[0](self.norms[0](h, scale, shift))
        return h + self.convs[1](self.norms[1](first))


@final
class Translator(nn.Module):
    """(B, C_source, *spatial) -> (B, C, *spatial).

    No layer looks at other rows. Deviations from Johnson et al.: halvings and doublings 4 wide, the
    first at full size, for a 7-wide convolution there takes most of the time of a small net; zeros
    beyond the border; SiLU for ReLU.
    """

    def __init__(
        self,
        source: Real,
        space: Real,
        latent: int,
        conditions: Mapping[str, Space],
        *,
        width: int,
        levels: int,
        blocks: int,
        groups: int | None,
        stay: bool,
    ):
        super().__init__()
        channels, spatial, times = grid_of(space, "a translator")
        axes, widths = len(spatial), [width * 2**i for i in range(min(levels, times))]
        self.cond = ConditionVector(conditions, FEATURES) if conditions else None
        self.noise = nn.Linear(latent, FEATURES) if latent else None
        modulated = bool(conditions or latent)

        def norm(c: int) -> GroupNorm:
            return GroupNorm(groups or c, c)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, (c_in, c_out) in enumerate(zip([source.shape[0], *widths[:-1]], widths)):
            layers = [half(axes, c_in, c_out), norm(c_out) if i else nn.SiLU()]
            self.down.append(nn.Sequential(*layers))
        self.blocks = nn.ModuleList(
            Block(axes, widths[-1], groups or widths[-1], modulated) for _ in range(blocks)
        )
        for i in reversed(range(1, len(widths))):
            c_in = widths[i] * (1 if i == len(widths) - 1 else 2)  # a skip comes beside
            layers = [double(axes, c_in, widths[i - 1]), norm(widths[i - 1])]
            self.up.append(nn.Sequential(*layers))
        self.stays = stay and source.shape == space.shape
        c_in = width * (2 if len(widths) > 1 else 1)
        self.last = double(axes, c_in, channels + self.stays)
        self.bound = nn.Tanh() if space.levels else nn.Identity()

    def forward(self, source: Tensor, z: Tensor | None, cond: Condition) -> Tensor:
        """(B, C_source, *spatial), (B, latent) or None -> (B, C, *spatial)."""
        vector = None if self.cond is None else self.cond(cond, len(source))
        if self.noise is not None:
            mapped = self.noise(z)
            vector = mapped if vector is None else vector + mapped
        kept, h = [], source
        for layer in self.down:
            h = layer(h)
            kept.append(h)
        for block in self.blocks:
            h = block(h, vector)
        for layer, skip in zip(self.up, reversed(kept[:-1])):
            h = torch.cat([layer(h), skip], 1)
        h = self.last(h)
        if not self.stays:
            return self.bound(h)
        return torch.lerp(self.bound(h[:, 1:]), source, h[:, :1].sigmoid())


def translator_players(
    source: Real,
    space: Real,
    latent: int,
    conditions: Mapping[str, Space],
    *,
    width: int = 32,
    levels: int = 3,
    blocks: int = 4,
    groups: int | None = None,
    stay: bool = True,
    patch_width: int = 32,
    halvings: int = 2,
    norm: bool = True,
) -> tuple[Translator, Patch]:
    """A generator (source, z, cond) -> x, and a discriminator (x, cond) -> (B, patches).

    Args:
        source: What is translated, (C_source, *spatial).
        space: What it becomes, (C, *spatial), every axis even and at least 8; with levels, the
            generator is bounded by tanh.
        latent: Size of the generator's noise; 0 for none.
        conditions: Labels and real vectors, for both nets, and grids, for the discriminator, which
            sees them beside x.
        width: Channels of the generator at half the size; doubled at each further halving.
        levels: Halvings in the generator, as far as the grid has no fewer than 4 places a side.
        blocks: Residual blocks on the coarsest grid.
        groups: Of channels that are normalized together; None: each by itself (instance norm).
        stay: Let places of the source stay as they are, where it has the shape of x.
        patch_width: Channels of the discriminator after its first halving.
        halvings: In the discriminator: 1, 2 or 3 for patches of 16, 34 or 70 places a side.
        norm: Instance norm in the discriminator.
    """
    others = {name: part for name, part in conditions.items() if name != "source"}
    vectors_only(others, "a translator")
    generator = Translator(
        source,
        space,
        latent,
        others,
        width=width,
        levels=levels,
        blocks=blocks,
        groups=groups,
        stay=stay,
    )
    patch = Patch(space, conditions, width=patch_width, halvings=halvings, norm=norm)
    return generator, patch
