"""Measures of text as rows of character ids: variety, repetition and verbatim copies."""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.metrics.copies import Nearness
from genloom.metrics.estimate import Estimate, enough, jackknife, mean_interval

BUCKETS = (32, 48, 48)  # of hashed 1-, 2- and 3-grams
LENGTHS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
_PRIME = 6364136223846793005  # Knuth's multiplier: wraps modulo 2^64


def grams(items: Tensor, k: int) -> Tensor:
    """A 64-bit hash of every run of k characters: (n, L) -> (n, L - k + 1)."""
    runs = items.long().unfold(1, k, 1)
    hashed = torch.zeros(runs.shape[:2], dtype=torch.int64)
    for i in range(k):
        hashed = (hashed + runs[:, :, i] + 1) * _PRIME
        hashed ^= hashed >> 29
    return hashed


def features(items: Tensor) -> Tensor:
    """Square roots of the frequencies of hashed character runs: (n, L) -> (n, 128), float64."""
    parts = []
    for k, buckets in enumerate(BUCKETS, start=1):
        cell = grams(items, k).remainder(buckets)
        counts = torch.zeros(len(items), buckets, dtype=torch.float64)
        counts.scatter_add_(1, cell, torch.ones(cell.shape, dtype=torch.float64))
        parts.append((counts / cell.shape[1]).sqrt())
    return torch.cat(parts, 1)


def distinct(items: Tensor, k: int = 4, *, id: str = "characters") -> Estimate:
    """Share of different runs among all runs of k characters (Li et al. 2016, arXiv:1510.03055).

    It falls with n, so compare it with its floor at the same n.
    """
    enough(f"distinct_{k}", len(items), 30)

    def share(rows: Tensor) -> float:
        return len(torch.unique(rows)) / rows.numel()

    hashed = grams(items, k)
    value, group = share(hashed), torch.arange(len(items)) % 20
    low, high = jackknife(value, [share(hashed[group != g]) for g in range(20)])
    name = f"distinct_{k}"
    return Estimate(name, value, max(0.0, low), min(1.0, high), len(items), id, "closer")


def repetition(items: Tensor, k: int = 8, *, id: str = "characters") -> Estimate:
    """Share of the runs of k characters that occurred before in the same item."""
    enough("repetition", len(items), 30)
    hashed = grams(items, min(k, items.shape[1])).sort(1).values
    share = (hashed[:, 1:] == hashed[:, :-1]).double().sum(1) / hashed.shape[1]
    value, low, high = mean_interval(share)
    return Estimate("repetition", value, max(0.0, low), high, len(items), id, "closer")


def verbatim(items: Tensor, train: Tensor) -> Nearness:
    """The longest run of each item that some training item holds, as a nearness.

    The score is 1 minus its share of the item; runs are sought at the lengths 4, 6, 8, 12, ... and
    the whole item, so a run is known to the next shorter of these.
    """
    length = items.shape[1]
    flat = train.reshape(1, -1)  # rows of one text follow each other
    longest = torch.zeros(len(items), dtype=torch.int64)
    nearest = torch.zeros(len(items), dtype=torch.int64)
    for k in (*(k for k in LENGTHS if k < length), length):
        known = grams(flat, k)[0]
        order = known.argsort()
        known_sorted = known[order]
        sought = grams(items, k)
        place = torch.searchsorted(known_sorted, sought).clamp(max=len(known_sorted) - 1)
        hit = known_sorted[place] == sought
        found = hit.any(1)
        if not bool(found.any()):
            break
        first = hit.long().argmax(1)
        row = order[place.gather(1, first[:, None])[:, 0]] // length
        longest = torch.where(found, torch.full_like(longest, k), longest)
        nearest = torch.where(found, row, nearest)
    return Nearness(1 - longest.double() / length, nearest, (length - longest).double())
