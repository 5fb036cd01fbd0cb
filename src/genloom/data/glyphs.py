"""Letters A to Z in the fonts that matplotlib ships: 32x32, grey, white on black, labelled."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch.nn import functional as F

from genloom.errors import BadInput, need

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SIZE = 32
JITTERS = 20
_CANVAS = 64
_FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmr10", "cmb10", "cmss10", "cmtt10"),
)


def draw() -> tuple[np.ndarray, np.ndarray]:
    """All glyphs, uint8 (10400, 1, 32, 32), and their letters, int64 (10400,).

    26 letters in 20 fonts, each drawn 20 times with a slight turn, slant, size and place.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise need("matplotlib", "demo", "Drawing the glyphs") from None
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    stencils = np.stack([_stencil(folder / f"{font}.ttf", c) for font in _FONTS for c in LETTERS])
    labels = np.tile(np.arange(len(LETTERS)), len(_FONTS))
    images = [_jitter(torch.from_numpy(stencils), seed) for seed in range(JITTERS)]
    return torch.cat(images).numpy(), np.tile(labels, JITTERS)


def _stencil(path: Path, letter: str) -> np.ndarray:
    """One letter, centred by its ink, 42 pixels high or wide at most: uint8 (64, 64)."""
    if not path.is_file():
        raise BadInput(f"matplotlib lacks the font {path.name}; install matplotlib >= 3.9.")
    font = ImageFont.truetype(str(path), 56)
    left, top, right, bottom = font.getbbox(letter)
    scale = min(1.0, 42 / max(bottom - top, right - left))
    font = ImageFont.truetype(str(path), int(56 * scale))
    left, top, right, bottom = font.getbbox(letter)
    image = Image.new("L", (_CANVAS, _CANVAS))
    x, y = (_CANVAS - left - right) / 2, (_CANVAS - top - bottom) / 2
    ImageDraw.Draw(image).text((x, y), letter, fill=255, font=font)
    return np.asarray(image)


def _jitter(stencils: torch.Tensor, seed: int) -> torch.Tensor:
    """Every stencil under its own affine map: uint8 (N, 1, 32, 32)."""
    n = len(stencils)
    u = 2 * torch.rand(n, 5, generator=torch.Generator().manual_seed(seed)) - 1
    turn, slant, size = math.radians(7) * u[:, 0], 0.12 * u[:, 1], 1 + 0.12 * u[:, 2]
    shift = 0.06 * u[:, 3:]
    cos, sin = turn.cos() * size, turn.sin() * size
    rows = [torch.stack([cos, slant - sin, shift[:, 0]], -1)]
    rows.append(torch.stack([sin, cos, shift[:, 1]], -1))
    where = F.affine_grid(torch.stack(rows, 1), [n, 1, _CANVAS, _CANVAS], align_corners=False)
    ink = F.grid_sample(stencils[:, None].float(), where, align_corners=False)
    return F.avg_pool2d(ink, _CANVAS // SIZE).round().clamp(0, 255).byte()
