"""Items as files: what other programs read is the item, and the type is one of the table."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from genloom.core import Items
from genloom.lexicon import END, Letters
from genloom.serve import media
from genloom.serve.problems import Problem
from genloom.words import Words

RECORD = {"model": "0" * 64, "seed": "3", "label": "", "options": "{}"}
GREY, COLOUR = Items("image", (1, 5, 7)), Items("image", (3, 5, 7))


@pytest.mark.parametrize("items", [GREY, COLOUR])
def test_a_png_holds_the_pixels_and_the_record(items):
    item = torch.randint(256, items.shape, dtype=torch.uint8)
    picture = Image.open(io.BytesIO(media.encode(item, items, "png", RECORD)))
    found = torch.from_numpy(np.array(picture)).view(5, 7, -1).permute(2, 0, 1)
    assert torch.equal(found, item)
    assert picture.info["seed"] == "3" and picture.info["model"] == RECORD["model"]


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_pictures_are_resized_and_of_the_format_asked_for(form):
    item = torch.full(COLOUR.shape, 200, dtype=torch.uint8)
    picture = Image.open(io.BytesIO(media.encode(item, COLOUR, form, RECORD, size=(40, 30))))
    assert (picture.format, picture.size) == (form.upper(), (40, 30))
    assert abs(np.array(picture.convert("RGB")).astype(int) - 200).max() <= 2


def test_texts_and_points_are_read_back():
    words = Items("text", (3,), lexicon=Letters("ab\u8bd7"))
    text = torch.tensor([2, 0, 1])
    assert media.encode(text, words, "txt", RECORD).decode() == "\u8bd7ab"
    told = json.loads(media.encode(text, words, "json", RECORD))
    assert told == {"text": "\u8bd7ab", "record": RECORD}
    point = torch.tensor([0.1, -2.5])
    points = Items("points", (2,))
    told = json.loads(media.encode(point, points, "json", RECORD))
    assert torch.equal(torch.tensor(told["values"]), point)
    head, row = media.encode(point, points, "csv", RECORD).decode().split()
    assert head == "x0,x1" and torch.equal(torch.tensor([float(v) for v in row.split(",")]), point)


def test_formats_are_those_of_the_kind():
    assert media.media_type("image", None) == ("png", "image/png")
    assert media.media_type("text", "json") == ("json", "application/json")
    with pytest.raises(Problem, match="text items are txt or json, not 'svg'") as refused:
        media.media_type("text", "svg")
    assert refused.value.param == "format"  # as /v1/generations calls it
    kinds = {(medium, kind) for medium, t in media.FORMATS.items() for kind in t.values()}
    assert not any("html" in kind for _, kind in kinds)
    assert {medium for medium, kind in kinds if "svg" in kind} == {"molecule"}  # our own drawings


def test_molecules_are_written_drawn_and_told_and_run_nothing():
    words = Words(("C", "O", "(", "<script>"), "smiles", marks=(END,))
    items, told = Items("text", (3,), lexicon=words), {"record": RECORD}
    sound, broken = torch.tensor([1, 0, 4]), torch.tensor([2, 3, 4])
    assert media.media_type("molecule", None) == ("smi", "chemical/x-daylight-smiles")
    assert media.encode(sound, items, "smi", RECORD) == b"CO\n"
    assert media.encode(sound, items, "txt", RECORD) == b"OC"
    found = json.loads(media.encode(sound, items, "json", RECORD))
    assert found == {"text": "OC", "smiles": "CO", "valid": True, **told}
    found = json.loads(media.encode(broken, items, "json", RECORD))
    assert found == {"text": "(<script>", "smiles": "(<script>", "valid": False, **told}
    drawn = media.encode(broken, items, "svg", RECORD).decode()
    assert "line-through" in drawn and "(&lt;script&gt;" in drawn and "<script" not in drawn
    assert " style=" not in media.encode(sound, items, "svg", RECORD).decode()
