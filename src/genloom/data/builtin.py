"""Data sets that need no download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np

from genloom.data import glyphs, points
from genloom.data.findings import Finding
from genloom.data.source import Entry, Source
from genloom.errors import need

VERSIONS = {"digits": 1, "glyphs": 2, "moons": 1, "rings": 1, "gaussians": 1}
"""Part of their fingerprints; raise one when what it names changes."""

BUILTIN = ("digits", "glyphs", *get_args(points.Name))


def builtin_source(name: str) -> Source:
    """The built-in data set of that name, drawn or loaded when it is read."""
    if name in get_args(points.Name):
        labelled = {"moons": ("upper", "lower"), "rings": tuple(map(str, points.RADII))}
        return _source(name, "points", labelled.get(name, ()))
    classes = tuple(glyphs.LETTERS) if name == "glyphs" else tuple("0123456789")
    return _source(name, "image", classes)


def _source(name: str, kind: Any, classes: tuple[str, ...]) -> Source:
    def entries(_: list[Finding]) -> Iterator[Entry]:
        values, labels = _arrays(name)
        for i, value in enumerate(values):
            yield Entry(f"{name}[{i}]", value, -1 if labels is None else int(labels[i]))

    return Source("built in", kind, entries, classes=classes)


def _arrays(name: str) -> tuple[np.ndarray, np.ndarray | None]:
    if name == "glyphs":
        return glyphs.draw()
    if name == "digits":
        return _digits()
    x, labels = points.draw(name)  # pyright: ignore[reportArgumentType]
    return x.numpy(), None if labels is None else labels.numpy()


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 handwritten digits of 8x8 pixels and 17 levels (Alpaydin and Kaynak, 1998)."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise need("scikit-learn", "demo", "The digits data set") from None
    bunch: Any = load_digits()
    x = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    return x, bunch.target.astype(np.int64)
