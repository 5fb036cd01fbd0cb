"""Round trips, ranges, token order and files of the four codecs."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image as Pil

from genloom.codecs import Image, Pixels, Points, Text, grid
from genloom.core import Items, Real, Tokens, options
from genloom.errors import BadInput, Diverged
from genloom.lexicon import END, Letters
from genloom.words import Words

GREY, RGB = Items("image", (1, 6, 4)), Items("image", (3, 6, 4))
LETTERS = Items("text", (5,), lexicon=Letters("\nabc"))


def noise(items: Items, n: int = 7) -> torch.Tensor:
    return torch.randint(0, 256, (n, *items.shape), dtype=torch.uint8)


@pytest.mark.parametrize("items", [GREY, RGB])
def test_image_round_trip_and_range(items):
    codec, x = Image(items), noise(items)
    assert codec.space == Real(items.shape, levels=256)
    z = codec.encode(x)
    assert z.dtype == torch.float32 and (codec.decode(z) == x).all()
    assert codec.encode(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
    assert torch.equal(z, x.float() / 127.5 - 1)


def test_every_level_is_its_own():
    x = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1).expand(-1, *GREY.shape)
    codec = Image(GREY)
    assert (codec.decode(codec.encode(x) + 0.99 / 255) == x).all()
    assert (codec.decode(codec.encode(x) - 0.99 / 255) == x).all()


def test_any_values_decode_to_valid_pictures_but_nan_is_named():
    codec = Image(GREY)
    wild = torch.tensor([-1e30, -float("inf"), 1e30, float("inf"), 0.0])
    out = codec.decode(wild.view(-1, 1, 1, 1).expand(-1, *GREY.shape))
    assert out[:, 0, 0, 0].tolist() == [0, 0, 255, 255, 128]
    x = torch.zeros(1, *GREY.shape)
    x[0, 0, 2, 1] = float("nan")
    with pytest.raises(Diverged, match="1 of 24"):
        codec.decode(x)


@pytest.mark.parametrize(
    "items,levels,patch", [(GREY, 256, 1), (GREY, 16, 2), (GREY, 2, 2), (RGB, 40, 1), (RGB, 2, 2)]
)
def test_pixels_keep_the_quantised_picture(items, levels, patch):
    codec, x = Pixels(items, levels=levels, patch=patch), noise(items)
    tokens = codec.encode(x)
    shape = (6 // patch, 4 // patch)
    assert codec.space == Tokens(shape, levels ** (patch * patch * items.shape[0]))
    assert tokens.shape == (7, *shape) and tokens.dtype == torch.int64
    assert tokens.min() >= 0 and tokens.max() < codec.space.vocab
    decoded = codec.decode(tokens)
    assert decoded.dtype == torch.uint8 and decoded.shape == x.shape
    assert (codec.encode(decoded) == tokens).all()
    error = (decoded.int() - x.int()).abs().max()
    assert error <= 127.5 / (levels - 1) + 0.5 and (levels < 256 or error == 0)


def test_levels_reach_black_and_white():
    for levels in range(2, 257):
        codec = Pixels(GREY, levels=levels, patch=1)
        x = torch.tensor([0, 255], dtype=torch.uint8).repeat(12).view(1, 1, 6, 4)
        assert (codec.decode(codec.encode(x)) == x).all()
        tokens = torch.arange(levels)[:, None, None].expand(-1, 6, 4)
        assert (codec.encode(codec.decode(tokens)) == tokens).all()


def test_tokens_run_in_raster_order_and_the_first_pixel_leads():
    codec = Pixels(GREY, levels=2, patch=2)
    x = torch.zeros(1, 1, 6, 4, dtype=torch.uint8)
    x[0, 0, 0, 0] = 255  # first patch, first pixel: 1000
    x[0, 0, 1, 3] = 255  # second patch, last pixel: 0001
    x[0, 0, 4, 1] = 255  # third row, first patch, second pixel: 0100
    assert codec.encode(x).tolist() == [[[8, 1], [0, 0], [4, 0]]]


def test_defaults_fit_the_vocabulary():
    assert Pixels(GREY).space == Tokens((3, 2), 256)
    assert Pixels(RGB).space == Tokens((6, 4), 64)
    assert Pixels(Items("image", (1, 7, 7))).space == Tokens((7, 7), 4)


@pytest.mark.parametrize("given", [{"levels": 1}, {"levels": 257}, {"patch": 3}, {"levels": 256}])
def test_pixels_that_make_no_sense(given):
    with pytest.raises(BadInput):
        Pixels(RGB, **given)
    with pytest.raises(BadInput, match="even"):
        Pixels(Items("image", (1, 7, 7)), levels=2, patch=2)


def test_options_follow_from_the_signature():
    known = options(Pixels.__init__)
    assert known["levels"].bounds.le == 256 and known["patch"].choices == (1, 2)
    assert known["patch"].optional


@pytest.mark.parametrize("codec", [Pixels(GREY), Text(LETTERS)])
def test_tokens_out_of_range_are_clipped(codec):
    wild = torch.tensor([-5, 10**6]).repeat(2, 100)[:, : math.prod(codec.space.shape)]
    wild = wild.view(2, *codec.space.shape)
    again = codec.encode(codec.decode(wild))
    assert again.min() >= 0 and again.max() < codec.space.vocab


def test_codecs_refuse_other_kinds():
    for codec, items in ((Image, LETTERS), (Text, GREY), (Points, GREY), (Pixels, LETTERS)):
        with pytest.raises(BadInput, match="reads"):
            codec(items)


def test_points_pass_through():
    codec = Points(Items("points", (2,)))
    x = torch.randn(5, 2)
    assert torch.equal(codec.decode(codec.encode(x)), x) and codec.space == Real((2,))
    with pytest.raises(Diverged):
        codec.decode(torch.tensor([[1.0, float("inf")]]))


@pytest.mark.parametrize("items", [GREY, RGB])
def test_png_files_hold_pixels_and_metadata(tmp_path, items):
    x = noise(items, 2)
    told = [{"seed": 7, "recipe": {"use": "vae"}, "title": "caf\u00e9"}, {}]
    Image(items).write(x, [tmp_path / "a.png", tmp_path / "b.png"], told)
    with Pil.open(tmp_path / "a.png") as image:
        array = np.asarray(image)
        assert (array.reshape(6, 4, -1).transpose(2, 0, 1) == x[0].numpy()).all()
        assert image.text["title"] == "caf\u00e9" and image.text["seed"] == "7"
        assert json.loads(image.text["recipe"]) == {"use": "vae"}
    with pytest.raises(BadInput, match=r"\.png"):
        Image(items).write(x[:1], [tmp_path / "a.jpg"], [{}])


def test_points_files(tmp_path):
    codec, x = Points(Items("points", (2,))), torch.tensor([[0.1, -2.0]]).repeat(2, 1)
    codec.write(x, [tmp_path / "a.csv", tmp_path / "b.json"], [{"seed": 1}] * 2)
    table = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True, dtype=np.float32)
    assert (table["x0"], table["x1"]) == (np.float32(0.1), -2)
    assert json.loads((tmp_path / "a.csv.json").read_text()) == {"seed": 1}
    told = json.loads((tmp_path / "b.json").read_text())
    assert told["values"] == x[1].tolist() and told["metadata"] == {"seed": 1}


def test_text_files(tmp_path):
    codec, x = Text(LETTERS), torch.tensor([[1, 2, 3, 0, 1]])
    assert codec.space == Tokens((5,), 4) and codec.read(x) == ["abc\na"]
    codec.write(x, [tmp_path / "a.txt"], [{"seed": 1}])
    assert (tmp_path / "a.txt").read_bytes() == b"abc\na"
    assert json.loads((tmp_path / "a.txt.json").read_text()) == {"seed": 1}


@pytest.mark.parametrize("form", ["smiles", "selfies"])
def test_molecules_are_files_of_one_smiles_that_say_whether_it_is_one(tmp_path, form):
    words = ("C", "O", "(") if form == "smiles" else ("[C]", "[O]", "[Ring1]")
    codec = Text(Items("text", (4,), lexicon=Words(words, form, marks=(END,))))
    x, paths = torch.tensor([[1, 0, 0, 3], [2, 3, 3, 3]]), [tmp_path / "a.smi", tmp_path / "b.smi"]
    codec.write(x, paths, [{"seed": 1}, {}])
    broken = "(" if form == "smiles" else ""
    assert [path.read_text() for path in paths] == ["CCO\n", f"{broken}\n"]
    told = [json.loads(path.with_suffix(".smi.json").read_text()) for path in paths]
    assert told[0] == {"smiles": "CCO", "valid": True, "seed": 1}
    assert told[1] == {"smiles": broken, "valid": False}
    codec.write(x[:1], [tmp_path / "a.svg"], [{}])
    assert (tmp_path / "a.svg").read_text().startswith("<svg")


def test_grid_of_images_shows_each_in_its_place():
    x = noise(Items("image", (3, 60, 50)), 5)
    sheet = grid(x, Items("image", (3, 60, 50)), columns=3)
    assert sheet is not None and sheet.size == (3 * 52 + 2, 2 * 62 + 2)
    array = np.asarray(sheet)
    tile = array[64:124, 54:104].transpose(2, 0, 1)
    assert (tile == x[4].numpy()).all()
    small = grid(noise(GREY), GREY)
    assert small is not None and small.mode == "L" and small.width > 100


def test_grid_of_points_darkens_where_points_fall():
    spec = Items("points", (2,))
    x = torch.tensor([[0.5, 0.5]]).repeat(50, 1)
    sheet = grid(x, spec, span=1.0)
    assert sheet is not None
    dark = np.argwhere(np.asarray(sheet).sum(-1) < 600)
    assert len(dark) == 9
    row, column = dark.mean(0) / sheet.width
    assert abs(row - 0.25) < 0.01 and abs(column - 0.75) < 0.01  # y grows upwards
    assert grid(torch.zeros(0, 2), spec) is not None


def test_text_has_no_grid():
    assert grid(torch.zeros(2, 5), LETTERS) is None
