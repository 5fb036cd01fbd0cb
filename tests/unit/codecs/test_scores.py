"""Scores as words that items have: the nearest, but never another track."""

from __future__ import annotations

import pytest

from genloom.codecs.scores import Scores
from genloom.core import Items
from genloom.errors import BadInput
from genloom.lexicon import END
from genloom.music.events import decode, encode
from genloom.music.notes import Note, Score, Track
from genloom.words import Words

ONE, OTHER = Track((Note(0, 60, 12, 79),), 7), Track((Note(12, 62, 24, 79),), 7)
DUET = Score((ONE, OTHER))
TRIO = Score((*DUET.tracks, Track((Note(24, 60, 12, 79),), 7)))


def scores(length: int = 40) -> Scores:
    words = tuple(sorted({*encode(DUET).split()}))
    return Scores(Items("text", (length,), (), Words(words, "events", marks=(END,))), "a test")


@pytest.mark.parametrize("way", ["opening", "row"])
def test_a_track_is_never_another_one(way):
    assert getattr(scores(), way)(DUET) is not None
    with pytest.raises(BadInput, match="without 'Track_2'"):
        getattr(scores(), way)(TRIO)


def test_a_track_that_there_is_not_is_left_out_and_no_other_one_gets_its_notes():
    known = scores()
    (row,) = known.rows([TRIO])
    assert decode(known.words.decode(row.tolist())) == DUET


@pytest.mark.parametrize(("length", "fits"), [(15, True), (14, False)])
def test_after_a_prompt_there_is_room(length, fits):
    if fits:
        assert len(scores(length).opening(DUET).split()) == length - 1
    else:
        with pytest.raises(BadInput, match="the music has 14 words, and a text 14"):
            scores(length).opening(DUET)


def test_each_word_is_sought_once(monkeypatch):
    known, sought, nearest = scores(9000), list[tuple[str, int]](), Scores.nearest
    monkeypatch.setattr(Scores, "nearest", lambda *one: (sought.append(one[1:]), nearest(*one))[1])
    known.opening(Score((Track(tuple(Note(12 * k, 60, 12, 79) for k in range(2000))),)))
    assert len(sought) == len({*sought}) < 10
