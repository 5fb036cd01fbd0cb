"""Texts of closed words: atoms of SMILES, symbols of SELFIES, events of a score."""

from __future__ import annotations

import json

import pytest

from genloom.core import Items
from genloom.decoding.writing import Reading
from genloom.errors import BadInput
from genloom.lexicon import END, Letters, lexicon_of, told_of
from genloom.words import Words, words_of

SALT = "[NH3+]CC(=O)Cl.Br%12"
ATOMS = Words(("[NH3+]", "C", "(", "=", "O", ")", "Cl", ".", "Br", "%12"), "smiles", marks=(END,))
EVENTS = Words(("Bar", "Pitch_60", "Pitch_6"), "events", marks=(END,))


def test_an_atom_is_one_word_however_it_is_written():
    assert words_of(SALT, "smiles") == [
        "[NH3+]", "C", "C", "(", "=", "O", ")", "Cl", ".", "Br", "%12",
    ]  # fmt: skip
    assert words_of("[C][=O].[Branch1]", "selfies") == ["[C]", "[=O]", ".", "[Branch1]"]
    assert words_of(" Bar  Pitch_60\n", "events") == ["Bar", "Pitch_60"]


def test_words_come_back_and_the_end_is_the_last_number():
    assert ATOMS.decode(ATOMS.document([("", SALT)])) == SALT
    assert ATOMS.end == ATOMS.letters == 10
    assert EVENTS.decode(EVENTS.encode("Bar Pitch_6  Bar")) == "Bar Pitch_6 Bar"


def test_a_text_grows_by_words_as_it_is_read_at_once():
    for lexicon, text in ((ATOMS, SALT), (EVENTS, "Bar Pitch_60 Bar Pitch_6")):
        ids = lexicon.encode(text)
        reading, after = Reading(lexicon), Reading(lexicon, ids[:1])
        for k in range(1, len(ids) + 1):
            assert reading.add(ids[k - 1]) == lexicon.decode(ids[:k])
        assert text == lexicon.decode(ids[:1]) + after.add(*ids[1:])


@pytest.mark.parametrize(
    ("lexicon", "text", "reason"),
    [
        (ATOMS, "CCF", "without 'F'"),
        (ATOMS, "C C", "not written as smiles"),
        (EVENTS, "Bar Pitch_61", "without 'Pitch_61'"),
        (Words(("[C]",), "selfies"), "[C]C", "not written as selfies"),
    ],
)
def test_what_is_no_word_is_refused_and_left_out_of_what_is_known(lexicon, text, reason):
    with pytest.raises(BadInput, match=reason):
        lexicon.encode(text)
    assert lexicon.encode(lexicon.known(text))


def test_words_are_told_as_json_and_say_what_they_stand_for():
    for lexicon, medium in ((ATOMS, "molecule"), (EVENTS, "music"), (Letters("ab"), "text")):
        assert lexicon_of(json.loads(json.dumps(told_of(lexicon)))) == lexicon
        assert Items("text", (8,), lexicon=lexicon).medium == medium
    assert Items("image", (1, 8, 8)).medium == "image"
