"""Documents as rows, and several in one row: nothing lost, nothing mixed, few ends."""

from __future__ import annotations

import numpy as np
import pytest

from genloom.data.packing import cut_rows, packed, sizes_of

END = 9


def drawn(seed: int, n: int, longest: int) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    generator = np.random.default_rng(seed)
    made = [
        [*generator.integers(0, 5, generator.integers(1, longest + 1)).tolist(), END]
        for _ in range(n)
    ]
    starts = np.cumsum([0, *map(len, made)])
    return np.concatenate(made), starts, made


def documents(rows: np.ndarray) -> list[tuple[int, ...]]:
    """What lies in rows between ends, each with its end where it has one; fills left out."""
    found, run = [], []
    for row in rows.tolist():
        for number in [*row, None]:
            if number is not None:
                run.append(number)
            if number in (END, None):
                found += [tuple(run)] if run not in ([], [END]) else []
                run = []
    return sorted(found)


@pytest.mark.parametrize("seed", range(20))
def test_every_document_is_in_one_row_or_cut_into_whole_rows(seed):
    length = 2 + seed % 9
    ids, starts, made = drawn(seed, 1 + 3 * seed, 3 * length)
    rows = cut_rows(ids, starts, length, END)
    pieces = [one[i : i + length] for one in made for i in range(0, len(one), length)]
    assert documents(rows) == sorted(tuple(piece) for piece in pieces if piece != [END])
    assert sizes_of(rows, END).tolist() == [len(piece) for piece in pieces if piece != [END]]


@pytest.mark.parametrize("seed", range(20))
def test_packed_rows_hold_the_same_documents(seed):
    length = 3 + seed % 9
    ids, starts, _ = drawn(seed, 5 + 10 * seed, 2 * length)
    rows = cut_rows(ids, starts, length, END)
    assert documents(packed(rows, END)) == documents(rows)


def test_packing_wastes_little():
    ids, starts, _ = drawn(0, 2000, 15)
    rows = cut_rows(ids, starts, 16, END)
    dense = packed(rows, END)
    assert len(dense) < 0.65 * len(rows)
    assert sizes_of(rows, END).sum() > 0.98 * dense.size


def test_a_document_that_fills_its_row_has_no_end():
    rows = cut_rows(np.array([1, 2, 3, END, 4, END]), np.array([0, 4, 6]), 3, END)
    assert rows.tolist() == [[1, 2, 3], [4, END, END]]
    assert packed(rows, END).tolist() == rows.tolist()
