"""Texts that grow are cut at a stop, and nothing of a stop is ever shown."""

from __future__ import annotations

import itertools

import pytest

from genloom.serve.writing import CHAT, COMPLETION, Told, Writing

ALPHABET = "ab\n "


def write(text: str, most: int, stops: tuple[str, ...], size: int = 1) -> tuple[Writing, str]:
    writing, shown = Writing(ALPHABET, 1, most, stops), ""
    tokens = [ALPHABET.index(letter) for letter in text]
    for start in range(0, len(tokens), size):
        shown += "".join(piece for _, piece in writing.add([tokens[start : start + size]]))
    return writing, shown


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("stop", ["b", "ab", "aab", "\n", "b a", "aa"])
def test_what_is_shown_is_the_text_before_the_first_stop(stop, size):
    for letters in itertools.product("ab\n ", repeat=6):
        text = "".join(letters)
        end = text.find(stop)
        writing, shown = write(text, 6, (stop,), size)
        assert shown == writing.texts[0] == (text if end < 0 else text[:end])
        assert writing.reasons[0] == ("length" if end < 0 else "stop")


def test_the_length_ends_a_text_and_the_rest_is_not_read():
    writing, shown = write("abab", 3, ())
    assert (shown, writing.counts, writing.reasons) == ("aba", [3], ["length"])
    assert writing.done


def test_texts_end_each_by_itself():
    writing = Writing(ALPHABET, 2, 4, ("b",))
    assert writing.add([[0], [1]]) == [(0, "a")]
    assert writing.reasons == [None, "stop"] and not writing.done
    assert writing.add([[0], [0]]) == [(0, "a")]
    assert writing.texts == ["aa", ""]


@pytest.mark.parametrize(("form", "field"), [(COMPLETION, "text"), (CHAT, "message")])
def test_both_forms_tell_the_same(form, field):
    writing, _ = write("aab", 5, ("b",))
    told = Told(form, "words", 2, writing, with_usage=True)
    (choice,) = told.whole("")["choices"]
    said = choice[field] if field == "text" else choice[field]["content"]
    assert (said, choice["finish_reason"]) == ("aa", "stop")
    ends = told.closing()
    assert ends[0]["choices"][0]["finish_reason"] == "stop"
    assert ends[1]["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    assert len(told.opening()) == (form is CHAT)
