"""The form of verse: lines, couplets and rhymes of known poems; nothing where data are no verse."""

from __future__ import annotations

import pytest
import torch

from genloom.core import Items
from genloom.errors import Refused
from genloom.lexicon import END, Letters
from genloom.metrics.verse import lines, measures, verse_form, verse_rhyme

COMMA, STOP, ASK = "\uff0c\u3002\uff1f"
MARKS = COMMA + STOP
FIVE = f"abcde{COMMA}fghij{STOP}"
SEVEN = f"abcdefg{COMMA}hijklmn{ASK}\nopqrstu{COMMA}vwxyzab{STOP}"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (FIVE, 2),
        (SEVEN, 4),
        (FIVE + "\n" + FIVE + "\n", 4),
        (FIVE + f"abcde{STOP}", 0),  # three lines
        (f"abcde{COMMA}fghi{STOP}", 0),
        (f"abcd{COMMA}fghi{STOP}", 0),
        (FIVE + "klmno", 0),  # no mark closes it
        ("abcde\nfghij\n", 0),  # no marks
        ("", 0),
    ],
)
def test_form(text, count):
    assert len(lines(text)) == count


def test_the_share_in_form():
    found = verse_form([FIVE] * 30 + ["abcde"] * 10)
    assert found.value == 0.75 and 0.59 < found.low < 0.75 < found.high < 0.87
    with pytest.raises(Refused, match="at least 30"):
        verse_form([FIVE] * 29)


def poem(*closes):
    """Couplets of five that end in these characters."""
    return "".join(f"abcde{COMMA}fghi{close}{STOP}" for close in closes)


def test_rhymes_are_those_of_training_poems():
    train = [poem("x", "y", "z"), poem("p", "q"), poem("p", "q") + "broken", "xp"]
    assert verse_rhyme([poem("z", "x", "y")] * 30, train).value == 1  # places may be apart
    assert verse_rhyme([poem("x", "p", "q", "q")] * 30, train).value == pytest.approx(1 / 3)
    half = verse_rhyme([poem("x", "y"), poem("x", "q")] * 15, train)
    assert half.value == 0.5 and half.low < 0.5 < half.high and half.n == 30
    assert half.id.startswith("4 pairs")
    with pytest.raises(Refused, match="at least 30 texts in form of four lines, not 29"):
        verse_rhyme([poem("x", "y")] * 29 + [poem("x")] * 9 + ["xy"] * 9, train)


def rows(texts, about):
    found = torch.full((len(texts), about.shape[0]), about.end)
    for row, text in zip(found, texts):
        row[: len(text)] = torch.tensor(about.lexicon.encode(text))
    return found


def test_only_verse_is_held_to_a_form():
    about = Items(
        "text", (40,), lexicon=Letters("abcdefghijklmnopqrstuvwxyz \n" + MARKS, marks=(END,))
    )
    poems, prose = [poem("x", "y")] * 30, ["abcde fghij"] * 30
    verse = rows(poems, about)
    found = measures(verse, about, rows(poems + prose[:29], about))
    assert {name: take().value for name, take in found.items()} == {
        "verse_form": 1,
        "verse_rhyme": 1,
    }
    assert measures(verse, about, rows(poems + prose, about)) == {}
    running = Items("text", (40,), lexicon=Letters(about.lexicon.alphabet))
    assert measures(torch.zeros(40, 40).long(), running, torch.zeros(40, 40).long()) == {}
