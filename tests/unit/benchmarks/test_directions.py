"""What the benchmark of directions is made of, and the whole of it where the answer is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from benchmarks import directions
from benchmarks.directions import Bench, Part, gain, means_of, moved, others, targets
from torch import nn

from genloom.codecs.image import Image
from genloom.core import Items


def test_means_are_those_of_each_class():
    codes = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    classes = torch.arange(30) % 3
    found = means_of(codes, classes, 3)
    for c in range(3):
        assert torch.allclose(found[c], codes[classes == c].mean(0), atol=1e-6)


def test_targets_are_other_classes_with_equal_chance():
    classes = torch.arange(6000) % 4
    aims = targets(classes, 4, seed=0)
    assert not (aims == classes).any()
    shares = (4 * classes + aims).bincount(minlength=16).view(4, 4).double() / 1500
    assert shares[~torch.eye(4, dtype=torch.bool)].sub(1 / 3).abs().max() < 0.05


def test_other_directions_are_as_long_and_between_two_codes():
    generator = torch.Generator().manual_seed(0)
    steps, codes = torch.randn(50, 3, generator=generator), torch.zeros(40, 3)
    codes[:, 0] = torch.arange(40.0)
    found = others(steps, codes, seed=1)
    for one in found.values():
        assert torch.allclose(one.norm(dim=1), steps.norm(dim=1), rtol=1e-5)
    assert found["between"][:, 1:].abs().max() == 0
    assert found["random"][:, 1:].abs().max() > 0.5


def test_a_gain_is_of_paired_differences():
    a, b = torch.tensor([True] * 60 + [False] * 40), torch.tensor([True] * 50 + [False] * 50)
    found = gain(a, b)
    assert found["value"] == pytest.approx(0.1)
    error = math.sqrt(0.1 * 0.9 / 100)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * error, rel=0.15)


class Plane(nn.Module):
    """Codes are the two pixels of a picture."""

    def encode(self, x, cond):
        return x.flatten(1)

    def decode(self, z, cond):
        return z.view(len(z), 1, 1, 2)


def reader(place: int) -> Any:
    """Sees whether a pixel is lighter than the middle."""
    return lambda x: torch.stack([-x[:, 0, 0, place], x[:, 0, 0, place]], 1)


def square(n: int) -> Part:
    first, second = torch.arange(n) % 2, torch.arange(n) // 2 % 2
    pixels = 55 + 145 * torch.stack([first, second], 1) + torch.arange(n)[:, None] % 7
    return Part(pixels.byte().view(n, 1, 1, 2), first, second)


def test_where_codes_are_the_attributes_a_direction_does_all():
    model: Any = Plane()
    codec = Image(Items("image", (1, 1, 2)))
    bench = Bench(model, codec, reader(0), reader(1))
    told, *lines = moved(bench, square(400), square(200), [0, 0.25, 1], seed=0)
    assert told["readable"]["value"] == 1 and told["classes"] == 2
    still, little, whole = lines
    assert still["direction"]["done"]["value"] == still["direction"]["left"]["value"] == 0
    assert still["random"]["stayed"]["value"] == 1
    assert little["direction"]["arrived"]["value"] == 0
    assert whole["direction"]["done"]["value"] == 1
    assert 0.1 < whole["random"]["done"]["value"] < 0.6
    assert whole["gain"]["random"]["low"] > 0.3
    assert whole["random"]["stayed"]["value"] < 0.9


def test_pictures_that_no_judge_reads_are_not_moved():
    model: Any = Plane()
    codec = Image(Items("image", (1, 1, 2)))
    train, test = square(400), square(200)
    for readers in ((0, 0), (1, 1)):  # one of the two sees the other's attribute
        bench = Bench(model, codec, *map(reader, readers))
        told, line = moved(bench, train, test, [1], seed=0)
        assert told["readable"]["value"] == pytest.approx(0.5) and line["n"] == 100
    blind: Any = lambda x: torch.stack([x[:, 0, 0, 0] * 0 + 1, x[:, 0, 0, 0] * 0], 1)  # noqa: E731
    bench = Bench(model, codec, blind, reader(1))
    only = test.at(test.first == 1)
    assert [*moved(bench, train, only, [1], seed=0)] == [
        {"readable": {"value": 0.0, "low": 0.0, "high": pytest.approx(0.037, abs=1e-3)},
         "classes": 2}
    ]  # fmt: skip


def test_bold_glyphs_have_more_ink_than_those_before_them():
    glyphs = directions._glyphs()
    ink = glyphs.items.float().mean((1, 2, 3)).view(-1, directions.FONTS, 26).mean((0, 2))
    heavy = glyphs.second.view(-1, directions.FONTS, 26)[0, :, 0]
    for font in range(18):
        assert heavy[font] == font % 2
        assert not heavy[font] or ink[font] > 1.2 * ink[font - 1]
    assert heavy[18:].sum() == 0
