"""Records and media types: what is told of an item, and of what type it is."""

from __future__ import annotations

import hashlib

import pytest

from genloom.errors import BadInput
from genloom.safety.marks.media import agreed, sniff
from genloom.safety.marks.record import Record
from tests.unit.safety.marks.conftest import FILES

ENTRY = {
    "genloom": "0.1.0",
    "model": "ab" * 32,
    "seed": "7",
    "label": "3",
    "options": '{"steps": 32}',
    "batch": "4",
    "threads": "2",
    "recipe": "[data]\nsource = 'my private folder'\n",
}


def test_a_record_holds_hashes_and_no_text_of_the_recipe():
    record = Record.of(ENTRY)
    assert record.recipe == hashlib.sha256(ENTRY["recipe"].encode()).hexdigest()
    assert "private" not in str(record.told())
    assert record.told()["seed"] == "7"


def test_the_number_depends_on_what_makes_the_item_and_on_nothing_else():
    number = Record.of(ENTRY).id
    assert Record.of(ENTRY, producer="other", made="2026-01-01").id == number
    assert Record.of({**ENTRY, "batch": "1", "threads": "9"}).id == number
    for name, value in {"seed": "8", "label": "4", "options": "{}", "model": "cd" * 32}.items():
        assert Record.of({**ENTRY, name: value}).id != number
    assert Record.of(ENTRY).payload == int(number[:8], 16) < 2**32


@pytest.mark.parametrize(
    "bad",
    [
        {"model": "ab"},
        {"model": "AB" * 32},
        {"producer": "My Company"},
        {"producer": 'a"b'},
        {"producer": "a\\b"},
        {"producer": "\u516c\u53f8"},
        {"seed": "7\n"},
        {"made": "yesterday"},
    ],
)
def test_values_that_cannot_stand_in_a_label_are_refused(bad):
    with pytest.raises(BadInput):
        Record(**{"model": "ab" * 32, "seed": "7"} | bad)


@pytest.mark.parametrize("kind", FILES)
def test_the_type_is_told_by_the_bytes(kind):
    found = sniff(FILES[kind])
    assert found == (kind if not kind.startswith(("text", "app")) else "text/plain")
    assert agreed(FILES[kind], kind.upper() + "; charset=utf-8") == kind


@pytest.mark.parametrize("data", [b"\x93NUMPY\0", b"MThd\0\0\0\6", b"text\0", b"\xff\xfe"])
def test_other_bytes_are_no_text(data):
    assert sniff(data) == "application/octet-stream"
    with pytest.raises(BadInput, match="no UTF-8 text"):
        agreed(data, "text/plain")


def test_a_wrong_name_is_refused_in_both_directions():
    with pytest.raises(BadInput, match="image/png by its bytes"):
        agreed(FILES["image/png"], "image/jpeg")
    with pytest.raises(BadInput, match="image/png by its bytes"):
        agreed(FILES["image/png"], "application/octet-stream")
    with pytest.raises(BadInput, match="text/plain by its bytes"):
        agreed(b"hello", "image/png")
    assert agreed(FILES["audio/wav"], "audio/x-wav") == "audio/wav"
