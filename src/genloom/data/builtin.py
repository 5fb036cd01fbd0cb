"""Data sets that need no download."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import numpy as np
from torch import Tensor

from genloom.data import factors, glyphs, points
from genloom.data.findings import Finding
from genloom.data.source import Entry, Source
from genloom.errors import need

VERSIONS = {"digits": 1, "glyphs": 2, "factors": 1, "moons": 1, "rings": 1, "gaussians": 1}
"""Part of their fingerprints; raise one when what it names changes."""

CLASSES = {
    "digits": tuple("0123456789"),
    "glyphs": tuple(glyphs.LETTERS),
    "factors": factors.SHAPES,
    "moons": ("upper", "lower"),
    "rings": tuple(map(str, points.RADII)),
}
BUILTIN = ("digits", "glyphs", "factors", *get_args(points.Name))


def builtin_source(name: str) -> Source:
    """The built-in data set of that name, drawn or loaded when it is read."""
    kind = "points" if name in get_args(points.Name) else "image"
    return _source(name, kind, CLASSES.get(name, ()))


def factors_of(names: Sequence[str]) -> Tensor | None:
    """The causes of items, int64 (N, K), by where they come from; None where they are not known.

    Args:
        names: Of items, as `Split.names` has them; "factors[7]" is row 7 of the set of that name.
    """
    known = factors.table()
    found = [re.fullmatch(r"factors\[(\d{1,5})\]", name) for name in names]
    rows = [int(one[1]) for one in found if one]
    whole = names and len(rows) == len(names) and max(rows) < len(known)
    return known[rows] if whole else None


def _source(name: str, kind: Any, classes: tuple[str, ...]) -> Source:
    def entries(_: list[Finding]) -> Iterator[Entry]:
        values, labels = _arrays(name)
        for i, value in enumerate(values):
            yield Entry(f"{name}[{i}]", value, -1 if labels is None else int(labels[i]))

    return Source("built in", kind, entries, classes=classes)


def _arrays(name: str) -> tuple[np.ndarray, np.ndarray | None]:
    if name == "glyphs":
        return glyphs.draw()
    if name == "factors":
        images, causes = factors.draw()
        return images, causes[:, list(factors.COUNTS).index("shape")]
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
