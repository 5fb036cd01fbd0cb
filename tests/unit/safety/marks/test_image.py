"""The image watermark: found after what pictures go through, and nowhere else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from scipy.fft import dctn

from genloom.errors import BadInput
from genloom.safety.marks import image
from tests.unit.safety.marks.conftest import SECRET, encoded, picture

PAYLOAD = 0xC0FFEE42


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    with Image.open(io.BytesIO(encoded(pixels, "JPEG", quality=quality))) as again:
        return np.asarray(again)


def resized(pixels: np.ndarray) -> np.ndarray:
    whole, part = pixels.shape[0], pixels.shape[0] * 3 // 4
    small = Image.fromarray(pixels).resize((part, part), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((whole, whole), Image.Resampling.BICUBIC))


def noisy(pixels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 5, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def brighter(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels * 1.15 + 10, 0, 255).astype(np.uint8)


ATTACKS = {
    "none": lambda p: p,
    "jpeg 90": lambda p: jpeg(p, 90),
    "jpeg 75": lambda p: jpeg(p, 75),
    "resize": resized,
    "noise": noisy,
    "brightness": brighter,
}


def test_coefficients_are_those_of_the_orthonormal_dct():
    luma = picture(64, channels=1).astype(float)
    expected = dctn(luma.reshape(8, 8, 8, 8), axes=(1, 3), norm="ortho")  # (row, u, column, v)
    found = image._coefficients(luma)
    for k, (u, v) in enumerate(zip(image._U, image._V)):
        assert np.allclose(found[..., k], expected[:, u, :, v])
    assert np.allclose(image._pixels(found @ image._BASIS).std(), np.sqrt((found**2).sum() / 4096))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("size", [96, 256])
def test_the_mark_survives(attack, size):
    for seed in range(4):
        marked = image.embed(picture(size, seed), SECRET, PAYLOAD)
        score = image.detect(ATTACKS[attack](marked), SECRET, search=False)
        assert score.found and score.p_value < 1e-6
        if size == 256:
            assert score.payload == PAYLOAD


def test_the_cost_is_bounded_even_where_every_block_has_texture():
    for size, decibels in ((64, 34.0), (128, 36.5)):
        for seed in range(6):
            pixels = picture(size, seed)
            assert psnr(pixels, image.embed(pixels, SECRET, PAYLOAD)) > decibels
    flat = np.full((128, 128, 3), 100, np.uint8)
    assert psnr(flat, image.embed(flat, SECRET, PAYLOAD)) > 42


@pytest.mark.parametrize(("top", "left"), [(0, 3), (8, 0), (13, 27), (40, 61)])
def test_a_crop_is_found_by_search_alone(top, left):
    marked = image.embed(picture(256, 5), SECRET, PAYLOAD)
    crop = marked[top : top + 180, left : left + 190]
    assert not image.detect(crop, SECRET, search=False).found
    score = image.detect(crop, SECRET)
    assert score.found and score.payload == PAYLOAD
    assert image.detect(jpeg(crop, 85), SECRET).payload == PAYLOAD


def test_grey_flat_and_odd_sizes():
    for pixels in (
        picture(100, channels=1),
        np.full((64, 64), 127, np.uint8),
        picture(203)[:150],
        np.full((80, 80, 3), 255, np.uint8),
    ):
        score = image.detect(image.embed(pixels, SECRET, PAYLOAD), SECRET)
        assert score.found and score.payload == PAYLOAD
    assert not image.detect(np.zeros((64, 64), np.uint8), SECRET).found


def test_below_64_pixels_it_is_refused_with_a_reason():
    for side in (28, 32, 63):
        with pytest.raises(BadInput, match="no room for a watermark"):
            image.embed(picture(side), SECRET, PAYLOAD)
        assert image.why_not(side, 200)
    assert image.why_not(64, 64) is None
    with pytest.raises(BadInput, match="uint8"):
        image.embed(picture(64).astype(float), SECRET, 0)
    with pytest.raises(BadInput, match="uint8"):
        image.embed(np.zeros((64, 64, 4), np.uint8), SECRET, 0)
    with pytest.raises(BadInput, match="below 2"):
        image.embed(picture(64), SECRET, 2**32)
    with pytest.raises(BadInput, match="at least 16"):
        image.embed(picture(64), b"short", 0)


def test_the_bound_lies_above_the_tail_of_chi_squared():
    for x in (33.0, 50.0, 80.0, 110.0, 200.0):
        exact = stats.chi2.sf(x, image.BITS)
        assert exact <= image.bound(x) <= 100 * exact
    assert image.bound(10.0) == 1.0
    assert image.bound(110.0, 4096) == pytest.approx(4096 * image.bound(110.0))


@pytest.mark.parametrize("keys", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_wrong_keys_stay_within_the_stated_rate(keys):
    """On marked, natural and regular pictures: the p-value is an upper bound at every level."""
    grid = np.tile(np.repeat([[0, 255]], 3, 1), (128, 22))[:, :128].astype(np.uint8)
    pictures = (image.embed(picture(128, 3), SECRET, PAYLOAD), picture(128, 4), grid)
    folded = [image._fold(image._coefficients(image._luma(p.astype(float))))[0] for p in pictures]
    statistics = np.empty((keys, len(pictures)))
    for i in range(keys):
        signs, bit = image._pattern.__wrapped__(b"wrong key %9d" % i)
        statistics[i] = [(image._projections(f, signs, bit) ** 2).sum() for f in folded]
    for column in statistics.T:
        p = np.array([image.bound(x) for x in column])
        for level in (0.3, 0.1, 0.01, 0.001):
            assert np.mean(p <= level) <= level
        assert p.min() > 1e-6
        assert abs(column.mean() - image.BITS) < 5 * 8 / np.sqrt(keys)


def test_unmarked_pictures_are_not_found_by_search():
    for seed in range(40):
        assert not image.detect(picture(72, 100 + seed), SECRET).found


def test_a_search_tries_all_alignments_and_pays_for_them():
    """The largest of 4096 statistics of an unmarked picture is what 4096 draws give."""
    signs, bit = image._pattern(SECRET)
    luma = image._luma(picture(128, 8).astype(float))
    largest = float((image._searched(luma, signs, bit) ** 2).sum())
    assert stats.chi2.isf(0.5, image.BITS) < largest < stats.chi2.isf(1e-6, image.BITS)
    assert image.bound(largest, 8192) > 0.01


def test_no_key_is_unlucky_with_a_picture_of_much_texture():
    """Three keys of a hundred misread a bit before the bits that texture outweighs were raised."""
    pixels, stream = picture(96), np.random.default_rng(0)
    for _ in range(100):
        secret, payload = stream.bytes(32), int(stream.integers(2**32))
        marked = image.embed(pixels, secret, payload)
        assert image.detect(marked, secret).payload == payload
        assert psnr(pixels, marked) > 33
