"""Pictures as grids of tokens: each patch of quantised pixels is one token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, final

import torch
from torch import Tensor

from genloom.codecs.image import write_images
from genloom.core import Codec, Interval, Items, Tokens
from genloom.errors import BadInput

MAX_VOCAB = 65536


@final
class Pixels(Codec):
    """uint8 (C, H, W) <-> Tokens((H/p, W/p), levels ** (p * p * C)).

    The levels are equally spaced from 0 to 255, and each value goes to the nearest. The digits of
    a token, in base `levels`, are its pixels by channel, row and column, the first the most
    significant. With 256 levels and patch 1, a grey picture is kept exactly.

    Args:
        items: What is stored.
        levels: Grey levels that are told apart; 2 is black and white.
        patch: Side of a patch in pixels; None takes 2 where it fits, else 1.
    """

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    space: Tokens
    suffix: ClassVar[str] = ".png"

    def __init__(
        self,
        items: Items,
        *,
        levels: Annotated[int, Interval(ge=2, le=256)] = 4,
        patch: Literal[1, 2] | None = None,
    ):
        super().__init__(items)
        if not 2 <= levels <= 256:
            raise BadInput(f"levels = {levels} must lie in [2, 256].")
        if patch not in (None, 1, 2):
            raise BadInput(f"patch = {patch} must be 1 or 2.")
        c, h, w = items.shape
        even = h % 2 == 0 and w % 2 == 0
        if patch is None:
            patch = 2 if even and levels ** (4 * c) <= MAX_VOCAB else 1
        if patch == 2 and not even:
            raise BadInput(f"patch = 2 needs an even size, not {w}x{h}. Set patch = 1 or size.")
        vocab = levels ** (patch * patch * c)
        if vocab > MAX_VOCAB:
            raise BadInput(
                f"levels = {levels} with patch = {patch} and {c} channels makes {vocab} tokens; "
                f"at most {MAX_VOCAB} are possible. Set fewer levels, patch = 1 or channels = 1."
            )
        self.levels, self.patch = levels, patch
        self.space = Tokens((h // patch, w // patch), vocab)
        place = torch.arange(c * patch * patch - 1, -1, -1)
        self._weights = levels**place  # of the digits of a token

    def encode(self, items: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> (B, H/p, W/p) int64."""
        (c, h, w), p = self.items.shape, self.patch
        digits = _rescale(items.long(), 255, self.levels - 1)
        digits = digits.view(-1, c, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5)
        return digits.flatten(3).mul(self._weights.to(items.device)).sum(-1)

    def decode(self, x: Tensor) -> Tensor:
        """(B, H/p, W/p) integers -> (B, C, H, W) uint8; tokens out of range are clipped."""
        (c, h, w), p = self.items.shape, self.patch
        tokens = x.long().clamp(0, self.space.vocab - 1)
        digits = tokens[..., None].div(self._weights.to(x.device), rounding_mode="floor")
        digits = digits.remainder(self.levels)
        values = (digits * 255 + (self.levels - 1) // 2).div(self.levels - 1, rounding_mode="floor")
        values = values.view(-1, h // p, w // p, c, p, p).permute(0, 3, 1, 4, 2, 5)
        return values.reshape(-1, c, h, w).to(torch.uint8)

    def write(self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping]) -> None:
        """PNG files, metadata in their text chunks."""
        write_images(items, paths, metadata)


def _rescale(x: Tensor, old: int, new: int) -> Tensor:
    """round(x * new / old), halves upwards."""
    return (x * (2 * new) + old).div(2 * old, rounding_mode="floor")
