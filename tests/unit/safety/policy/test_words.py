"""Words: disguised spellings are found, innocent neighbours are not, and patterns end in time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from genloom.errors import BadInput
from genloom.safety.policy.folding import fold, normal
from genloom.safety.policy.patterns import Patterns
from genloom.safety.policy.verdict import Verdict
from genloom.safety.policy.words import Words

WORDS = [
    "killer", "bomb", "gun", "ass", "hell", "shell game", "blow it up", "kill",
    "\u6740\u4eba", "\u6cd5\u8f6e\u529f", "\u30ab\u30d0", "\u0915",
    "\u0443\u0431\u0438\u0439\u0446\u0430", "\u03c6\u03cc\u03bd\u03bf\u03c2",
]  # fmt: skip
UNLESS = ["\u6740\u4eba\u6e38\u620f"]
HERE = Path(__file__).parent


def rows() -> list[tuple[bool, str]]:
    lines = (HERE / "spellings.txt").read_text("ascii").splitlines()
    parts = [line.split(" | ", 1) for line in lines if line[:1] in "+-"]
    return [(sign == "+", text.encode().decode("unicode_escape")) for sign, text in parts]


@pytest.fixture(scope="module")
def words():
    return Words(HERE, words=WORDS, unless=UNLESS)


@pytest.mark.parametrize(("found", "text"), rows(), ids=lambda v: ascii(v)[:40])
def test_spellings(words, found, text):
    (outcome,) = words.check([text])
    assert (outcome.verdict is Verdict.REFUSE) == found
    assert bool(outcome.spans) == found


def test_the_table_is_long_and_has_both_sides():
    table = rows()
    assert len(table) >= 60 and sum(not found for found, _ in table) >= 20


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("xx k\u0301i\u200bller yy", "k\u0301i\u200bller"),
        ("a k i l l e r b", "k i l l e r"),
        ("\uff4b1ller!", "\uff4b1ller"),
        ("\u4ed6 \u6740 * \u4eba", "\u6740 * \u4eba"),
    ],
)
def test_spans_lie_in_the_text_as_given(words, text, seen):
    (outcome,) = words.check([text])
    assert [text[a:b] for a, b in outcome.spans] == [seen]


def test_disguises_count_only_where_they_are_asked_for():
    plain = Words(HERE, words=WORDS, leet=False, spaced=False)
    texts = ["k1ller", "k i l l e r", "kiiiiller", "\u043ailler", "killer"]
    assert [bool(o.spans) for o in plain.check(texts)] == [False, False, False, True, True]


def test_a_reason_repeats_nothing_of_the_text(words):
    (outcome,) = words.check(["killer'; DROP TABLE <script>{{7*7}}$(id)\n"])
    assert outcome.reason == "a listed word or pattern was found"


def test_words_come_from_a_file_too(tmp_path):
    (tmp_path / "words.txt").write_text("# remark\n\nbomb\n\u6740\u4eba\n", "utf-8")
    found = Words(tmp_path, file="words.txt", verdict="hold").check(["a b0mb", "remark"])
    assert [o.verdict for o in found] == [Verdict.HOLD, Verdict.ALLOW]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no words"),
        ({"words": ["\u200b"]}, "nothing visible"),
        ({"words": [3]}, "holds 3"),
        ({"file": "absent.txt"}, "no file"),
        ({"patterns": ["("]}, "not a regular expression"),
        ({"patterns": ["x*"]}, "matches all texts"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, options, message):
    with pytest.raises(BadInput, match=message):
        Words(tmp_path, **options)


def test_patterns_see_the_text_as_given_and_folded():
    filter = Words(HERE, patterns=[r"\bkill(er|ing)s?\b", "\u0443\u0431\u0438[\u0432\u0442]"])
    texts = ["\u043aILLING", "\u0423\u0411\u0418\u0422\u042c", "kill", "x ki\u0301llers"]
    assert [o.spans for o in filter.check(texts)] == [((0, 7),), ((0, 4),), (), ((2, 10),)]
    filter.close()


def test_a_catastrophic_pattern_is_ended_and_the_next_call_works():
    patterns = Patterns([r"(a|a)*b", r"(x+x+)+y"], limit_s=0.3)
    assert patterns.find(["zb"]) == [(0, 0, 1, 2)]
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
        patterns.find(["a" * 60])
    with pytest.raises(TimeoutError):
        patterns.find(["x" * 60])
    assert time.monotonic() - start < 5
    assert patterns.find(["zb"]) == [(0, 0, 1, 2)]
    patterns.close()


def test_a_killed_pattern_process_is_started_again():
    patterns = Patterns(["ab"])
    assert patterns.find(["cab"]) == [(0, 0, 1, 3)]
    assert patterns._process is not None
    patterns._process.kill()
    patterns._process.wait()
    assert patterns.find(["cab\n\ud800"]) == [(0, 0, 1, 3)]
    patterns.close()


def test_folding_keeps_marks_that_are_letters_and_knows_the_way_back():
    assert fold("\u0e01\u0e33").text == "\u0e01\u0e4d\u0e32"
    assert fold("\u30cf\u3099").text == "\u30d0"
    assert fold("\u1112\u1161\u11ab").text == "\ud55c"
    assert fold("STRASSE").text == fold("stra\u00dfe").text
    folded = fold("\ufb01x\u0301\u200b!")
    assert folded.text == "fix!"
    assert [folded.span(i, i + 1) for i in range(4)] == [(0, 1), (0, 1), (1, 3), (4, 5)]
    assert normal("E\u0301\uff11\u200b").text == "\u00c91"


def test_a_long_text_takes_no_long_time(words):
    for text in ("k " * 10_000, "k" * 20_000, "." * 20_000, "a.1" * 6_000, "\u0301" * 20_000):
        start = time.process_time()
        words.check([text])
        assert time.process_time() - start < 2
