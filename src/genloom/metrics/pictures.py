"""Pictures inside a verdict: small PNG files as data URIs, so that a report needs no other file."""

from __future__ import annotations

import base64
import io
import math

import torch
from PIL import Image
from torch import Tensor


def png(item: Tensor) -> str:
    """One uint8 image (C, H, W) of 1, 3 or 4 channels as a data URI."""
    channels = item.shape[0]
    pixels = item.permute(1, 2, 0).contiguous().cpu().numpy()
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


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
