"""Personal data: check digits by published numbers, kinds, spans and redaction."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from genloom.errors import BadInput
from genloom.safety.policy.personal import KINDS, Personal, find, luhn, redact, resident_check
from genloom.safety.policy.verdict import Verdict

CARDS = [
    "4111111111111111", "4012888888881881", "4222222222222", "5555555555554444",
    "2223003122003222", "378282246310005", "6011111111111117", "3530111333300000",
    "30569309025904", "6200000000000005", "4111 1111 1111 1111", "3782-822463-10005",
]  # fmt: skip
RESIDENTS = [
    "11010519491231002X",
    "440524188001010014",
    "11010519491231002x",
    "110105 19491231 002X",
]


@pytest.mark.parametrize("number", [*CARDS, "79927398713"])
def test_luhn_of_known_numbers_and_of_each_wrong_last_digit(number):
    digits = "".join(filter(str.isdigit, number))
    right = [d for d in "0123456789" if luhn(digits[:-1] + d)]
    assert right == [digits[-1]]


def test_luhn_finds_all_single_errors_and_swaps_but_09():
    digits = "4012888888881881"
    for i in range(len(digits)):
        for d in "0123456789":
            assert luhn(digits[:i] + d + digits[i + 1 :]) == (d == digits[i])
    assert not luhn("4102888888881881")


@pytest.mark.parametrize("number", RESIDENTS[:2])
def test_resident_check_digit_of_the_standards_examples(number):
    assert resident_check(number[:17]) == number[17]


def test_resident_check_finds_every_single_error():
    number = "11010519491231002X"
    for i in range(17):
        for d in "0123456789":
            wrong = number[:i] + d + number[i + 1 : 17]
            assert (resident_check(wrong) == "X") == (d == number[i])


KNOWN = {
    "card": CARDS,
    "resident_id": RESIDENTS,
    "email": ["a@b.co", "first.last+tag@mail.example.com", "x_y%z@a-b.cn"],
    "cn_mobile": ["13812345678", "+86 138-1234-5678", "86 13812345678", "008619912345678"],
    "phone": ["+14155552671", "+44 20 7946 0958", "+1 (415) 555-2671", "0044 20 79460958"],
    "ipv4": ["8.8.8.8", "192.168.1.20", "255.255.255.255"],
    "ipv6": ["2001:db8::1", "fe80::1ff:fe23:4567:890a", "::ffff:8.8.8.8", "2001:0db8:0:0:0:0:2:1"],
}


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in KNOWN.items() for text in texts]
)
def test_kinds_in_words_and_in_chinese(kind, text):
    for before, after in (("", ""), ("to ", ", ok."), ("\u8054\u7cfb", "\u8c22\u8c22")):
        (found,) = find(before + text + after)
        assert (found.kind, found.start, found.end) == (kind, len(before), len(before + text))


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112", "0000000000000000", "1234567812345670", "41111111111111111111",
        "110105194912310021", "11010519491331002X", "99010519491231002X", "1" * 18,
        "a@b", "@example.com", "user@host.", "1@2.3",
        "12812345678", "138123456789", "1381234567", "+123", "2024-12-31", "3.14159265358979",
        "256.1.1.1", "1.2.3", "1.2.3.4.5", "127.0.0.1", "0.0.0.0",
        "12:30:45", "std::vector", "a::b", "::1", "::", "cafe::", "1:2:3:4:5:6:7:8:9",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_alone(text):
    assert find(f"see {text} here") == []


def test_disguised_digits_are_digits_and_spans_are_those_of_the_text_given():
    text = "\u2460 \uff11\uff13\uff18\u200b\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668!"
    (found,) = find(text)
    assert found.kind == "cn_mobile" and text[found.start : found.end] == text[2:-1]
    arabic = "4111111111111111".translate({ord("0") + i: 0x660 + i for i in range(10)})
    assert [f.kind for f in find(arabic)] == ["card"]


def test_redaction_names_kinds_and_keeps_the_rest():
    text = "Mail a@b.co or 13812345678; card 4111 1111 1111 1111."
    assert redact(text) == "Mail [email] or [cn_mobile]; card [card]."
    assert redact(text, ["email"]) == "Mail [email] or 13812345678; card 4111 1111 1111 1111."
    assert redact("nothing") == "nothing" and find(redact(text)) == []


def test_random_numbers_are_seldom_taken_for_a_resident_or_a_card():
    draw = random.Random(0)
    texts = ["".join(draw.choices("0123456789", k=k)) for k in (16, 18) for _ in range(3000)]
    kinds = [found.kind for text in texts for found in find(text)]
    assert kinds.count("resident_id") < 5
    assert kinds.count("card") < 0.07 * len(texts)  # a tenth by Luhn, of the known issuers


def test_hostile_texts_take_linear_time():
    for text in (
        "a." * 10_000 + "@",
        "a@" + "b." * 10_000,
        "1 " * 10_000,
        ":" * 20_000,
        "+1" * 9999,
    ):
        start = time.process_time()
        find(text)
        assert time.process_time() - start < 1


def test_the_filter_tells_kinds_but_no_data():
    found, clean, other = Personal(Path(), kinds=["email", "card"], verdict="hold").check(
        ["x@y.org 4111111111111111", "hello", "13812345678"]
    )
    assert found.verdict is Verdict.HOLD and found.reason == "personal data: card, email"
    assert found.spans == ((0, 7), (8, 24))
    assert clean.verdict is other.verdict is Verdict.ALLOW
    with pytest.raises(BadInput, match=r"no kind 'emial'.*did you mean 'email'"):
        Personal(Path(), kinds=["emial"])
    assert set(KINDS) >= {"email", "phone", "cn_mobile", "resident_id", "card", "ipv4", "ipv6"}
