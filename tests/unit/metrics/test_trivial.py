"""The trivial generator, the pictures, and what a verdict says of its files."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from genloom.core import Items
from genloom.metrics.account import _form
from genloom.metrics.pictures import grid, png
from genloom.metrics.trivial import generate, resampled


def test_pixels_keep_their_own_values_within_their_class():
    labels = torch.arange(400) % 2
    train = torch.arange(400)[:, None, None, None].expand(-1, 1, 2, 3).clone()
    train = (train % 2 * 100 + torch.arange(6).view(1, 1, 2, 3)).to(torch.uint8)
    wanted = torch.tensor([0, 1, 1, -1])
    made = resampled(train, labels, wanted, 4)
    assert torch.equal(made[0], train[0]) and torch.equal(made[2], train[1])
    assert set((made[3].flatten() - torch.arange(6)).tolist()) <= {0, 100}
    assert made.dtype == torch.uint8 and torch.equal(made, resampled(train, labels, wanted, 4))


def test_pixels_know_nothing_of_each_other():
    train = torch.randint(2, (4000, 1, 1, 1)).expand(-1, 1, 1, 2).to(torch.uint8)
    made = resampled(train, None, None, 4000)[:, 0, 0].float()
    assert train.float().mean() == pytest.approx(float(made.mean()), abs=0.05)
    assert abs(float(made.T.corrcoef()[0, 1])) < 0.1


def test_points_keep_their_mean_and_covariance():
    x = torch.randn(5000, 2) @ torch.tensor([[2.0, 1.0], [0.0, 0.5]]) + 3
    made = generate(Items("points", (2,)), x, None, None, 5000)
    assert torch.allclose(made.mean(0), x.mean(0), atol=0.1)
    assert torch.allclose(made.T.cov(), x.T.cov(), atol=0.3)
    assert made.dtype == x.dtype


def test_a_picture_is_the_item_itself():
    items = torch.randint(256, (5, 3, 4, 6)).to(torch.uint8)
    page = grid(items, columns=3, gap=1)
    assert page.shape == (3, 2 * 5 + 1, 3 * 7 + 1)
    assert torch.equal(page[:, 6:10, 8:14], items[4])
    for channels in (1, 3, 4):
        item = torch.randint(256, (channels, 4, 6)).to(torch.uint8)
        kind, content = png(item).split(",")
        assert kind == "data:image/png;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        pixels = torch.tensor(np.array(picture)).view(4, 6, channels)
        assert torch.equal(pixels.permute(2, 0, 1), item)


def test_lossy_files_are_told():
    class Part:
        names = ("a.jpg", "b.png", "c.JPEG")

        def __len__(self):
            return 3

    assert _form(Part()) == "2 of 3 held-out files are lossy"  # pyright: ignore[reportArgumentType]
    Part.names = ("a.avif", "b.png")
    assert _form(Part()) == "1 of 3 held-out files are lossy"  # pyright: ignore[reportArgumentType]
    Part.names = ("a.png",)
    assert _form(Part()) == "lossless"  # pyright: ignore[reportArgumentType]
