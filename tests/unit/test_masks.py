"""Masks: one reading for the command line and the server, and only for the picture they are for."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from genloom import masks
from genloom.core import Items
from genloom.data.decode import decode
from genloom.errors import BadInput
from genloom.gallery import mask_of
from genloom.serve import given
from genloom.serve.problems import Problem

ITEMS = Items("image", (3, 8, 8))
HOLE = np.zeros((16, 16), bool)
HOLE[2:6, 8:] = True


def file(pixels, mode=None, kind="PNG", **more):
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(out, kind, **more)
    return out.getvalue()


def clear(hole, colour=255):
    """A picture of one colour that is transparent in the hole, as OpenAI's clients make masks."""
    return np.dstack([np.full((*hole.shape, 3), colour), np.where(hole, 0, 255)])


def palette(hole):
    """The same with a transparent colour of a palette."""
    image = Image.fromarray(hole.astype(np.uint8), "P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    out = io.BytesIO()
    image.save(out, "PNG", transparency=1)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        file(255 * HOLE),
        file(np.repeat(255 * HOLE[..., None], 3, 2)),
        file(clear(HOLE)),
        file(clear(HOLE, 0)),
        file(clear(HOLE), kind="WEBP", lossless=True),
        palette(HOLE),
        file(np.dstack([*[255 * HOLE] * 3, np.full(HOLE.shape, 255)])),  # drawn, with an alpha
    ],
)
def test_the_command_line_and_the_server_read_a_mask_alike(data, tmp_path):
    (tmp_path / "mask.png").write_bytes(data)
    wanted = torch.from_numpy(HOLE[::2, ::2])
    found = mask_of(tmp_path / "mask.png", ITEMS, torch.zeros(1, 3, 16, 16))
    assert found.shape == (1, 1, 8, 8) and torch.equal(found[0, 0], wanted)
    of = file(np.zeros((16, 16)))
    for read in (given.mask, given.hole):
        assert torch.equal(read(data, ITEMS, of=of), wanted)


@pytest.mark.parametrize("data", [file(0 * HOLE), file(clear(0 * HOLE))])
def test_a_mask_of_nothing_is_refused(data, tmp_path):
    (tmp_path / "mask.png").write_bytes(data)
    with pytest.raises(BadInput, match="leaves nothing to change"):
        mask_of(tmp_path / "mask.png", ITEMS)
    for read in (given.mask, given.hole):
        with pytest.raises(Problem, match="leaves nothing to change") as caught:
            read(data, ITEMS)
        assert (caught.value.status, caught.value.code) == (400, "empty_mask")


@pytest.mark.parametrize("size", [(16, 16), (32, 16), (16, 17), (16, 20)])
def test_a_mask_is_for_a_picture_of_its_form(size, tmp_path):
    width, height = size
    (tmp_path / "mask.png").write_bytes(file(255 * HOLE))
    picture, data = np.zeros((height, width)), file(255 * HOLE)

    def reads():
        yield lambda: mask_of(tmp_path / "mask.png", ITEMS, torch.from_numpy(picture)[None, None])
        for read in (given.mask, given.hole):
            yield lambda read=read: read(data, ITEMS, of=file(picture))

    for read in reads():
        if height - width in (0, 1):  # to a pixel
            assert read().any()
            continue
        with pytest.raises((BadInput, Problem), match=f"16x16 and the picture {width}x{height}"):
            read()


@pytest.mark.parametrize(
    ("mask", "picture", "fits"),
    [
        ((640, 480), (640, 480), True),
        ((320, 240), (640, 480), True),
        ((33, 20), (1000, 600), True),  # 33.3 was rounded
        ((1000, 600), (33, 20), True),
        ((480, 640), (640, 480), False),
        ((640, 640), (640, 480), False),
        ((640, 483), (640, 480), False),
    ],
)
def test_another_scale_of_the_picture_is_its_form(mask, picture, fits):
    if fits:
        return masks.check_form(mask, picture)
    with pytest.raises(BadInput, match="draw the mask over the picture"):
        masks.check_form(mask, picture)


def test_a_turned_picture_has_the_form_that_is_seen():
    exif = Image.Exif()
    for orientation, size in ((None, (30, 10)), (1, (30, 10)), (6, (10, 30)), (9, (30, 10))):
        if orientation is not None:
            exif[0x0112] = orientation
        lying = file(np.zeros((10, 30)), kind="JPEG", exif=exif)
        assert masks.size_in(lying) == masks.size_of(torch.tensor(decode(lying, "a", []))) == size


def test_an_opaque_file_in_colours_is_no_drawing_of_a_mask(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 4))
    photo[..., 3] = 255
    (tmp_path / "mask.png").write_bytes(file(photo))
    with pytest.raises(BadInput, match="leaves nothing to change"):
        mask_of(tmp_path / "mask.png", ITEMS)


def test_the_server_reads_no_mask_that_has_lost_its_edges():
    with pytest.raises(Problem, match="PNG, WebP or GIF") as caught:
        given.mask(file(255 * HOLE, kind="JPEG"), ITEMS)
    assert caught.value.code == "invalid_image"
