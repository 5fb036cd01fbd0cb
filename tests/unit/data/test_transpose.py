"""Music in other keys, in training batches alone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genloom.data import open_dataset
from genloom.data.transpose import Transpose
from genloom.errors import BadInput
from genloom.lexicon import Letters
from genloom.music import midi
from genloom.music.events import FORM, decode, encode
from genloom.music.notes import Note, Score, Track
from genloom.words import Words
from tests.unit.data.test_dataset import whole_and_in_parts

MOST = 3


def band(draw: random.Random) -> Score:
    """Two instruments and two kits of drums, in any order."""
    tracks = []
    for drum in draw.sample([True, True, False, False], 4):
        starts = sorted(draw.sample(range(96), 5))
        notes = tuple(Note(at, draw.randrange(40, 60), 6, 79) for at in starts)
        tracks.append(Track(notes, 0 if drum else draw.randrange(128), drum))
    return Score(tuple(tracks))


def table(scores: list[Score], *, whole: bool = True) -> tuple[Words, Tensor]:
    """The words of scores, all pitches among them if `whole`, and a row of two scores each."""
    texts = [encode(score) for score in scores]
    words = set(" ".join(texts).split()) | {f"Pitch_{i}" for i in range(30, 70) if whole}
    lexicon = Words(tuple(sorted(words)), FORM, marks=("end",))
    pairs = [
        lexicon.document([("", a)]) + lexicon.document([("", b)])
        for a, b in zip(texts[::2], texts[1::2])
    ]
    longest = max(map(len, pairs))
    filled = [row + [lexicon.mark("end")] * (longest - len(row)) for row in pairs]
    return lexicon, torch.tensor(filled, dtype=torch.int16)


def moved(score: Score, by: int) -> Score:
    return replace(
        score,
        tracks=tuple(
            track if track.drum else replace(
                track, notes=tuple(note._replace(pitch=note.pitch + by) for note in track.notes)
            )
            for track in score.tracks
        ),
    )  # fmt: skip


def read(lexicon: Words, row: Tensor) -> list[Score]:
    """The two scores of a row."""
    ids, end = row.tolist(), lexicon.mark("end")
    first = ids.index(end) + 1
    return [decode(lexicon.decode(part)) for part in (ids[:first], ids[first:])]


def test_all_notes_of_a_row_but_drums_move_by_the_same_keys():
    draw = random.Random(0)
    scores = [band(draw) for _ in range(400)]
    lexicon, items = table(scores)
    torch.manual_seed(0)
    found = Transpose(lexicon, MOST)(items)
    assert found.dtype == items.dtype and found.shape == items.shape
    shifts = []
    for i, row in enumerate(found):
        pair = [decode(encode(score)) for score in scores[2 * i : 2 * i + 2]]
        fitting = [
            by
            for by in range(-MOST, MOST + 1)
            if read(lexicon, row) == [moved(one, by) for one in pair]
        ]
        assert len(fitting) == 1
        shifts += fitting
    counts = [shifts.count(by) for by in range(-MOST, MOST + 1)]
    assert min(counts) > 12 and max(counts) < 50  # 28.6 on average, of 200


def test_no_word_is_needed_that_the_data_have_not():
    score = Score((Track((Note(0, 60, 12, 79), Note(12, 62, 12, 79))),))
    texts = [encode(moved(score, by)) for by in (0, 1)]
    lexicon = Words(tuple(sorted(set(" ".join(texts).split()))), FORM)
    items = torch.tensor([lexicon.encode(texts[0])] * 64 + [lexicon.encode(texts[1])] * 64)
    torch.manual_seed(0)
    found = Transpose(lexicon, 12)(items)
    told = [lexicon.decode(row) for row in found.tolist()]
    assert set(told[:64]) == set(told[64:]) == set(texts)


def test_parts_of_a_batch_see_what_the_whole_batch_sees():
    draw = random.Random(1)
    lexicon, items = table([band(draw) for _ in range(16)])
    whole, parts = whole_and_in_parts(Transpose(lexicon, MOST), items)
    assert torch.equal(parts, whole) and not torch.equal(whole, items)


def test_a_data_set_is_heard_in_other_keys_in_training_alone(tmp_path):
    for i in range(20):
        notes = tuple(Note(12 * k, 50 + (i + 5 * k) % 24, 12, 79) for k in range(8))
        (tmp_path / f"{i}.mid").write_bytes(midi.write(Score((Track(notes),))))
    plain, heard = open_dataset(tmp_path), open_dataset(tmp_path, transpose=5)
    assert heard.fingerprint == plain.fingerprint  # the rows that are stored are the same
    items, cond, _ = heard.train.batch(0, 8, 0)
    torch.manual_seed(0)
    assert not torch.equal(heard.augmented(items, cond)[0], items)
    assert torch.equal(plain.augmented(items, cond)[0], items)


@pytest.mark.parametrize("lexicon", [None, Letters(("a", "b")), Words(("C", "N"), "smiles")])
def test_only_music_has_keys(lexicon):
    with pytest.raises(BadInput, match="transpose = 2 is for music"):
        Transpose(lexicon, 2)


def test_pictures_have_no_keys():
    with pytest.raises(BadInput, match="transpose = 2 is for music"):
        open_dataset("digits", transpose=2)
