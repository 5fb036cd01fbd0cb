"""The stated rules for grey, RGB, transparency, palettes, 16 bits, CMYK and EXIF."""

import io

import numpy as np
import pytest
from PIL import Image

from genloom.data.decode import conform, decode
from genloom.data.findings import Damaged, Finding


def run(image: Image.Image, form: str = "PNG", **options) -> tuple[np.ndarray, list[str]]:
    stream, findings = io.BytesIO(), list[Finding]()
    image.save(stream, form, **options)
    pixels = decode(stream.getvalue(), f"x.{form.lower()}", findings)
    return pixels, [finding.code for finding in findings]


def test_grey_stays_grey_and_rgb_is_channels_first():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    pixels, codes = run(Image.fromarray(grey))
    assert (pixels == grey[None]).all() and not codes
    rgb = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    pixels, codes = run(Image.fromarray(rgb))
    assert (pixels == rgb.transpose(2, 0, 1)).all() and not codes


def test_black_and_white():
    pixels, _ = run(Image.fromarray(np.eye(4, dtype=bool)))
    assert (pixels[0] == 255 * np.eye(4)).all()


@pytest.mark.parametrize("alpha,expected", [(0, 255), (255, 10), (51, 206)])
def test_transparency_is_composed_over_white(alpha, expected):
    rgba = np.full((2, 2, 4), 10, np.uint8)
    rgba[..., 3] = alpha
    pixels, _ = run(Image.fromarray(rgba))
    assert pixels.shape == (3, 2, 2) and (pixels == expected).all()
    la, _ = run(Image.fromarray(rgba[..., 2:], mode=None).convert("LA"))
    assert la.shape == (1, 2, 2) and abs(int(la[0, 0, 0]) - expected) <= 1


def test_hidden_colours_of_transparent_pixels_do_not_show():
    rgba = np.random.default_rng(0).integers(0, 256, (4, 4, 4), np.uint8)
    rgba[..., 3] = 0
    assert (run(Image.fromarray(rgba))[0] == 255).all()


def test_palette_with_and_without_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    pixels, codes = run(image)
    assert pixels[:, 0].T.tolist() == [[255, 0, 0], [0, 255, 0]] and not codes
    pixels, codes = run(image, transparency=0)
    assert pixels[:, 0].T.tolist() == [[255, 255, 255], [0, 255, 0]]
    assert codes == ["palette_transparency"]


def test_sixteen_bits_become_eight():
    values = np.array([[0, 257 * 7, 257 * 7 + 128, 257 * 7 + 129, 65535]], np.uint16)
    pixels, codes = run(Image.fromarray(values))
    assert pixels[0].tolist() == [[0, 7, 7, 8, 255]] and codes == ["sixteen_bit"]


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixels, codes = run(image, "TIFF")
    assert pixels[:, 0, 0].tolist() == [255, 0, 0] and codes == ["cmyk"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations(orientation):
    """Each of the eight, against the definition: where the first row and column lie."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    x = np.arange(6, dtype=np.uint8).reshape(2, 3)
    expected = {
        1: x,
        2: x[:, ::-1],
        3: x[::-1, ::-1],
        4: x[::-1],
        5: x.T,
        6: np.rot90(x, -1),
        7: x[::-1, ::-1].T,
        8: np.rot90(x),
    }[orientation]
    pixels, codes = run(Image.fromarray(x), exif=exif)
    assert (pixels[0] == expected).all()
    assert codes == ([] if orientation == 1 else ["rotated"])


def test_floating_point_pixels_are_refused():
    with pytest.raises(Damaged, match="floating"):
        run(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF")


@pytest.mark.parametrize("w,h", [(60_000, 60_000), (10_000, 10_000), (8200, 8200)])
def test_pixel_bomb_is_refused_by_its_header(hostile_script, w, h):
    with pytest.raises(Damaged) as error:
        decode(hostile_script.png_header(w, h), "x.png", [])
    assert error.value.finding.code == "too_many_pixels"


def test_verify_is_not_enough_so_all_is_decoded():
    """A cut picture passes Pillow's verify; only a full decode tells."""
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    cut = stream.getvalue()[:-400]
    Image.open(io.BytesIO(cut)).verify()
    with pytest.raises(Damaged) as error:
        decode(cut, "x.jpg", [])
    assert error.value.finding.code == "truncated"


def test_scripting_formats_are_not_even_tried():
    with pytest.raises(Damaged) as error:
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "x.png", [])
    assert error.value.finding.code == "not_an_image"


def test_conform_crops_the_centre_and_converts():
    wide = np.zeros((1, 4, 8), np.uint8)
    wide[:, :, 2:6] = 200
    assert (conform(wide, None, 4) == 200).all()
    assert conform(wide, 3, 2).shape == (3, 2, 2)
    red = np.zeros((3, 4, 4), np.uint8)
    red[0] = 255
    assert (conform(red, 1, None) == 76).all()  # ITU-R 601: 0.299 * 255


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), (1, 64, 32))
    small = conform(stripes, None, 8).astype(int)
    assert abs(small - 127.5).max() < 30
