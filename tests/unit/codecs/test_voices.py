from __future__ import annotations

import pytest
import torch

from genloom.codecs.voices import Voices
from genloom.core import Items, Tokens
from genloom.errors import BadInput
from genloom.lexicon import END, Letters
from genloom.music import midi
from genloom.music.chorales import VOICES
from genloom.music.events import decode, encode
from genloom.music.notes import Note, Score, Track
from genloom.music.voices import REST, grid, struck
from genloom.recipe import model_of, resolve
from genloom.words import Words

UPPER = Track((Note(0, 72, 12, 79), Note(12, 74, 36, 79)), VOICES)
LOWER = Track((Note(0, 60, 48, 79),), VOICES)
DUET, SOLO = Score((UPPER, LOWER)), Score((Track((Note(6, 60, 6, 79),), VOICES),))
DRUMS = Score((Track((Note(0, 36, 12, 79),), drum=True), UPPER))


def items(length: int = 60) -> Items:
    words = sorted({w for score in (DUET, SOLO, DRUMS) for w in encode(score).split()})
    return Items("text", (length,), (), Words(tuple(words), "events", marks=(END,)))


def rows(about: Items, *groups: list[str]) -> torch.Tensor:
    """Stored rows, each of the words of one piece or more."""
    found = torch.full((len(groups), *about.shape), about.end)
    for row, group in zip(found, groups):
        ids = [i for text in group for i in about.lexicon.document((("", text),))]
        row[: len(ids)] = torch.tensor(ids)
    return found


def codec(about: Items, frames: int = 10) -> Voices:
    return Voices(about, voices=3, frames=frames)


def test_a_voice_has_a_row_and_a_frame_is_the_finest_that_fits():
    about = items()
    made = codec(about)
    assert made.span == 6 and made.space == Tokens((3, 10), 1 + 2 * 4)  # pitches 36, 60, 72, 74
    (x,) = made.encode(rows(about, [encode(DUET)]))
    assert x.tolist() == [[5, 6, 7, 8, 8, 8, 8, 8, 0, 0], [3, *[4] * 7, 0, 0], [0] * 10]
    assert torch.equal(made.cells(x)[:2], grid([UPPER, LOWER], 6, 10))
    assert torch.equal(made.tokens(made.cells(x)), x)


@pytest.mark.parametrize(("span", "steps"), [("quarter", 12), ("eighth", 6), ("sixteenth", 3)])
def test_the_frame_may_be_said(span, steps):
    about = items()
    made = Voices(about, frames=20, span=span)
    (x,) = made.encode(rows(about, [encode(DUET)]))
    assert made.span == steps and int((x[0] != REST).sum()) == 48 // steps


def test_pieces_that_share_a_row_follow_each_other():
    about = items()
    made = codec(about, 14)
    x = made.encode(rows(about, [encode(DUET), encode(SOLO)], [encode(DUET)], [encode(SOLO)]))
    assert torch.equal(x[0, :, :9], x[1, :, :9]) and (x[0, :, 8] == 0).all()
    assert torch.equal(x[0, :, 9:11], x[2, :, :2]) and int(x[2, 0, 1]) == 3


def test_what_is_too_long_is_cut():
    about = items()
    long, short = codec(about), codec(about, 5)
    row = rows(about, [encode(DUET), encode(SOLO)])
    assert torch.equal(short.encode(row), long.encode(row)[..., :5])


def test_a_voice_that_has_no_notes_keeps_its_place():
    about = items()
    words = encode(Score((Track(()), LOWER)))
    (x,) = codec(about).encode(rows(about, [words]))
    assert (x[0] == 0).all() and int(x[1, 0]) == 3
    (x,) = codec(about).encode(rows(about, [encode(DRUMS)]))
    assert int(x[0, 0]) == 5 and (x[1:] == 0).all()  # drums have no voice


def test_a_grid_becomes_words_that_the_items_have():
    about = items()
    made = codec(about)
    x = made.encode(rows(about, [encode(DUET)]))
    assert decode(about.read(made.decode(x)[0])) == DUET
    torch.manual_seed(0)
    x = torch.randint(0, made.space.vocab, (8, 3, 10))
    x[0] = 0
    found = made.decode(x)
    assert found.shape == (8, 60) and 0 <= int(found.min()) <= int(found.max()) <= about.end
    assert about.read(found[0]).startswith("Bar")


def test_an_unknown_pitch_is_the_nearest_one():
    made = codec(items())
    cells = torch.tensor([struck(61), struck(61) + 1, struck(127), REST])
    assert made.cells(made.tokens(cells)).tolist() == [
        struck(60),
        struck(60) + 1,
        struck(74),
        REST,
    ]


def test_a_voice_that_the_data_have_not_becomes_no_other_one():
    about = items()
    made = codec(about)
    cells = grid([UPPER, LOWER, Track((Note(0, 74, 48, 79),))], 6, 10)
    assert decode(about.read(made.decode(made.tokens(cells)[None])[0])) == DUET


def test_as_many_voices_are_learned_as_the_data_have_tracks(tmp_path):
    for i in range(20):
        other = Track((Note(0, 40 + i, 48, 79),))
        (tmp_path / f"{i}.mid").write_bytes(midi.write(Score((UPPER, other))))
    recipe = {"data": {"source": str(tmp_path)}, "model": {"use": "mdlm"}}
    with pytest.raises(
        BadInput, match=r"codec.voices = 4, .* at most 2 tracks: set codec.voices=2"
    ):
        resolve(recipe | {"codec": {"use": "voices"}})
    plan = resolve(recipe | {"codec": {"use": "voices", "voices": 2}})
    earlier = plan.recipe | {"codec": plan.recipe["codec"] | {"voices": 4}}
    assert model_of(earlier, plan.dataset.items)[0].space.shape[0] == 4  # what there is still loads


def test_other_text_is_refused():
    with pytest.raises(BadInput, match="voices reads music"):
        Voices(Items("text", (9,), (), Letters("ab", marks=(END,))))
