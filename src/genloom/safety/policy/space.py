"""Where nearness is measured: features of stored items, and hashes of their values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 16  # pixels a side that features are made of
DIMS = 64  # features of an item
CHUNK = 1024


def fit(train: Tensor, kind: str) -> dict[str, Tensor]:
    """The space of training items (N, *shape): "centre" (D,) and "basis" (D, at most 64).

    Images are seen in their principal components, other items standardised as well.
    """
    rows = _rows(train, kind)
    centre = rows.mean(0)
    scale = torch.ones(1) if kind == "image" else rows.std(0).clamp(min=1e-12)
    rows = (rows - centre) / scale
    _, basis = torch.linalg.eigh(rows.T @ rows / len(rows))  # the largest come last
    return {"centre": centre, "basis": (basis[:, -DIMS:] / scale[:, None]).contiguous()}


def features(items: Tensor, kind: str, space: Mapping[str, Tensor]) -> Tensor:
    """Items (n, *shape) in the space, float32 (n, at most 64)."""
    return (_rows(items, kind) - space["centre"]) @ space["basis"]


def _rows(items: Tensor, kind: str) -> Tensor:
    """Images at most 16 pixels a side, of mean 0 and length 1; other items as they are: (n, D).

    So brightness and contrast of an image do not count.
    """
    if kind != "image":
        return items.flatten(1).float()
    side = (min(SIDE, items.shape[-2]), min(SIDE, items.shape[-1]))
    parts = [F.adaptive_avg_pool2d(part.float(), side) for part in items.split(CHUNK)]
    rows = torch.cat(parts).flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1.0)  # a flat image is at the origin


def digests(items: Tensor) -> Tensor:
    """A 64-bit hash of each item's values, int64 (n,)."""
    found = [
        hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in items.contiguous().numpy()
    ]
    signed = [int.from_bytes(digest, "little", signed=True) for digest in found]
    return torch.tensor(signed, dtype=torch.int64)
