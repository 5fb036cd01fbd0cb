"""One picture that shows many items: tiles of images, or a scatter plot of points."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from torch import Tensor

from genloom.codecs.files import to_picture
from genloom.core import Items

_GAP = 2
_TILE = 48  # small pictures are enlarged, by whole factors, to about this side
_PLOT = 384
_PAPER, _INK = (250, 250, 250), np.array([36, 84, 148])


def grid(
    items: Tensor, spec: Items, *, columns: int | None = None, span: float | None = None
) -> Image.Image | None:
    """Show items.

    Args:
        items: As stored, (B, *spec.shape).
        spec: What they are.
        columns: Of the tiles; about a square if not given.
        span: Half the side of the plot, in data units; from the points if not given.

    Returns:
        An RGB or grey picture; None for text, and for points of other than 2 dimensions.
    """
    if spec.kind == "image" and len(items):
        return _tiles(items, columns or math.ceil(math.sqrt(len(items))))
    if spec.kind == "points" and spec.shape == (2,):
        return _scatter(items.cpu().double().numpy(), span)
    return None


def _tiles(items: Tensor, columns: int) -> Image.Image:
    _, c, h, w = items.shape
    factor = max(1, round(_TILE / max(h, w)))
    rows = math.ceil(len(items) / columns)
    width, height = w * factor, h * factor
    size = (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP)
    sheet = Image.new("L" if c == 1 else "RGB", size, 128 if c == 1 else (128, 128, 128))
    for i, item in enumerate(items):
        row, column = divmod(i, columns)
        tile = to_picture(item).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(tile, (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    return sheet


def _scatter(points: np.ndarray, span: float | None) -> Image.Image:
    """Darker where more points fall; each is a dot of 3x3 pixels. y grows upwards."""
    sheet = np.full((_PLOT, _PLOT, 3), _PAPER, np.uint8)
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return Image.fromarray(sheet)
    span = span or float(1.1 * np.abs(points).max()) or 1.0
    edges = np.linspace(-span, span, _PLOT + 1)
    hits, _, _ = np.histogram2d(-points[:, 1], points[:, 0], bins=(edges, edges))
    padded = np.pad(hits, 1)
    dots = sum(padded[i : i + _PLOT, j : j + _PLOT] for i in range(3) for j in range(3))
    alpha = 1 - np.exp(-dots * max(0.15, min(1.0, 400 / len(points))))
    mixed = sheet * (1 - alpha[..., None]) + _INK * alpha[..., None]
    return Image.fromarray(mixed.round().astype(np.uint8))
