"""Texts that grow are cut at a stop, and nothing of a stop is ever shown."""

from __future__ import annotations

import itertools
import random

import pytest
import torch

from genloom.decoding.writing import UNSETTLED, Reading, Score, Writing
from genloom.lexicon import END, Bytes, Letters, Lexicon, Pieces, learn_pieces
from genloom.serve.engine.messages import NewTokens
from genloom.serve.routes.text import read_of, scores_of
from genloom.serve.telling import CHAT, COMPLETION, Progress, Told
from genloom.words import Words

ALPHABET = "ab\n "
LETTERS = Letters(ALPHABET)


def write(text: str, most: int, stops: tuple[str, ...], size: int = 1) -> tuple[Writing, str]:
    writing, shown = Writing(LETTERS, 1, most, stops), ""
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
        assert shown == writing.texts[0].text == (text if end < 0 else text[:end])
        assert writing.texts[0].reason == ("length" if end < 0 else "stop")


def test_the_length_ends_a_text_and_the_rest_is_not_read():
    writing, shown = write("abab", 3, ())
    (found,) = writing.texts
    assert (shown, found.count, found.reason) == ("aba", 3, "length")


def test_texts_end_each_by_itself():
    writing = Writing(LETTERS, 2, 4, ("b",))
    assert writing.add([[0], [1]]) == [(0, "a")]
    assert [text.reason for text in writing.texts] == [None, "stop"]
    assert writing.add([[0], [-1]]) == [(0, "a")]
    assert [text.text for text in writing.texts] == ["aa", ""]
    assert [text.count for text in writing.texts] == [2, 0]


def score(letter):
    return Score(letter, -1.0, (("a", -0.5), (letter, -1.0)))


def test_scores_are_those_of_what_is_shown_and_none_of_a_stop():
    writing = Writing(LETTERS, 1, 9, ("ab",))
    told = Told(CHAT, "words", 0, writing, with_usage=False, with_scores=True)
    chunks = []
    for letter in " aab":
        pieces = writing.add([[ALPHABET.index(letter)]], [[score(letter)]])
        chunks += [told.piece(*piece)["choices"][0] for piece in pieces]
    said = [chunk["delta"]["content"] for chunk in chunks]
    marked = [row["token"] for chunk in chunks for row in chunk["logprobs"]["content"]]
    assert "".join(said) == " a" == "".join(marked)
    told = Told(COMPLETION, "words", 0, writing, with_usage=False, with_scores=True, before=["xy"])
    whole = told.whole()
    assert whole["choices"][0]["text"] == "xy a"
    assert whole["choices"][0]["logprobs"] == {
        "tokens": [" ", "a"],
        "token_logprobs": [-1.0, -1.0],
        "top_logprobs": [{"a": -0.5, " ": -1.0}, {"a": -1.0}],
        "text_offset": [2, 3],
    }


def test_a_text_that_was_not_seen_growing_is_told_like_one_that_was():
    grown, _ = write("aab", 5, ("b",))
    whole = Writing(LETTERS, 1, 5, ("b",))
    whole.finish(0, LETTERS.encode("aa"), stopped=True)
    assert whole.texts == grown.texts


def test_a_refused_text_says_nothing_but_that():
    writing, _ = write("aab", 5, ())
    writing.refuse(0)
    shown = {"with_usage": False, "with_scores": True, "before": ["echo of the prompt"]}
    told = Told(COMPLETION, "words", 2, writing, **shown)
    told.read(0, [[score("e")]])
    (choice,) = told.whole()["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("", "content_filter")
    assert told.whole()["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(("form", "field"), [(COMPLETION, "text"), (CHAT, "message")])
def test_both_forms_tell_the_same(form, field):
    writing, _ = write("aab", 5, ("b",))
    told = Told(form, "words", 2, writing, with_usage=True, with_scores=False)
    (choice,) = told.whole()["choices"]
    said = choice[field] if field == "text" else choice[field]["content"]
    assert (said, choice["finish_reason"]) == ("aa", "stop")
    ends = told.closing()
    assert ends[0]["choices"][0]["finish_reason"] == "stop"
    assert ends[1]["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert len(told.opening()) == (form is CHAT)


def test_an_end_ends_a_text_and_is_not_shown():
    writing = Writing(Letters("ab", marks=(END,)), 1, 9, ())
    assert writing.add([[0, 1, 2, 0]]) == [(0, "ab")]
    (found,) = writing.texts
    assert (found.text, found.count, found.reason) == ("ab", 2, "stop")


def test_half_a_letter_waits_for_its_other_half():
    writing = Writing(Bytes(), 1, 9, ())
    shown = [writing.add([[byte]]) for byte in "aé月".encode()]
    assert shown == [[(0, "a")], [], [(0, "é")], [], [], [(0, "月")]]


def test_a_stop_across_and_within_pieces():
    pieces = Pieces(learn_pieces(["ab cd ab cd"] * 9, 262))
    tokens = pieces.encode("ab cd ab cd")
    assert len(tokens) == 4
    for stop, text, count in (("d a", "ab c", 2), ("c", "ab ", 2), ("b cd a", "a", 1)):
        writing = Writing(pieces, 1, 9, (stop,))
        shown = "".join(piece for token in tokens for _, piece in writing.add([[token]]))
        (found,) = writing.texts
        assert shown == found.text == text
        assert (found.count, found.reason) == (count, "stop")


def test_the_score_of_a_piece_in_which_a_stop_begins_is_told_with_the_rest():
    pieces = Pieces(learn_pieces(["ab cd ab cd"] * 9, 262))
    writing = Writing(pieces, 1, 9, ("d a",))
    told = Told(COMPLETION, "m", 0, writing, with_usage=False, with_scores=True)
    chunks = []
    for token in pieces.encode("ab cd ab cd"):
        for piece in writing.add([[token]], [[score(pieces.decode([token]))]]):
            chunks.append(told.piece(*piece))
    tokens = [chunk["choices"][0]["logprobs"]["tokens"] for chunk in [*chunks, *told.closing()]]
    assert tokens == [["ab"], [], [" cd"]]


def test_a_stop_leaves_all_tokens_of_the_letter_before_it():
    pieces = Pieces(learn_pieces(["hello hello"] * 9, 262))
    text = "a\U0001f600hello"
    writing = Writing(pieces, 1, 99, ("hello",))
    writing.add([pieces.encode(text)])
    (found,) = writing.texts
    assert found.text == "a\U0001f600" == pieces.decode(found.tokens)
    assert found.count == 5


@pytest.mark.parametrize("stops", [("d a",), ("d", "b cd"), ("b cd", "d"), ("cd a", "d ab")])
def test_of_several_stops_the_first_in_the_text_ends_it_at_once_and_as_it_grows(stops):
    pieces, text = Pieces(learn_pieces(["ab cd ab cd"] * 9, 262)), "xab cd ab cd"
    drawn, ends = pieces.encode(text), [text.find(stop) for stop in stops]
    written = next(k for k in range(1, 9) if any(s in pieces.decode(drawn[:k]) for s in stops))
    seen = pieces.decode(drawn[:written])
    grown, at_once = (Writing(pieces, 1, 9, stops) for _ in range(2))
    shown = "".join(piece for token in drawn for _, piece in grown.add([[token]]))
    at_once.finish(0, drawn[:written], stopped=True)
    first = min(place for stop, place in zip(stops, ends, strict=True) if stop in seen)
    assert shown == text[:first] == at_once.texts[0].text
    assert at_once.texts == grown.texts


@pytest.mark.parametrize("stop", ["。", "é", "\U0001f600", "你。", "a\U0001f600好", "é你", "b"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_stop_of_letters_of_several_bytes_is_seen_as_it_grows(stop, size):
    text = "好é你。a\U0001f600好b"
    drawn = Bytes().encode(text)
    grown, at_once = (Writing(Bytes(), 1, 99, (stop,)) for _ in range(2))
    parts = [drawn[i : i + size] for i in range(0, len(drawn), size)]
    shown = "".join(piece for part in parts for _, piece in grown.add([part]))
    at_once.finish(0, drawn, stopped=False)
    assert shown == text[: text.find(stop)] == at_once.texts[0].text
    assert at_once.texts == grown.texts


def test_a_text_that_grew_to_its_length_and_had_its_form_has_stopped():
    writing, nothing = write("aba", 3, ())[0], Writing(LETTERS, 1, 0, ())
    assert writing.texts[0].reason == "length"
    writing.whole(0)
    assert (writing.texts[0].text, writing.texts[0].reason) == ("aba", "stop")
    nothing.texts[0].reason = "length"  # a form of which not a token was wanted
    nothing.whole(0)
    assert nothing.texts[0].reason == "length"


def test_a_whole_text_ends_at_its_first_stop_and_one_whose_form_is_over_has_stopped():
    writing = Writing(LETTERS, 2, 9, ("b ", "a"))
    writing.finish(0, LETTERS.encode("bb ab"), stopped=True)
    assert (writing.texts[0].text, writing.texts[0].reason) == ("b", "stop")
    writing.finish(0, LETTERS.encode("bb"), stopped=False)
    assert (writing.texts[0].text, writing.texts[0].reason) == ("bb", "length")
    writing.add([LETTERS.encode("b"), [-1]])
    assert [text.reason for text in writing.texts] == ["length", "stop"]


def given_scores(lexicon: Lexicon, prompt: list[int]) -> list[list[Score]]:
    nats = torch.full((1, len(prompt), 1), -1.0)
    hidden = NewTokens("x", 0, torch.full((2, len(prompt)), -1), nats)  # as a filter leaves them
    return read_of(hidden, prompt, Reading(lexicon), lambda token: lexicon.decode([token]))


EVENTS = Words(("Bar", "Position_0", "Pitch_60", "Duration_12"), "events", marks=(END,))


@pytest.mark.parametrize(
    ("lexicon", "text", "offsets"),
    [
        (Bytes(), "s\u00fc\u00dfe", [0, 1, 1, 2, 2, 3]),
        (Bytes(), "\u4e2d\u6587", [0, 0, 0, 1, 1, 1]),
        (Bytes(), "\U0001f600a", [0, 0, 0, 0, 1]),
        (EVENTS, "Bar Position_0 Pitch_60 Duration_12", [0, 4, 15, 24]),
        (LETTERS, "ab a", [0, 1, 2, 3]),
    ],
)
def test_a_token_lies_where_its_first_letter_does(lexicon, text, offsets):
    tokens = lexicon.encode(text)
    (read,) = given_scores(lexicon, tokens)
    assert [one.start for one in read] == offsets
    assert [one.token for one in read] == [lexicon.decode([token]) for token in tokens]
    writing = Writing(lexicon, 1, 99, ())
    for token in tokens:
        writing.add([[token]], [[score(lexicon.decode([token]))]])
    assert [one.start for one in writing.texts[0].scores] == offsets


def test_where_a_text_had_ended_there_is_no_score():
    lexicon = Bytes(marks=(END,))
    nats, top = torch.zeros(2, 1, 3), torch.tensor([[[97, 256]], [[98, 99]]])
    event = NewTokens("x", 0, torch.tensor([[97], [-1]]), nats, top)
    found = scores_of(event, lambda token: lexicon.decode([token]))
    assert found == [[Score("a", 0.0, (("a", 0.0), ("", 0.0)))], [Score("", 0.0)]]


def test_what_is_written_goes_on_from_what_was_given():
    prompt, drawn = EVENTS.encode("Bar"), EVENTS.encode("Position_0 Pitch_60 Bar Bar")
    for stops, text, count in (
        ((), " Position_0 Pitch_60 Bar Bar", 4),
        ((" Bar",), " Position_0 Pitch_60", 2),
    ):
        grown, whole = (Writing(EVENTS, 1, 4, stops, given=prompt) for _ in range(2))
        shown = [piece for token in drawn for _, piece in grown.add([[token]])]
        whole.finish(0, drawn, stopped=False)
        assert "".join(shown) == text == whole.texts[0].text
        assert whole.texts[0].count == grown.texts[0].count == count
        assert whole.texts == grown.texts


def test_a_letter_that_was_given_by_half_is_not_shown_again():
    first, *rest = "\U0001f600a".encode()
    for size in range(1, 5):
        writing = Writing(Bytes(), 2, 9, (), given=[98, first, *rest[: size - 1]])
        assert [writing.add([[byte]] * 2) for byte in rest[size - 1 :]][-1] == [(0, "a"), (1, "a")]
        assert writing.texts[0].text == "a"
    ended = Letters("ab", marks=(END,))
    assert Reading(ended, [0, 2, 1]).add(0) == "a"


def test_the_tokens_of_a_text_are_those_that_were_drawn():
    writing = Writing(Bytes(), 1, 16, ())
    writing.finish(0, [0x80] * 16, stopped=False)
    assert (writing.texts[0].count, len(writing.texts[0].text)) == (16, 16)


def test_a_text_of_any_bytes_reads_as_at_once_and_few_of_them_again(monkeypatch):
    dice, read, text_of = random.Random(0), [], Bytes._text
    noise = dice.randbytes(300) + bytes([0x80] * 3 * UNSETTLED) + "\u4e2d a".encode() * 400
    reading = Reading(Bytes())
    assert [reading.add(byte) for byte in noise] == [
        Bytes().decode(noise[:k]) for k in range(1, len(noise) + 1)
    ]
    monkeypatch.setattr(Bytes, "_text", lambda _, ids: read.append(len(ids)) or text_of(_, ids))
    reading = Reading(Bytes())
    for byte in "\u4e2d a".encode() * 400:
        reading.add(byte)
    assert max(read) <= 8


@pytest.mark.parametrize(
    ("lexicon", "offsets"),
    [
        (Bytes(), [0, 1, 2, 3, 4, 5, 6, 6, 7, 8]),
        (Pieces(learn_pieces(["ab cd ab cd"] * 9, 262)), [0, 2, 4, 5, 6, 6, 7, 8]),
    ],
)
def test_every_score_is_told_once_in_chunks_as_in_the_whole(lexicon, offsets):
    given = given_scores(lexicon, lexicon.encode("ab"))

    def grow() -> tuple[Told, list[dict]]:
        writing = Writing(lexicon, 1, 99, ("x",))
        told = Told(COMPLETION, "m", 1, writing, with_usage=False, with_scores=True, before=["ab"])
        told.read(0, given)
        chunks = []
        for token in lexicon.encode("ab c\u00e9 dx"):
            pieces = writing.add([[token]], [[score(lexicon.decode([token]))]])
            chunks += [told.piece(*piece)["choices"][0] for piece in pieces]
        return told, chunks

    told, chunks = grow()
    chunks += [chunk["choices"][0] for chunk in told.closing()]
    (again, _) = grow()
    again.progress = [Progress("ab", given[0])]
    (whole,) = again.whole()["choices"]
    assert "".join(chunk["text"] for chunk in chunks) == whole["text"] == "abab c\u00e9 d"
    logs = [chunk["logprobs"] for chunk in chunks if chunk["logprobs"]]
    for name, values in whole["logprobs"].items():
        assert [one for log in logs for one in log[name]] == values
    found = whole["logprobs"]
    assert len(found["tokens"]) == len(given[0]) + len(lexicon.encode("ab c\u00e9 d"))
    assert found["token_logprobs"][0] is found["top_logprobs"][0] is None
    assert found["text_offset"] == offsets


def test_texts_of_several_prompts_are_told_one_after_the_other():
    some = [Writing(LETTERS, 2, 3, ()), Writing(LETTERS, 2, 3, ())]
    told = Told(COMPLETION, "m", 5, *some, with_usage=True, with_scores=False, before=["x", "yy"])
    for writing, text in zip(some, ("aab", "bab")):
        writing.add([LETTERS.encode(text)] * 2)
    whole = told.whole()
    assert [one["text"] for one in whole["choices"]] == ["xaab", "xaab", "yybab", "yybab"]
    assert [one["index"] for one in whole["choices"]] == [0, 1, 2, 3]
    assert whole["usage"]["completion_tokens"] == 12
