"""Measures of text as rows of ids: variety, repetition and verbatim copies.

Rows may be documents, with an end each and more ends to fill them up; those count for nothing.
"""

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


def sizes(items: Tensor, end: int | None) -> Tensor:
    """How many ids of each row count, those up to its first end: (n, L) -> (n,)."""
    n, length = items.shape
    if end is None:
        return torch.full((n,), length)
    ends = items == end
    return torch.where(ends.any(1), ends.long().argmax(1) + 1, length)


def inside(items: Tensor, k: int, end: int | None) -> Tensor:
    """Which runs of k ids count as a whole: (n, L) -> (n, L - k + 1)."""
    runs = items.shape[1] - k + 1
    return torch.arange(runs) + k <= sizes(items, end)[:, None]


def features(items: Tensor, end: int | None = None) -> Tensor:
    """Square roots of the frequencies of hashed runs of ids: (n, L) -> (n, 128), float64."""
    parts = []
    for k, buckets in enumerate(BUCKETS, start=1):
        cell = grams(items, k).remainder(buckets)
        counts, known = torch.zeros(len(items), buckets), inside(items, k, end)
        counts = counts.double().scatter_add_(1, cell, known.double())
        parts.append((counts / known.sum(1, keepdim=True).clamp(min=1)).sqrt())
    return torch.cat(parts, 1)


def distinct(
    items: Tensor, k: int = 4, *, end: int | None = None, id: str = "characters"
) -> Estimate:
    """Share of different runs among all runs of k ids (Li et al. 2016, arXiv:1510.03055).

    It falls with n, so compare it with its floor at the same n.
    """
    enough(f"distinct_{k}", len(items), 30)
    k = min(k, items.shape[1])

    def share(rows: Tensor) -> float:
        return len(torch.unique(rows)) / max(len(rows), 1)

    hashed, known = grams(items, k), inside(items, k, end)
    value, group = share(hashed[known]), torch.arange(len(items)) % 20
    kept = (group != g for g in range(20))
    low, high = jackknife(value, [share(hashed[rows][known[rows]]) for rows in kept])
    name = f"distinct_{k}"
    return Estimate(name, value, max(0.0, low), min(1.0, high), len(items), id, "closer")


def repetition(
    items: Tensor, k: int = 8, *, end: int | None = None, id: str = "characters"
) -> Estimate:
    """Share of the runs of k ids that occurred before in the same item."""
    enough("repetition", len(items), 30)
    k = min(k, items.shape[1])
    known, hashed = inside(items, k, end), grams(items, k)
    runs = torch.where(known, hashed, -1 - torch.arange(hashed.shape[1])).sort(1).values
    again = (runs[:, 1:] == runs[:, :-1]).double().sum(1)  # what does not count is alone
    share = again / known.sum(1).clamp(min=1)
    value, low, high = mean_interval(share)
    return Estimate("repetition", value, max(0.0, low), high, len(items), id, "closer")


def verbatim(items: Tensor, train: Tensor, end: int | None = None) -> Nearness:
    """The longest run of each item that some training item holds, as a nearness.

    The score is 1 minus its share of the item; runs are sought at the lengths 4, 6, 8, 12, ... and
    the whole item, so a run is known to the next shorter of these.
    """
    length, counted = items.shape[1], sizes(items, end)
    flat = train.reshape(1, -1)  # rows of one text follow each other
    longest = torch.zeros(len(items), dtype=torch.int64)
    nearest = torch.zeros(len(items), dtype=torch.int64)
    for k in (*(k for k in LENGTHS if k < length), length):
        known = grams(flat, k)[0]
        order = known.argsort()
        known_sorted = known[order]
        sought = grams(items, k)
        place = torch.searchsorted(known_sorted, sought).clamp(max=len(known_sorted) - 1)
        hit = (known_sorted[place] == sought) & (inside(items, k, end) | (k == length))
        found = hit.any(1)
        if not bool(found.any()) and end is None:
            break
        first = hit.long().argmax(1)
        row = order[place.gather(1, first[:, None])[:, 0]] // length
        longest = torch.where(found, counted.clamp(max=k), longest)
        nearest = torch.where(found, row, nearest)
    return Nearness(1 - longest / counted.double(), nearest, (counted - longest).double())
