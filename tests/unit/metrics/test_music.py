from __future__ import annotations

import pytest
import torch

from genloom.core import Items
from genloom.errors import Refused
from genloom.lexicon import END
from genloom.metrics.music import compare, heard
from genloom.music.events import encode
from genloom.music.notes import Note, Score, Track
from genloom.words import Words

C_MAJOR = (0, 2, 4, 5, 7, 9, 11, 12)


def melody(i: int, *, up: int = 0, length: int = 12, bars: int = 4, voices: int = 1) -> Score:
    """A walk along the scale of C that depends on i."""
    steps = [C_MAJOR[(k * (1 + i % 3) + i * (k // 4)) % 8] for k in range(4 * bars)]
    notes = [
        Note(12 * k, 60 + up + step - 12 * v, length, 79)
        for k, step in enumerate(steps)
        for v in range(voices)
    ]
    return Score((Track(tuple(sorted(notes))),))


def items_of(*groups: list[Score]) -> tuple[Items, list[torch.Tensor]]:
    """What stores the pieces of several sets, and these as rows."""
    texts = [[encode(score) for score in group] for group in groups]
    words = sorted({word for group in texts for text in group for word in text.split()})
    length = max(len(text.split()) for group in texts for text in group) + 1
    about = Items("text", (length,), (), Words(tuple(words), "events", marks=(END,)))
    rows = []
    for group in texts:
        table = torch.full((len(group), length), about.end)
        for row, text in zip(table, group):
            ids = about.lexicon.document((("", text),))
            row[: len(ids)] = torch.tensor(ids)
        rows.append(table)
    return about, rows


def measured(x: list[Score], y: list[Score], train: list[Score]) -> dict[str, float]:
    about, rows = items_of(x, y, train)
    found = {name: take() for name, take in compare(rows[0], rows[1], about, rows[2]).items()}
    assert all(estimate.name == name for name, estimate in found.items())
    assert all(e.low <= e.value <= e.high for e in found.values())
    return {name: estimate.value for name, estimate in found.items()}


PLAIN = [melody(i) for i in range(40)]


def test_the_same_music_has_no_distance_and_all_in_common():
    found = measured(PLAIN, PLAIN, PLAIN)
    assert all(value == pytest.approx(0, abs=1e-9) for k, value in found.items() if "w1" in k)
    assert all(value == pytest.approx(1) for k, value in found.items() if "overlap" in k)
    assert found["copied_bars"] == 4


def test_transposed_music_moves_in_pitch_alone():
    found = measured([melody(i, up=5) for i in range(40)], PLAIN, PLAIN)
    assert found["pitch_w1"] == pytest.approx(5)
    assert found["pitch_class_overlap"] < 0.95
    assert found["interval_overlap"] == pytest.approx(1)
    assert found["duration_w1"] == found["polyphony_w1"] == 0
    assert found["key_clarity_w1"] == pytest.approx(0, abs=1e-9)
    assert found["copied_bars"] == 0


def test_shorter_notes_and_more_voices_are_seen():
    short = measured([melody(i, length=6) for i in range(40)], PLAIN, PLAIN)
    assert short["duration_w1"] == pytest.approx(0.5)
    double = measured([melody(i, voices=2) for i in range(40)], PLAIN, PLAIN)
    assert double["polyphony_w1"] == pytest.approx(1) == double["note_density_w1"]
    assert double["interval_overlap"] == pytest.approx(1)  # of the upper voice


def test_music_without_a_key_is_told_from_music_with_one():
    loose = Score((Track(tuple(Note(12 * k, 60 + k, 12, 79) for k in range(12))),))
    assert heard(encode(loose)).numbers["key_clarity"] == 0
    chord = Score((Track((Note(0, 60, 24, 79), Note(0, 64, 12, 79), Note(0, 67, 18, 79))),))
    assert heard(encode(chord)).numbers["key_clarity"] > 0.8


def test_copied_bars_are_a_run_within_one_piece():
    first, second = melody(1), melody(2)
    halves = Score(
        (
            Track(
                (*(n for n in first.tracks[0].notes if n.start < 96),
                 *(n for n in second.tracks[0].notes if n.start >= 96))
            ),
        )
    )  # fmt: skip
    found = measured([halves] * 30, PLAIN, [first, second])
    assert found["copied_bars"] == 2


def test_a_run_does_not_go_on_in_the_next_training_piece():
    first, second = melody(1, bars=1).tracks[0].notes, melody(2, bars=1).tracks[0].notes
    both = Score((Track((*first, *(n._replace(start=n.start + 48) for n in second))),))
    train = [Score((Track(first),)), Score((Track(second),))]
    assert measured([both] * 30, PLAIN, train)["copied_bars"] == 1


def test_silent_bars_are_no_copies():
    late = Score((Track((Note(0, 61, 12, 79), Note(4 * 48, 61, 12, 79))),))
    assert measured([late] * 30, PLAIN, [late])["copied_bars"] == 1


def test_too_few_pieces_with_notes_are_refused():
    empty = Score(())
    about, rows = items_of([*PLAIN[:20], *[empty] * 20], PLAIN, PLAIN)
    found = compare(rows[0], rows[1], about, rows[2])
    for name in ("pitch_w1", "interval_overlap", "polyphony_w1"):
        with pytest.raises(Refused, match="with notes"):
            found[name]()
    assert found["copied_bars"]().value == pytest.approx(2)
