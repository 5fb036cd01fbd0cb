"""Documents as rows of numbers of one length, and several short ones in a row."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

import numpy as np


def cut_rows(ids: np.ndarray, starts: np.ndarray, length: int, end: int) -> np.ndarray:
    """A row for each document, (N, length), filled up with ends; a longer one makes several.

    Args:
        ids: Of all documents, one after the other; each has text, and an end after it.
        starts: Where each begins, and where the last one stops, (documents + 1,).
        length: Of a row.
        end: The number that closes a document; where it would be alone in a row it is left out.
    """
    counts = -(-(np.diff(starts) - 1) // length)
    document = np.repeat(np.arange(len(counts)), counts)
    piece = np.arange(len(document)) - np.repeat(counts.cumsum() - counts, counts)
    first, stop = starts[document] + piece * length, starts[document + 1]
    rows = np.empty((len(first), length), ids.dtype)
    for i in range(0, len(rows), 4096):
        places = first[i : i + 4096, None] + np.arange(length)
        inside = places < stop[i : i + 4096, None]
        rows[i : i + 4096] = np.where(inside, ids[np.where(inside, places, 0)], end)
    return rows


def pair_rows(
    ids: np.ndarray, starts: np.ndarray, length: int, end: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of documents as rows, (pairs, 2, length), without those that are too long.

    A pair is dropped whole: answers of which one is cut cannot be compared.

    Args:
        ids: As for `cut_rows`; documents 2 i and 2 i + 1 are a pair.
        starts: As for `cut_rows`.
        length: Of a row.
        end: The number that closes a document.

    Returns:
        The rows, and of all pairs those that fit with their ends, bool.
    """
    sizes = np.diff(starts)
    fits = sizes.reshape(-1, 2).max(1) <= length
    kept = np.repeat(fits, 2)
    within = np.concatenate([[0], sizes[kept].cumsum()])
    rows = cut_rows(ids[np.repeat(kept, sizes)], within, length, end)
    return rows.reshape(-1, 2, length), fits


def sizes_of(rows: np.ndarray, end: int) -> np.ndarray:
    """How many numbers of each row count: those up to its first end, (N,)."""
    ends = rows == end
    return np.where(ends.any(1), ends.argmax(1) + 1, rows.shape[1])


def packed(rows: np.ndarray, end: int) -> np.ndarray:
    """The same documents in fewer rows, one after the other, and ends after them.

    The longest first, each into the fullest row that has room for it (best-fit decreasing, Johnson,
    1973). One that was cut has no end, and fills its row.
    """
    sizes = sizes_of(rows, end)
    bins: list[list[int]] = []
    having: defaultdict[int, list[int]] = defaultdict(list)  # room -> the rows that have it
    rooms: list[int] = []  # in order
    for i in np.argsort(-sizes, kind="stable").tolist():
        place = bisect_left(rooms, sizes[i])
        if place < len(rooms):
            room = rooms[place]
            row = having[room].pop()
            if not having[room]:
                rooms.pop(place)
            bins[row].append(i)
        else:
            room, row = rows.shape[1], len(bins)
            bins.append([i])
        if left := room - int(sizes[i]):
            if not having[left]:
                rooms.insert(bisect_left(rooms, left), left)
            having[left].append(row)
    found = np.full((len(bins), rows.shape[1]), end, rows.dtype)
    for row, members in zip(found, bins):
        numbers = np.concatenate([rows[i, : sizes[i]] for i in members])
        row[: len(numbers)] = numbers
    return found
