from __future__ import annotations

import json

import pytest

from genloom.music.chorales import looks_like_chorales, pieces, score, span
from genloom.music.notes import LONGEST, Note, Track, Unreadable

CHORALE = [[72, 67, 64, 48], [72, 69, -1, 48], [74, 69, 65, 50]]


def test_voices_have_tracks_of_their_own_and_hold():
    found = score(CHORALE, 12)
    assert [len(track.notes) for track in found.tracks] == [2, 2, 2, 2]
    assert found.tracks[0].notes == (Note(0, 72, 24, 79), Note(24, 74, 12, 79))
    assert found.tracks[2].notes == (Note(0, 64, 12, 79), Note(24, 65, 12, 79))
    assert {track.program for track in found.tracks} == {52}


def test_frames_in_order_of_pitch_are_one_track():
    assert score([[60, 64], [], [60]], 12).tracks == (
        Track((Note(0, 60, 12, 79), Note(0, 64, 12, 79), Note(24, 60, 12, 79)), 52),
    )


def test_a_note_that_is_too_long_is_struck_again():
    notes = score([[60]] * 20, 12).tracks[0].notes
    assert [note.length for note in notes] == [LONGEST, 48]


def test_what_a_frame_lasts_is_seen_in_the_data():
    assert span({"train": [[[60], [62], [64], [64]]]}) == 12
    assert span({"train": [[[60], [60], [62], [62]]]}) == 3


def test_pitches_may_be_whole_reals():
    assert pieces(b'{"train": [[[60.0, 48]]]}') == {"train": [[[60, 48]]]}


@pytest.mark.parametrize(
    "text",
    ["[1]", '{"train": 1}', '{"train": [[[60.5]]]}', '{"train": [[[true]]]}', "{", "[" * 9**5],
)
def test_other_json_is_damaged(text):
    with pytest.raises(Unreadable):
        pieces(text.encode())


def test_a_file_is_known_by_its_first_bytes():
    text = json.dumps({"valid": [CHORALE]}, indent=1).encode()
    assert looks_like_chorales(text[:64])
    assert not looks_like_chorales(b'{"train": [{"text": "a"}]}')
