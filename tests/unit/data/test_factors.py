"""The factor set: every combination once, and pictures that are what their factors say."""

import numpy as np
import pytest

from genloom.data.factors import COUNTS, SIZE, draw


@pytest.fixture(scope="module")
def drawn():
    images, factors = draw()
    return images[:, 0].astype(float), dict(zip(COUNTS, factors.T, strict=True))


def test_every_combination_comes_once(drawn):
    images, factors = drawn
    rows = np.stack(list(factors.values()), 1)
    assert len(images) == len(rows) == np.prod(list(COUNTS.values()))
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert [int(column.max()) + 1 for column in rows.T] == list(COUNTS.values())


def test_no_two_pictures_are_alike(drawn):
    assert len(np.unique(drawn[0].reshape(len(drawn[0]), -1), axis=0)) == len(drawn[0])


def test_the_shape_lies_where_x_and_y_say(drawn):
    images, factors = drawn
    ink = images.sum((1, 2))
    at = np.arange(SIZE) - (SIZE - 1) / 2
    for name, axis in (("x", 1), ("y", 2)):
        centre = (images.sum(axis) * at).sum(1) / ink
        wanted = -6 + 12 * factors[name] / 7
        # the centre of a triangle lies off the middle of its circle, as far as its turn says
        assert np.abs(centre - wanted)[factors["shape"] < 2].max() < 0.1
        assert np.abs(centre - wanted).max() < 1.0


def test_the_area_grows_with_the_scale_alone(drawn):
    images, factors = drawn
    ink = images.sum((1, 2)) / 255
    radius = 5 + 4 * factors["scale"] / 3
    for shape, share in enumerate((np.pi / 2, 2.0, 0.5 * 1.6 * 1.6)):
        rows = factors["shape"] == shape
        assert np.abs(ink / (share * radius**2) - 1)[rows].max() < 0.06


def test_the_long_axis_turns(drawn):
    images, factors = drawn
    at = np.arange(SIZE) - (SIZE - 1) / 2
    rows = (factors["shape"] == 0) & (factors["scale"] == 3)  # the largest ellipses
    for image, turn in zip(images[rows], factors["rotation"][rows], strict=True):
        p = image / image.sum()
        x, y = (p.sum(0) * at).sum(), (p.sum(1) * at).sum()
        u, v = at[None, :] - x, at[:, None] - y
        angle = 0.5 * np.arctan2(2 * (p * u * v).sum(), (p * (u**2 - v**2)).sum())
        assert angle == pytest.approx(turn * np.pi / 16, abs=0.03)
