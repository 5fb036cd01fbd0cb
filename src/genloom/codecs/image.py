"""Pictures as real grids in [-1, 1]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from genloom.codecs.files import each, to_picture, write_png
from genloom.core import Codec, Items, Real
from genloom.errors import Diverged


@final
class Image(Codec):
    """x = items / 127.5 - 1: uint8 (C, H, W) <-> Real with 256 levels."""

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    suffix: ClassVar[str] = ".png"

    def __init__(self, items: Items):
        super().__init__(items)
        self.space = Real(items.shape, levels=256)

    def encode(self, items: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> the same shape, float32 in [-1, 1]."""
        return items.to(torch.float32).div_(127.5).sub_(1)

    def decode(self, x: Tensor) -> Tensor:
        """The nearest level; what lies outside of [-1, 1] is clipped.

        Raises:
            Diverged: x has NaN, which is no picture (and must not become a black one).
        """
        levels = x.float().add(1).mul_(127.5).round_().clamp_(0, 255)
        if levels.isnan().any():
            raise Diverged(f"{int(x.isnan().sum())} of {x.numel()} pixels are NaN.")
        return levels.to(torch.uint8)

    def write(self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping]) -> None:
        """PNG files, metadata in their text chunks."""
        write_images(items, paths, metadata)


def write_images(items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping]) -> None:
    """(B, C, H, W) uint8 -> PNG files."""

    def write(item: Tensor, path: Path, told: Mapping) -> None:
        write_png(to_picture(item), path, told)

    each(items, paths, metadata, (".png",), write)
