"""Packages that a peer imports at its top and does not use in what is raced."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from unittest.mock import MagicMock

VISION = tuple(f"torchvision{end}" for end in ("", ".transforms", ".utils", ".models"))
FID = tuple(f"pytorch_fid{end}" for end in ("", ".fid_score", ".inception"))


@contextmanager
def stood_in(*names: str) -> Iterator[None]:
    """While a peer is imported, let modules that are not installed stand for nothing."""
    missing = [name for name in names if find_spec(name.partition(".")[0]) is None]
    sys.modules.update({name: MagicMock() for name in missing})
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]
