"""Masks as people send them: a picture file that says where another picture may change.

Transparent places may change, as in OpenAI's API; in a file without transparency, light ones, and
so they do in one that is drawn in black and white with an alpha channel that is opaque everywhere.
A mask is for one picture: it has its size, or is that picture at another scale.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from genloom.data.decode import decode
from genloom.errors import BadInput
from genloom.given import fit, luminance

Size = tuple[int, int]
"""(width, height)"""


def read(data: bytes, name: str) -> tuple[Tensor, bool]:
    """One channel of a file, uint8 (1, 1, h, w), and whether it is its opacity; else it is light.

    Args:
        data: The whole file.
        name: As errors call it.

    Raises:
        BadInput: It is no picture that can be read.
    """
    pixels = torch.tensor(decode(data, name, []))[None]
    with Image.open(io.BytesIO(data)) as opened:  # all of it was decoded just now
        if opened.has_transparency_data:
            turned = ImageOps.exif_transpose(opened).convert("RGBA")
            opacity = torch.from_numpy(np.array(turned.getchannel("A")))[None, None]
            if not ((opacity == 255).all() and _drawn(pixels)):
                return opacity, True
    return (pixels if pixels.shape[1] == 1 else luminance(pixels)), False


def _drawn(pixels: Tensor) -> bool:
    """Whether a picture is grey and has both dark and light places, as a mask has."""
    grey = bool((pixels == pixels[:, :1]).all())
    return grey and int(pixels.min()) < 128 <= int(pixels.max())


def fitted(mask: Tensor, opaque: bool, shape: Sequence[int]) -> Tensor:
    """A mask as `read` gives it, brought to (height, width): bool (1, 1, height, width)."""
    light = 255 - mask if opaque else mask
    return some(fit(light, (1, *shape), enlarge="nearest-exact") >= 128)


def size_of(picture: Tensor) -> Size:
    """Of a picture (..., h, w)."""
    height, width = picture.shape[-2:]
    return width, height


def size_in(data: bytes) -> Size:
    """Of the file of a picture that can be read, turned as its EXIF orientation says."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        lies = image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
    return (height, width) if lies else (width, height)


def check_form(mask: Size, picture: Size) -> None:
    """Refuse a mask that is not as wide for its height as the picture that it is for.

    Raises:
        BadInput: Neither is the other at another scale, its sides rounded to a pixel.
    """
    if not (_scaled(mask, picture) or _scaled(picture, mask)):
        sizes = " and the picture ".join(f"{width}x{height}" for width, height in (mask, picture))
        raise BadInput(f"the mask is {sizes}: draw the mask over the picture, at its size.")


def _scaled(one: Size, other: Size) -> bool:
    """Whether a factor brings the sides of the other within a pixel of those of the one."""
    (w, h), (width, height) = one, other
    return (w - 1) * height <= (h + 1) * width and (h - 1) * width <= (w + 1) * height


def some(mask: Tensor) -> Tensor:
    """The mask, bool, where there is anything to change.

    Raises:
        BadInput: It is false everywhere.
    """
    if not mask.any():
        raise BadInput(
            "the mask leaves nothing to change. Make transparent what may change, or, in a file "
            "without transparency, white."
        )
    return mask
