from __future__ import annotations

from itertools import pairwise

import torch

from genloom.music.notes import LONGEST, Note, Track
from genloom.music.voices import REST, begun, grid, notes, pitch_of, struck

ONE = Track((Note(0, 60, 6, 79), Note(6, 60, 3, 79), Note(12, 62, 9, 79)))


def test_a_cell_tells_the_pitch_and_whether_it_is_struck():
    (row,) = grid([ONE], 3, 8)
    c, d = struck(60), struck(62)
    assert row.tolist() == [c, c + 1, c, REST, d, d + 1, d + 1, REST]
    assert pitch_of(row).tolist() == [60, 60, 60, -1, 62, 62, 62, -1]


def test_cells_become_the_same_notes():
    (row,) = grid([ONE], 3, 8)
    assert tuple(notes(row.tolist(), 3)) == ONE.notes
    assert list(notes(grid([ONE], 3, 5)[0].tolist(), 3))[-1] == Note(12, 62, 3, 79)  # cut


def test_the_highest_of_several_notes_is_sung():
    track = Track((Note(0, 50, 12, 79), Note(3, 70, 3, 79)))
    (row,) = grid([track], 3, 4)
    low, high = struck(50), struck(70)
    assert row.tolist() == [low, high, low, low + 1]  # it is struck again


def test_a_note_between_two_frames_is_not_seen():
    (row,) = grid([Track((Note(1, 60, 1, 79), Note(2, 64, 2, 79)))], 3, 2)
    assert row.tolist() == [REST, struck(64)]


def test_any_cells_are_notes_that_a_score_has():
    torch.manual_seed(0)
    for row in torch.randint(0, 257, (20, 40)):
        found = list(notes(row.tolist(), 12))
        assert all(a.start + a.length <= b.start for a, b in pairwise(found))
        sounding = {n.start // 12 + k for n in found for k in range(n.length // 12)}
        assert sounding == set((row != REST).nonzero()[:, 0].tolist())
        (back,) = grid([Track(tuple(found))], 12, 40)
        assert torch.equal(back, begun(row))
    long = list(notes([struck(60), *[struck(60) + 1] * 39], 12))
    assert [note.length for note in long] == [LONGEST, LONGEST, 40 * 12 - 2 * LONGEST]
