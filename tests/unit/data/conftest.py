"""Small folders of pictures, and the script that makes hostile files."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def hostile_script() -> ModuleType:
    """scripts/make_hostile_files.py as a module."""
    path = ROOT / "scripts" / "make_hostile_files.py"
    spec = importlib.util.spec_from_file_location("make_hostile_files", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def paint() -> Callable[..., Path]:
    """paint(path, seed, size=8, mode="RGB"): write a picture of noise."""

    def write(path: Path, seed: int, size: int | tuple[int, int] = 8, mode: str = "RGB") -> Path:
        w, h = (size, size) if isinstance(size, int) else size
        pixels = np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(path)
        return path

    return write
