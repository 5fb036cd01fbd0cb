"""Fingerprints of text: every long enough copied run shares one, wherever it stands.

Winnowing: the smallest hash of each window of runs of k characters (Schleimer, Wilkerson and
Aiken, 2003, Winnowing: Local Algorithms for Document Fingerprinting, Section 3). A common run of
k + window - 1 characters always shares a fingerprint.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.metrics.text import grams

CHUNK = 2**18  # runs at a time


def winnow(ids: Tensor, k: int, window: int) -> Tensor:
    """The chosen hashes of each row, (n, L) -> (n, L - k - window + 2), with repetition."""
    return grams(ids, k).unfold(1, window, 1).amin(2)


def fingerprints(ids: Tensor, k: int, window: int) -> Tensor:
    """The different chosen hashes of one long text (N,), sorted int64."""
    reach = k + window - 2
    parts = [
        winnow(ids[None, start : start + CHUNK + reach], k, window).unique()
        for start in range(0, max(len(ids) - reach, 0), CHUNK)
    ]
    return torch.cat([torch.empty(0, dtype=torch.int64), *parts]).unique()


def contained(ids: Tensor, known: Tensor, k: int, window: int) -> Tensor:
    """Share of each row's windows whose fingerprint is known, (n, L) -> float64 (n,)."""
    chosen = winnow(ids, k, window)
    return within(chosen, known).double().mean(1)


def within(values: Tensor, known: Tensor) -> Tensor:
    """Whether each value is among the sorted known ones."""
    if not len(known):
        return torch.zeros(values.shape, dtype=torch.bool)
    place = torch.searchsorted(known, values.contiguous()).clamp(max=len(known) - 1)
    return known[place] == values
