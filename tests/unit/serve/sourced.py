"""Models that make pictures from pictures, small and with random weights."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from genloom.artifact import save
from genloom.recipe import resolve

SIDE = 8
FLOW = {"use": "flow", "net": {"use": "unet", "width": 16, "levels": 2, "head": 16}}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "holes": ("masked", FLOW),
    "doubles": ("small2", FLOW),
    "paints": ("grey", {"use": "pix2pix", "net": {"use": "translator_players", "width": 8}}),
    "plain": ("none", FLOW),
}
"""Name -> what it was given, and its recipe; `paints` makes nothing without a source."""


def make(folder: Path, *names: str) -> dict[str, Path]:
    """Artifacts of coloured pictures of two classes, none of their weights zero: name -> folder."""
    for i in range(24):
        place = folder / "pictures" / ("left", "right")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.png").write_bytes(png(colours(i, SIDE, SIDE)))
    made = {}
    for name in names or MODELS:
        given, model = MODELS[name]
        data = {"source": str(folder / "pictures"), "given": given}
        torch.manual_seed(0)
        plan = resolve({"data": data, "model": model, "train": {"steps": 1}})
        with torch.no_grad():
            for p in plan.model.parameters():
                p.add_(0.05 * torch.randn_like(p))
        made[name] = folder / name
        save(made[name], model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return made


def colours(seed: int, height: int, width: int) -> np.ndarray:
    """A picture of its own for each seed, uint8 (height, width, 3)."""
    rows, columns = np.mgrid[:height, :width]
    waves = [rows * (seed + 2) * 9, columns * (seed + 3) * 7, (rows + columns) * 11 + 40 * seed]
    return (np.stack(waves, -1) % 256).astype(np.uint8)


def png(pixels: Any) -> bytes:
    """A file of pixels, (h, w), (h, w, 3) or (h, w, 4)."""
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def tensor(pixels: np.ndarray) -> torch.Tensor:
    """The same pixels as `Artifact.sample` takes a source: uint8 (1, 3, h, w)."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
