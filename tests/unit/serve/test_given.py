"""Data that callers send: pictures by their bytes, points by their numbers, masks."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from genloom.core import Items
from genloom.lexicon import Letters
from genloom.serve import given
from genloom.serve.problems import Problem

GREY, WIDE = Items("image", (1, 8, 8)), Items("image", (3, 4, 8))
POINTS = Items("points", (3,))


def png(array, mode=None):
    out = io.BytesIO()
    Image.fromarray(np.asarray(array, dtype=np.uint8), mode).save(out, "PNG")
    return out.getvalue()


def test_a_picture_of_the_models_size_comes_as_it_is():
    pixels = np.arange(64).reshape(8, 8)
    assert torch.equal(given.picture(png(pixels), GREY), torch.from_numpy(pixels)[None].byte())


def test_the_centred_square_is_taken_for_square_models_and_all_for_others():
    pixels = np.zeros((8, 24), dtype=np.uint8)
    pixels[:, 8:16] = 200
    assert (given.picture(png(pixels), GREY) == 200).all()
    found = given.picture(png(np.full((2, 4), 9)), WIDE)
    assert found.shape == (3, 4, 8) and (found == 9).all()


def test_transparent_places_may_change_and_without_transparency_light_ones():
    rgba = np.full((8, 8, 4), 255)
    rgba[2:4, 5, 3] = 0
    hole = torch.zeros(8, 8, dtype=torch.bool)
    hole[2:4, 5] = True
    assert torch.equal(given.mask(png(rgba), GREY), hole)
    assert torch.equal(given.mask(png(255 * hole.numpy()), GREY), hole)


def bomb():
    """The header of a picture of 40,000 x 40,000 pixels, and nothing else."""
    body = struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + body
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


@pytest.mark.parametrize("read", [given.picture, given.mask])
@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", png(np.zeros((8, 8)))[:-30], bomb()])
def test_what_cannot_be_read_is_refused(read, data):
    with pytest.raises(Problem) as caught:
        read(data, GREY)
    assert caught.value.status == 400


def test_a_mask_with_nothing_to_change_is_refused():
    with pytest.raises(Problem, match="nothing to change"):
        given.mask(png(np.zeros((8, 8))), GREY)


def test_too_many_pixels_are_told_by_the_header():
    with pytest.raises(Problem, match="pixels"):
        given.picture(png(np.zeros((2049, 4096), dtype=np.uint8)), GREY)


def test_pixels_are_counted_over_all_rows():
    large = base64.b64encode(png(np.zeros((2048, 2048), dtype=np.uint8))).decode()
    assert len(given.rows([large], GREY)) == 1
    with pytest.raises(Problem, match="in all"):
        given.rows([large] * 3, GREY)


def test_rows_are_pictures_in_base64_or_points_in_json():
    text = base64.b64encode(png(np.full((8, 8), 7))).decode()
    found = given.rows([text, f"data:image/png;base64,{text}"], GREY)
    assert found.shape == (2, 1, 8, 8) and (found == 7).all()
    assert given.rows(["[1, 2.5, -3]"], POINTS).tolist() == [[1.0, 2.5, -3.0]]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("http://127.0.0.1/x.png", GREY),
        ("file:///etc/passwd", GREY),
        ("!", GREY),
        ("[1, 2]", POINTS),
        ("[1, 2, NaN]", POINTS),
        ("[1, 2, true]", POINTS),
        ("[1, 2, 1e999]", POINTS),
        ("[" * 100_000, POINTS),
        ('{"a": 1}', POINTS),
    ],
)
def test_a_row_that_is_no_datum_is_named(text, items):
    good = "[1, 2, 3]" if items is POINTS else base64.b64encode(png(np.zeros((8, 8)))).decode()
    with pytest.raises(Problem, match=r"input\.1"):
        given.rows([good, text], items)


def test_a_row_of_a_model_of_texts_is_a_document_and_its_ends():
    words = Items("text", (5,), lexicon=Letters("abc", marks=("end",)))
    assert given.rows(["ab", "", "cabca"], words).tolist() == [
        [0, 1, 3, 3, 3], [3] * 5, [2, 0, 1, 2, 0],
    ]  # fmt: skip
    running = Items("text", (3,), lexicon=Letters("abc"))
    assert given.rows(["cab"], running).tolist() == [[2, 0, 1]]
    for said, items, why in (
        ("abcabc", words, "6 tokens, and an item of this model 5"),
        ("ab", running, "2 tokens, and an item of this model 3"),
        ("abd", words, "'d'"),
        ("a\ud800", words, "surrogate"),
    ):
        with pytest.raises(Problem, match=f"input.0.*{why}"):
            given.rows([said], items)
