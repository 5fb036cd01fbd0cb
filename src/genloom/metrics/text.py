"""Measures of text as rows of ids: variety, repetition and verbatim copies.

Rows may be documents, with an end each and more ends to fill them up; those count for nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genloom.metrics.copies import Nearness, Recurrence, good_turing
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
    kept = inside(train, 1, end).flatten()
    flat = train.reshape(1, -1)[:, kept]  # rows of one text follow each other
    of = (torch.arange(train.numel()) // length)[kept]
    longest = torch.zeros(len(items), dtype=torch.int64)
    nearest = torch.zeros(len(items), dtype=torch.int64)
    for k in (*(k for k in LENGTHS if k < length), length):
        if flat.shape[1] < k:
            break
        place, hit = _sought(grams(flat, k)[0], grams(items, k))
        hit &= inside(items, k, end)
        found = hit.any(1)
        if not bool(found.any()):
            break
        first = hit.long().argmax(1)
        row = of[place.gather(1, first[:, None])[:, 0]]
        longest = torch.where(found, k, longest)
        nearest = torch.where(found, row, nearest)
    row, equal = _sought(grams(train, length)[:, 0], grams(items, length)[:, 0])
    longest = torch.where(equal, counted, longest)
    nearest = torch.where(equal, row, nearest)
    return Nearness(1 - longest / counted.double(), nearest, (counted - longest).double())


def _sought(known: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """A place of each wanted hash among known ones (N,), and whether it is there."""
    order = known.argsort(stable=True)
    place = torch.searchsorted(known[order], wanted).clamp(max=len(known) - 1)
    place = order[place]
    return place, known[place] == wanted


def recurrence(train: Tensor) -> Recurrence:
    """How often a new document would be one of the training part, rows (N, L)."""
    return good_turing(torch.unique(grams(train, train.shape[1]), return_counts=True)[1])


def recapture(samples: Tensor, train: Tensor, held_out: Tensor) -> Recurrence:
    """How often samples would be training rows if they knew them no better than held-out ones.

    A set holds each row once, so its counts do not tell how often rows come back. But whoever draws
    them without having learned some by heart hits both parts in proportion to their sizes, as in
    capture and recapture (Petersen, 1896). One hit is added, so that none leaves room for chance.

    Args:
        samples: (n, L).
        train: (N, L).
        held_out: (M, L), none of which is in the training part.
    """
    length = samples.shape[1]
    hits = 1 + int(torch.isin(grams(samples, length), grams(held_out, length)).sum())
    each = len(train) / len(held_out) / len(samples)
    return Recurrence(min(1.0, hits * each), math.sqrt(hits) * each)


def longest_match(items: Tensor, near: Nearness, end: int | None = None) -> Estimate:
    """Mean length in ids of the longest run of each item that the training part holds too.

    Compare it with that of as many held-out items.

    Args:
        items: (n, L).
        near: What `verbatim` says of them.
        end: See `sizes`.
    """
    enough("longest_match", len(items), 30)
    value, low, high = mean_interval(sizes(items, end) - near.distance)
    id = "ids of the longest run in the training part, known to 4, 6, 8, 12, 16, 24, ..."
    return Estimate("longest_match", value, max(0.0, low), high, len(items), id, "closer")
