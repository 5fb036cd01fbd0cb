"""The benchmarks of prompts and of long rows: what their figures are made of."""

from __future__ import annotations

import datetime
import json
import math
import random

import pytest
import torch
from benchmarks.long_context import late
from benchmarks.seq2seq import (
    TASKS,
    answered,
    asked,
    bigram,
    exact,
    nats,
    nearest,
    parted,
    words,
    written,
)

from genloom import artifact, runs
from genloom.core import Tokens
from genloom.models.autoregressive import Autoregressive
from genloom.nets.transformer import Transformer


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (80, "eighty"),
        (101, "one hundred and one"),
        (312, "three hundred and twelve"),
        (1000, "one thousand"),
        (2040, "two thousand and forty"),
        (9999, "nine thousand nine hundred and ninety-nine"),
    ],
)
def test_numbers_in_words(number, said):
    assert words(number) == said


def test_the_tasks_have_an_answer_for_each_prompt():
    found = dict(TASKS["numbers"](random.Random(0)))
    assert len(found) == 10_000 and found["seventy-one"] == "71"
    dates = list(TASKS["dates"](random.Random(0)))[:200]
    forms = ("%d %B %Y", "%B %d, %Y", "%d.%m.%Y", "%m/%d/%Y", "%b %d %Y", "%d-%b-%Y", "%Y %B %d")
    used = set()
    for prompt, answer in dates:
        read = {form: day for form in forms if (day := dated(prompt, form)) is not None}
        assert answer in read.values(), prompt
        used |= read.keys()
    assert used == set(forms)


def dated(text: str, form: str) -> str | None:
    """A date in ISO 8601, if it is written so."""
    try:
        return datetime.datetime.strptime(text, form).date().isoformat()
    except ValueError:
        return None


def test_parts_share_no_prompt_and_the_test_has_no_letter_of_its_own():
    pairs = [(f"{i} {chr(65 + i % 26)}", str(i)) for i in range(200)]
    parts = parted(iter([*pairs, ("only here: \u00e9", "1")]), random.Random(1))
    prompts = [prompt for part in parts.values() for prompt, _ in part]
    assert len(set(prompts)) == len(prompts) and len(parts["test"]) == 20
    letters = set("".join(a + b for a, b in parts["train"]))
    assert letters.issuperset("".join(a + b for a, b in parts["test"]))


def test_floors_are_what_they_say():
    train = [("abcd", "1"), ("wxyz", "2"), ("abxy", "3")]
    assert nearest(train, ["abce", "vxyz"]) == ["1", "2"]
    told = exact(["1", "2", "x", "4"], [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")])
    assert told["exact"] == 0.75 and told["interval"][0] < 0.75 < told["interval"][1] < 1
    alike = bigram([("", "aa")] * 1000, [("", "aa")])
    assert alike == pytest.approx(math.log(2), abs=0.05)  # after an a: another, or the end


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    """A model of one letter that comes again, and pairs."""
    folder = tmp_path_factory.mktemp("answers")
    pairs = [(a + b, a) for a in "abcd" for b in "efgh"]
    parts = {"train": pairs, "valid": pairs[:2], "test": pairs}
    length = written(parts, folder / "pairs.jsonl")
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    assert len(rows) == 18 and rows[0]["completion"] == "a" and length == 6
    small = {"use": "transformer", "width": 32, "layers": 1}
    recipe = {
        "data": {"source": str(folder / "pairs.jsonl"), "length": length, "test": 0.0},
        "model": {"use": "autoregressive", "net": small, "learned": "answers"},
        "train": {"batch": 16, "threads": 1},
    }
    runs.train(recipe, out=folder / "run", steps=120, quiet=True)
    return artifact.load(folder / "run"), pairs


@torch.no_grad()
def test_answers_are_drawn_and_judged(talks):
    made, pairs = talks
    said = answered(made, [prompt for prompt, _ in pairs])
    assert sum(one == answer for one, (_, answer) in zip(said, pairs, strict=True)) > 13
    found = nats(made, pairs)
    lexicon = made.items.lexicon
    (one,) = [[*asked(lexicon, "bf"), *lexicon.encode("b"), lexicon.end]]
    x = torch.tensor([one + [lexicon.end] * (made.model.length - len(one))])
    alone = -made.model.token_log_prob(x, {})[0, 4:6].sum().item()
    assert nats(made, [("bf", "b")]) == pytest.approx(alone, abs=1e-5)
    assert found < math.log(4)


@torch.no_grad()
def test_late_characters_are_read_once_by_long_and_short_rows():
    torch.manual_seed(0)
    long = Autoregressive(Tokens((24,), 5), {}, net=lambda *a: Transformer(*a, width=8, window=3))
    short = Autoregressive(Tokens((8,), 5), {}, net=lambda *a: Transformer(*a, width=8, window=3))
    rows = torch.randint(5, (3, 24))
    found = late(long, rows)
    torch.testing.assert_close(found, -long.token_log_prob(rows, {})[:, 12:])
    parts = late(short, rows)
    assert parts.shape == found.shape
    window = -short.token_log_prob(rows[:, 12:20], {})[:, 4:]
    torch.testing.assert_close(parts[:, 4:8], window)
