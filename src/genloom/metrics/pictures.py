"""Pictures and sounds inside a verdict: small files as data URIs, so that a report is one file."""

from __future__ import annotations

import base64
import io
import math

import torch
from PIL import Image
from torch import Tensor

from genloom.music import roll, synth
from genloom.music.events import decode

HEARD_RATE, HEARD_SECONDS = 8000, 8.0  # of a sound: 128 kB


def png(item: Tensor) -> str:
    """One uint8 image (C, H, W) of 1, 3 or 4 channels as a data URI."""
    channels = item.shape[0]
    pixels = item.permute(1, 2, 0).contiguous().cpu().numpy()
    return _png(Image.fromarray(pixels[..., 0] if channels == 1 else pixels))


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return _uri("image/png", buffer.getvalue())


def _uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def heard(words: str) -> dict[str, str]:
    """Words of music as a picture, "roll", and as the sound of its first seconds, "sound"."""
    score = decode(words)
    sound = synth.wav(score, rate=HEARD_RATE, most=HEARD_SECONDS)
    return {"roll": _png(roll.picture(score)), "sound": _uri("audio/wav", sound)}


def grid(items: Tensor, columns: int | None = None, gap: int = 1) -> Tensor:
    """uint8 images (n, C, H, W) side by side, row by row, on white: (C, H', W')."""
    n, channels, height, width = items.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    size = (channels, rows * (height + gap) + gap, columns * (width + gap) + gap)
    page = torch.full(size, 255, dtype=torch.uint8)
    for i, item in enumerate(items):
        top = gap + i // columns * (height + gap)
        left = gap + i % columns * (width + gap)
        page[:, top : top + height, left : left + width] = item
    return page
