"""Regular expressions and JSON schemas: models that know nothing write nothing else."""

from __future__ import annotations

import json
import random
import re
from functools import partial

import jsonschema
import pytest
import torch

from genloom.core import Rng, Tokens
from genloom.decoding.grammars import ENDS, Reader, grammar
from genloom.decoding.spelling import spelling
from genloom.errors import BadInput
from genloom.lexicon import END, Bytes, Letters, Lexicon, Pieces, learn_pieces
from genloom.models.autoregressive import Autoregressive
from genloom.nets.transformer import Transformer

ASCII = "".join(map(chr, range(32, 127)))
WORDS = ['{"name": "ab", "age": 12}', "[true, false, null]", "abc abc bca cab", "01-02 2024 é ü 語"]
RULES = learn_pieces(WORDS * 3, 300)
LEXICONS = {
    "letters": Letters(ASCII, marks=(END,)),
    "running": Letters(ASCII),
    "bytes": Bytes(marks=("user", END)),
    "pieces": Pieces(RULES, marks=(END,)),
}
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["a", "bc"]}, "minItems": 1, "maxItems": 3},
        "more": {"$ref": "#/$defs/node"},
    },
    "required": ["name", "age", "more"],
    "additionalProperties": False,
    "$defs": {
        "node": {
            "anyOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "properties": {"next": {"$ref": "#/$defs/node"}},
                    "required": ["next"],
                    "additionalProperties": False,
                },
            ]
        }
    },
}
SCHEMAS = [
    PERSON,
    {"type": "object"},
    {"type": "number"},
    {"type": "string", "pattern": "^[a-c]{2,}x$"},
    {"const": {"a": [1, None, "é"]}},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
]


def texts(
    lexicon: Lexicon, kind: str, source: str, length: int, n: int = 6, **options
) -> list[str]:
    torch.manual_seed(0)
    space = Tokens((length,), lexicon.vocab, lexicon.end)
    net = partial(Transformer, width=16, layers=1, heads=1)
    model = Autoregressive(space, {}, net=net).eval()
    rows = model.decoding(n)
    given = torch.zeros(n, 0, dtype=torch.long)
    joined = rows.join(
        Rng(range(n)), {}, given, constraint=grammar(lexicon, kind, source), **options
    )
    ends = [length] * n
    for i in range(length):
        rows.step()
        for k, row in enumerate(joined):
            if row.over and ends[k] == length:
                ends[k] = i
    return [lexicon.decode(x[:end]) for x, end in zip(rows.data(0, n).tolist(), ends, strict=True)]


def expression(dice: random.Random, depth: int = 3) -> str:
    """A regular expression of any kind that both engines read alike."""
    if depth == 0:
        return dice.choice(("a", "b", "0", r"\.", "[a-c]", "[^a]", r"[0-9]", "é", "."))
    parts = [expression(dice, depth - 1) for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.3:
        return "(" + "|".join(parts) + ")"
    return "(" + "".join(parts) + ")" + dice.choice(("", "", "*", "+", "?", "{2,3}"))


@pytest.mark.parametrize("name", LEXICONS)
def test_every_text_matches_its_expression(name):
    dice, lexicon = random.Random(1), LEXICONS[name]
    matched = refused = 0
    for _ in range(20):
        source = expression(dice)
        try:
            found = texts(lexicon, "regex", source, length=24, n=3)
        except BadInput:  # it is longer, or needs a letter that the lexicon has not
            refused += 1
            continue
        assert all(re.fullmatch(source, text, re.DOTALL) for text in found), (source, found)
        matched += len(set(found))
    assert matched > 25 and refused < 12


@pytest.mark.parametrize("name", LEXICONS)
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: str(schema)[:20])
def test_every_text_is_json_of_its_schema(name, schema):
    if name in ("letters", "running") and "const" in schema:
        with pytest.raises(BadInput, match="that the model's tokens can write"):
            texts(LEXICONS[name], "json_schema", json.dumps(schema), length=60)
        return
    for text in texts(LEXICONS[name], "json_schema", json.dumps(schema), length=70):
        jsonschema.validate(json.loads(text), schema)


def test_options_and_length_leave_the_form_alone():
    source = r"[a-z]{2,}@[a-z]{3,}\.(com|org)"
    for options in ({"temperature": 0.0}, {"top_k": 1}, {"frequency_penalty": 2.0}, {"most": 12}):
        for text in texts(LEXICONS["bytes"], "regex", source, length=30, **options):
            assert re.fullmatch(source, text) and len(text) <= options.get("most", 30)
    tight = texts(LEXICONS["bytes"], "regex", source, length=30, most=10)
    assert all(len(text) == 10 and re.fullmatch(source, text) for text in tight)


def test_the_bytes_of_pieces_are_those_of_their_texts():
    lexicon = LEXICONS["pieces"]
    spelled = spelling(lexicon)
    assert len(spelled) == lexicon.letters and len(set(spelled)) == len(spelled)
    for text in (*WORDS, "\n\t\x00 zzz ß 語"):
        ids = lexicon.encode(text)
        assert b"".join(spelled[i] for i in ids) == text.encode()


@pytest.mark.parametrize(
    ("kind", "source", "message"),
    [
        ("regex", "(a", "unclosed group"),
        ("regex", "(?=a)b", "look-around"),
        ("regex", r"\bx", "lookarounds"),
        ("json_schema", "{", "not JSON"),
        ("json_schema", "[]", "an object"),
        ("json_schema", '{"type": "strin"}', "Invalid type"),
        ("json_schema", '{"type": "string", "not": {"const": "x"}}', "Unimplemented keys"),
        ("json_schema", '{"$ref": "http://localhost/x"}', "not present"),
        ("lark", "start: x", "one of regex, json_schema"),
        ("regex", "a" * 70000, "at most"),
        ("regex", "a\ud800", "surrogate"),
        ("json_schema", '{"const": "\\ud800"}', "cannot be used"),
    ],
)
def test_a_bad_form_is_one_clear_line(kind, source, message):
    with pytest.raises(BadInput, match=message) as caught:
        grammar(LEXICONS["bytes"], kind, source)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_form_that_takes_too_much_work_is_one_clear_line():
    form = grammar(LEXICONS["bytes"], "regex", "(a{1000}){1000}")
    for _ in range(2):
        with pytest.raises(BadInput, match="too much work") as caught:
            form.start(2047)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("source", ["([a-y]z){800}", "[a-z]{2000}"])
def test_a_long_way_to_an_end_is_kept_in_few_looks(source, monkeypatch):
    looks, whole = [], Reader.at
    monkeypatch.setattr(Reader, "at", lambda self, tokens: looks.append(1) or whole(self, tokens))
    form, dice = grammar(LEXICONS["bytes"], "regex", source), random.Random(0)
    state, text = form.start(2047), []
    looks.clear()
    for left in range(2046, 1946, -1):
        text.append(dice.choice(form.allowed(state, left + 1).nonzero().flatten().tolist()))
        state = form.advance(state, text[-1], left)
        assert state is not None
    assert len(looks) < 100 * 4 * ENDS
    assert re.fullmatch(source, bytes([*text, *state.closing]).decode())


def test_the_way_from_the_beginning_is_searched_once(monkeypatch):
    form, left = grammar(LEXICONS["bytes"], "regex", "[ab]{7}"), []
    whole = form._closing
    monkeypatch.setattr(form, "_closing", lambda *args: left.append(args[-1]) or whole(*args))
    states = [form.start(size) for size in (9, 9, 8, 9)]
    assert left == [9, 8] and len({id(state.reader) for state in states}) == 4


def test_searches_end_with_the_effort_of_a_text_and_then_it_goes_the_known_way():
    form = grammar(LEXICONS["bytes"], "regex", "[0-9]|ab*y")
    state, a = form.start(9), ord("a")
    assert form.advance(state, a, 8) is not None
    spent = form.start(9)._replace(reader=Reader(form.first.deep_copy(), effort=0))
    assert form.advance(spent, a, 8) is None
    after = form.advance(spent, form.nearest(spent), 8)
    assert after is not None and form.complete(after)


def test_a_matcher_that_fails_under_way_leaves_the_known_way():
    form = grammar(LEXICONS["bytes"], "regex", "[a-c]{3}")
    state = form.start(9)
    state.reader.matcher.consume_token(ord("z"))  # it fails from now on
    for _ in range(3):
        (only,) = form.allowed(state, 9).nonzero().flatten().tolist()
        assert only == form.nearest(state) and not form.complete(state)
        assert form.advance(state, only + 1, 8) is None
        state = form.advance(state, only, 8)
        assert state is not None
    assert form.complete(state) and not form.allowed(state, 6).any()


def test_special_pieces_are_in_no_text():
    no = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added = [{"id": 0, "content": "!", "special": True, **no}]
    special = Pieces(json.dumps(json.loads(RULES) | {"added_tokens": added}), marks=(END,))
    assert spelling(special)[0] == b"" != spelling(LEXICONS["pieces"])[0]
    assert not grammar(special, "regex", ".+").allowed(grammar(special, "regex", ".+").start(9), 9)[
        0
    ]


def test_a_tokenizer_of_no_bytes_is_refused():
    told = json.loads(RULES) | {"decoder": {"type": "Metaspace"}}
    with pytest.raises(BadInput, match="ByteLevel"):
        grammar(Pieces(json.dumps(told)), "regex", "a")
