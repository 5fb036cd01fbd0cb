from __future__ import annotations

import pytest
import torch

from genloom.codecs.roll import LOWEST, Roll, keys_of
from genloom.core import Items
from genloom.errors import BadInput
from genloom.lexicon import END, Letters
from genloom.music.events import decode, encode
from genloom.music.notes import Note, Score, Track
from genloom.words import Words

TUNE = Score((Track((Note(0, 60, 24, 79), Note(0, 64, 12, 79), Note(24, 62, 36, 79)), 52),))
OTHER = Score((Track((Note(12, 50, 12, 79),), 52), Track((Note(0, 36, 48, 79),), drum=True)))


def items(length: int = 40) -> Items:
    words = sorted({w for score in (TUNE, OTHER) for w in encode(score).split()})
    return Items("text", (length,), (), Words(tuple(words), "events", marks=(END,)))


def rows(about: Items, *groups) -> torch.Tensor:
    """Stored rows, each of one document or more."""
    found = torch.full((len(groups), *about.shape), about.end)
    for row, group in zip(found, groups):
        ids = [i for score in group for i in about.lexicon.document((("", encode(score)),))]
        row[: len(ids)] = torch.tensor(ids)
    return found


def test_keys_sound_from_their_start_to_their_end():
    keys = keys_of(TUNE, 12)
    assert keys.shape == (5, 88)
    assert [(row.nonzero()[:, 0] + LOWEST).tolist() for row in keys] == [
        [60, 64],
        [60],
        [62],
        [62],
        [62],
    ]
    assert keys_of(OTHER, 12).sum() == 1  # drums have no key


def test_pieces_of_a_row_follow_each_other_and_the_rest_is_over():
    about = items()
    codec = Roll(about, frames=12)
    x = codec.encode(rows(about, [TUNE, OTHER], [OTHER]))
    over = (x == 2).all(2)
    assert over[0].tolist() == [False] * 5 + [True] + [False] * 4 + [True] * 2
    assert torch.equal(x[0, 6:10], x[1, :4]) and over[1, 4:].all()
    assert torch.equal(x[0, :5], keys_of(TUNE, 12))


def test_what_is_too_long_is_cut():
    about = items()
    x = Roll(about, frames=3).encode(rows(about, [TUNE, OTHER]))
    assert torch.equal(x[0], keys_of(TUNE, 12)[:3])


def test_frames_become_words_that_the_items_have():
    about = items()
    codec = Roll(about, frames=12)
    made = codec.decode(codec.encode(rows(about, [TUNE, OTHER])))
    assert decode(about.read(made[0])) == TUNE  # the first piece, whose words are all known
    strange = torch.zeros(1, 12, 88, dtype=torch.long)
    strange[0, 3:, 61 - LOWEST] = 1
    (track,) = decode(about.read(codec.decode(strange)[0])).tracks
    assert track.notes == (Note(24, 60, 48, 79),)  # at 36, of pitch 61 and length 108 before


def test_any_frames_are_items():
    about = items(12)
    x = torch.randint(0, 3, (8, 20, 88))
    x[0] = 2
    made = Roll(about, frames=20).decode(x)
    assert made.shape == (8, 12) and 0 <= int(made.min()) <= int(made.max()) <= about.end
    assert about.read(made[0]).startswith("Bar")


@pytest.mark.parametrize("span", ["eighth", "sixteenth"])
def test_frames_may_be_shorter(span):
    about = items()
    parts = {"eighth": 2, "sixteenth": 4}[span]
    x = Roll(about, frames=24, span=span).encode(rows(about, [TUNE]))
    assert int((x != 2).all(2).sum()) == 5 * parts


def test_other_text_is_refused():
    with pytest.raises(BadInput, match="music"):
        Roll(Items("text", (9,), (), Letters("ab", marks=(END,))))
