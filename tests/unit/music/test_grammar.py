"""The grammar of scores: `decode` uses all that may come, and what `encode` writes may come."""

from __future__ import annotations

import itertools
import random

import pytest
import torch

from genloom.decoding.constraints import Strict
from genloom.errors import BadInput
from genloom.music.events import decode, encode
from genloom.music.grammar import Events, State
from genloom.music.notes import TRACKS
from tests.unit.music.test_events import TRIO, VOCABULARY, streams

LEFT = 10**6
SMALL = ["Bar", "Meter_1/16", "Position_0", "Position_2", "Position_3", "Tempo_90", "Pitch_60"]
SMALL += ["Track_0", "Track_1", "Program_5", "Drums", "Velocity_3", "Duration_6"]


def drawn(words: list[str], left: int, dice: random.Random, prompt: str = "") -> list[str]:
    """What follows a prompt by even chances; a text has an end, the last number."""
    given = [words.index(word) for word in prompt.split()]
    strict, found = Strict(Events(words), left, len(words) + 1, len(words), given), []
    while (mask := strict.allowed()) is not None:
        token = dice.choice(mask.nonzero()[:, 0].tolist())
        assert strict.take(token, lambda _: None) == token  # exact: nothing is refused later
        found += [words[token]] if token < len(words) else []
    return found


def check(words: list[str]) -> None:
    """All words have their effect, in order; a note is put behind them, for tempos need one."""
    whole = [*words, "Bar", "Position_0", "Pitch_1", "Duration_1"]
    score = decode(" ".join(whole))
    count = {kind: sum(w.startswith(kind) for w in words) for kind in ("Duration", "Tempo", "Met")}
    assert sum(len(track.notes) for track in score.tracks) == count["Duration"] + 1
    for found, given in ((score.tempos, count["Tempo"]), (score.meters, count["Met"])):
        assert len(found) - given in (0, 1)  # the first one holds from the beginning, said or not
    first = next(w for w in whole if w.startswith(("Track", "Pitch")))  # else it is track 0
    numbers = {int(w[6:]) for w in words if w.startswith("Track")}
    numbers = sorted(numbers if first.startswith("Track") else numbers | {0})
    for track, told in itertools.pairwise(words):
        if told == "Drums" or told.startswith("Program"):
            made = score.tracks[numbers.index(int(track[6:]))]
            assert made.drum if told == "Drums" else made.program == int(told[8:])
    for bar in " ".join(words).split("Bar"):
        places = [int(w[9:]) for w in bar.split() if w.startswith("Position")]
        assert places == sorted(set(places))
    assert not words or words[-1] == "Bar" or words[-1].startswith("Duration")


@pytest.mark.parametrize("left", [1, 2, 5, 60])
def test_decode_uses_every_word(left):
    dice, vocabulary = random.Random(left), list(dict.fromkeys(VOCABULARY))
    texts = [drawn(vocabulary, left, dice) for _ in range(75)]
    for words in texts:
        assert 1 <= len(words) <= left
        check(words)
    assert len({" ".join(words) for words in texts}) > left / 3


def test_a_small_vocabulary_is_used_without_a_mistake():
    """Where bars are short and pitches few, most words are soon out of place."""
    dice = random.Random(0)
    texts = [drawn(SMALL, 40, dice) for _ in range(150)]
    for words in texts:
        check(words)
    assert set(itertools.chain.from_iterable(texts)) == set(SMALL)


def test_all_that_encode_writes_may_come():
    vocabulary = sorted({w for text in (*streams(60, 90), encode(TRIO)) for w in _words(text)})
    form = Events(vocabulary)
    for text in (*streams(60, 90), encode(TRIO)):
        state = form.start(LEFT)
        for word in _words(text):
            token = vocabulary.index(word)
            assert form.allowed(state, LEFT)[token], (word, state, text)
            state = form.advance(state, token, LEFT)
        assert form.complete(state) or "Pitch" not in " ".join(_words(text))


def _words(text: str) -> list[str]:
    return encode(decode(text)).split()


def test_what_is_allowed_is_what_can_still_end():
    form = Events(SMALL)

    def ends(state: State, left: int) -> bool:
        if form.complete(state):
            return True
        tokens = form.allowed(state, LEFT).nonzero()[:, 0].tolist() if left else []
        return any(ends(form.advance(state, token, LEFT), left - 1) for token in tokens)

    dice, states = random.Random(0), [form.start(LEFT)]
    for _ in range(60):
        tokens = form.allowed(states[-1], LEFT).nonzero()[:, 0].tolist()
        states.append(form.advance(states[-1], dice.choice(tokens), LEFT))
    for state, left in itertools.product(states, (1, 2, 3)):
        could, can = form.allowed(state, LEFT), form.allowed(state, left)
        for token in range(len(SMALL)):
            after = form.advance(state, token, LEFT) if could[token] else None
            assert bool(can[token]) == (after is not None and ends(after, left - 1))
        nearest = form.nearest(state)
        assert (nearest is None) == form.complete(state)
        assert nearest is None or could[nearest]


def test_a_prompt_goes_on_in_its_meter_position_and_tracks():
    form = Events(SMALL)

    def after(text: str) -> set[str]:
        state = form.start(9, [SMALL.index(word) for word in text.split()])
        return {SMALL[i] for i in form.allowed(state, 9).nonzero()[:, 0].tolist()}

    opened = "Bar Meter_1/16 Position_0 Track_1 Program_5 Pitch_60 Duration_6"
    assert after(opened) == {"Bar", "Position_2", "Track_0"}  # Pitch_60 is struck, a bar has 3
    assert after("Bar Position_0 Tempo_90 Meter_1/16") >= {"Position_3"}  # too late for a meter
    assert after(f"{opened} Position_2 Track_1") == {"Velocity_3", "Pitch_60"}  # it has a program
    assert after("Bar Position_0 Pitch_60 Bar") == {"Bar", "Meter_1/16"} | {
        word for word in SMALL if word.startswith("Position")
    }
    assert after("Pitch_60 Meter_1/16 Duration_6") != after("Pitch_60 Duration_6")


def _notes(text: str) -> int:
    return sum(len(track.notes) for track in decode(text).tracks)


@pytest.mark.parametrize("left", [3, 4, 40])
def test_every_note_after_a_prompt_of_any_words_is_heard(left):
    dice, odd = random.Random(left), [*SMALL, "Foo"]
    many = [*SMALL[:7], *(f"Track_{i}" for i in range(17)), "Drums", "Velocity_3", "Duration_6"]
    for words in (odd, many):
        for _ in range(120):
            prompt = dice.choices(words, k=dice.randrange(60))
            if words is many:  # of so many tracks that some are not kept
                tracks = dice.sample(words[7:24], 17 - dice.randrange(4))
                prompt = ["Bar", *(w for one in tracks for w in (one, "Pitch_60", "Duration_6"))]
                prompt += dice.choices(words, k=dice.randrange(4))
            told = " ".join(prompt)
            found = drawn(words, left, dice, told)
            whole = " ".join([*prompt, *found])
            struck = sum(word.startswith("Duration") for word in found)
            assert _notes(whole) == _notes(told) + struck, (told, found)
            assert found == [] or found[-1] == "Bar" or found[-1].startswith("Duration")


def test_where_a_prompt_has_begun_a_note_that_cannot_be_it_goes_on_with_another():
    words = ["Bar", "Position_0", "Position_12", "Pitch_60", "Duration_6"]
    words += [f"Track_{i}" for i in range(20)]
    form = Events(words)

    def after(text: str) -> set[str]:
        state = form.start(9, [words.index(word) for word in text.split()])
        assert not form.complete(state)
        nearest = form.nearest(state)
        found = {words[i] for i in form.allowed(state, 9).nonzero()[:, 0].tolist()}
        assert nearest is not None and words[nearest] in found
        return found

    struck = "Bar Position_0 Track_0 Pitch_60 Duration_6"
    others = {f"Track_{i}" for i in range(1, 20)}
    assert after(f"{struck} Track_0") == {"Bar", "Position_12"} | others
    assert after(f"{struck} Track_0 Pitch_60") == {"Bar", "Position_12"} | others
    assert after(f"{struck} Position_12 Position_0") == others  # no tempo may come
    full = "Bar Position_0 " + " ".join(f"Track_{i} Pitch_60 Duration_6" for i in range(TRACKS))
    for more in ("Track_19", "Track_19 Pitch_60"):
        assert after(f"{full} {more}") == {"Bar", "Position_12"}
    over = full.replace("Track_0 ", "Track_19 ")  # of 1 to 14 and 19 all are kept
    assert after(f"{over} Position_12") == {"Pitch_60"} | {f"Track_{i}" for i in range(1, 14)} | {
        "Track_19"
    }
    assert "Track_19" not in after(f"{over} Track_0 Pitch_60 Duration_6 Position_12")


def test_no_more_tracks_play_than_are_kept():
    words = ["Bar", "Position_0", "Pitch_60", "Duration_6", *(f"Track_{i}" for i in range(20))]
    form, state = Events(words), None
    played = [word for i in range(TRACKS) for word in (f"Track_{i}", "Pitch_60", "Duration_6")]
    state = form.start(9, [words.index(word) for word in ("Bar", "Position_0", *played)])
    assert len(state.pitched) == TRACKS
    assert not form.allowed(state, 9)[words.index("Track_15") :].any()


def test_a_vocabulary_without_music_is_refused():
    with pytest.raises(BadInput, match="allow more tokens"):
        Events(["Pitch_60", "Duration_6"]).start(99)
    assert Events(["Bar", "Position_0", "Pitch_60"]).allowed(State(), 9).tolist() == [
        True,
        False,
        False,
    ]
    assert torch.equal(Events(["Bar", "Pitch_128", "Position_0"]).kinds, torch.tensor([1, 0, 3]))
