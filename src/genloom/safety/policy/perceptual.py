"""A 64-bit hash of how an image looks: equal or nearly equal for images that look the same.

The signs of the 64 slowest cosine waves of the grey image, against their median (pHash; Zauner,
2010, Implementation and Benchmarking of Perceptual Image Hash Functions, Section 3.2.1).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 32  # pixels a side that the hash sees
WAVES = 8  # a side
CHUNK = 1024


def _cosines() -> Tensor:
    """The first rows of the orthonormal DCT-II, (WAVES + 1, SIDE)."""
    k, n = torch.arange(WAVES + 1.0)[:, None], torch.arange(float(SIDE))
    return (math.pi / SIDE * (n + 0.5) * k).cos() * (2 / SIDE) ** 0.5


def hashes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Hashes int64 (n,) of uint8 images (n, C, H, W), and whether there was enough to hash, (n,).

    A nearly flat image has no hash: all flat images would have the same.
    """
    parts = [_hashes(part) for part in images.split(CHUNK)]
    return torch.cat([bits for bits, _ in parts]), torch.cat([usable for _, usable in parts])


def _hashes(images: Tensor) -> tuple[Tensor, Tensor]:
    grey = images.double().mean(1, keepdim=True)
    height, width = images.shape[-2:]
    small = F.adaptive_avg_pool2d(grey, (min(SIDE, height), min(SIDE, width)))
    seen = F.interpolate(small, (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    waves = _cosines().double()
    found = waves @ seen @ waves.T
    slow = found[:, 1:, 1:].flatten(1)  # without the mean and the pure rows and columns
    bits = slow > slow.median(1, keepdim=True).values
    powers = 1 << torch.arange(64)  # the last is the sign bit
    plain = grey.flatten(1).std(1, correction=0) < 2.0
    return (bits.long() * powers).sum(1), ~plain


def nearest(found: Tensor, known: Tensor) -> Tensor:
    """Smallest number of bits by which hashes (n,) differ from any of known (N,): int64 (n,).

    65 where nothing is known.
    """
    best = np.full(len(found), 65, np.int64)
    ours, theirs = found.numpy().view(np.uint64), known.numpy().view(np.uint64)
    for start in range(0, len(theirs), 65_536):
        differ = np.bitwise_count(ours[:, None] ^ theirs[None, start : start + 65_536])
        best = np.minimum(best, differ.min(1, initial=65))
    return torch.from_numpy(best)
