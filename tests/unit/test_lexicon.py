"""Texts as numbers and back: letters, bytes, pieces; roles and ends; what is not known."""

from __future__ import annotations

import json

import pytest

from genloom.decoding.writing import Reading
from genloom.errors import BadInput
from genloom.lexicon import (
    END,
    HOLE,
    ROLES,
    Bytes,
    Letters,
    Pieces,
    learn_pieces,
    lexicon_of,
    told_of,
)

POEM = "床前明月光\n疑是地上霜"
TALK = (("user", "how?"), ("assistant", POEM))


def lexicons(marks=(*ROLES, END)):
    rules = learn_pieces([POEM, "how to go on? " * 20] * 3, 280)
    letters = "".join(sorted(set(POEM + "how?")))
    return [Letters(letters, marks=marks), Bytes(marks=marks), Pieces(rules, marks=marks)]


@pytest.mark.parametrize("lexicon", lexicons(), ids=["letters", "bytes", "pieces"])
def test_a_text_comes_back_and_marks_are_the_last_numbers(lexicon):
    assert lexicon.decode(lexicon.encode(POEM)) == POEM
    assert max(lexicon.encode(POEM)) < lexicon.letters == lexicon.vocab - 4
    assert [lexicon.mark(name) for name in (*ROLES, END, "nobody")] == [
        *range(lexicon.letters, lexicon.vocab), -1,
    ]  # fmt: skip
    assert lexicon.end == lexicon.vocab - 1


@pytest.mark.parametrize("lexicon", lexicons(), ids=["letters", "bytes", "pieces"])
def test_a_talk_is_its_roles_and_words_and_one_end(lexicon):
    ids = lexicon.document(TALK)
    assert ids[0] == lexicon.mark("user") and ids[-1] == lexicon.end and ids.count(ids[-1]) == 1
    assert lexicon.decode(ids) == f"[user] how?[assistant] {POEM}"
    assert lexicon.decode([*ids, *lexicon.encode("how")]) == lexicon.decode(ids)


@pytest.mark.parametrize("lexicon", lexicons(), ids=["letters", "bytes", "pieces"])
def test_a_lexicon_is_told_as_json_and_is_the_same_again(lexicon):
    again = lexicon_of(json.loads(json.dumps(told_of(lexicon))))
    assert again == lexicon and hash(again) == hash(lexicon)
    assert again.encode(POEM) == lexicon.encode(POEM)


def test_without_marks_nothing_closes_a_document():
    plain = Letters("ab")
    assert plain.vocab == 2 and plain.end is None and plain.document([("", "ab")]) == [0, 1]


def test_a_letter_that_is_not_known_is_named_and_can_be_left_out():
    with pytest.raises(BadInput, match="without the character 'z'"):
        Letters("ab").encode("abz")
    assert Letters("ab").known("zabz") == "ab" and Bytes().known("zé") == "zé"


def test_half_a_letter_is_a_hole():
    assert Bytes().decode("é".encode()[:1]) == HOLE
    assert Bytes().decode("é".encode()) == "é"


def test_pieces_are_learnt_and_any_text_can_be_read():
    pieces = Pieces(learn_pieces(["the cat sat on the mat"] * 50, 262))
    assert pieces.letters == 262
    assert len(pieces.encode("the cat")) < len("the cat")
    assert pieces.decode(pieces.encode("Ω\x00 naïve")) == "Ω\x00 naïve"


def test_a_tokenizer_that_is_none_is_refused():
    with pytest.raises(BadInput, match=r"tokenizer\.json cannot be used"):
        Pieces("{}").encode("a")


@pytest.mark.parametrize("lexicon", lexicons(), ids=["letters", "bytes", "pieces"])
def test_a_text_that_grows_number_by_number_is_the_whole_one(lexicon):
    ids = [*lexicon.encode(POEM), lexicon.mark("user"), *lexicon.encode("how?")]
    for given in (0, 3):
        reading, known = Reading(lexicon, ids[:given]), len(lexicon.decode(ids[:given]))
        for k in range(given + 1, len(ids) + 1):
            assert reading.add(ids[k - 1]) == lexicon.decode(ids[:k])[known:]
