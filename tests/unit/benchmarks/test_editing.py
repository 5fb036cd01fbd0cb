"""What the editing benchmark is made of, each part against an independent formula."""

from __future__ import annotations

import argparse
from functools import partial

import pytest
import torch
from benchmarks.editing import (
    TASKS,
    Held,
    Squared,
    answers,
    batch,
    built,
    filled,
    held_out,
    judged,
    spread,
    strokes,
    ways,
)
from PIL import Image as Pictures

from genloom import given
from genloom.core import Items, Real
from genloom.data import open_dataset, open_test
from genloom.metrics.extractor import Extractor
from genloom.nets.unet import UNet

NET = {"width": 8, "levels": 1, "attend": 1}
TINY = partial(UNet, stem=1, **NET)


def pictures(n=12, channels=3, side=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, channels, side, side), generator=generator, dtype=torch.uint8)


@pytest.fixture
def features():
    """Means of the channels as features."""
    items = Items("image", (3, 8, 8))
    return Extractor("means", "abc", items, 3, lambda x: x.float().mean((2, 3)) + 1, "mean")


def options(**given):
    usual = {"seed": 0, "net": NET, "model": {}, "sample": {}}
    return argparse.Namespace(**{**usual, **given})


@pytest.mark.parametrize("channels", [1, 3])
def test_strokes_have_six_colours_and_keep_flat_pictures(channels):
    seen = strokes(pictures(4, channels, side=32))
    assert seen.shape == (4, channels, 32, 32)
    for picture in seen:
        assert len(picture.flatten(1).unique(dim=1)[0]) <= 6
    flat = torch.full((1, channels, 32, 32), 77, dtype=torch.uint8)
    assert torch.equal(strokes(flat), flat)


def test_a_hole_is_filled_with_the_mean_of_what_is_known():
    items = pictures(2)
    hole = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    hole[0, :, 2:4] = True
    found = filled(items, hole)
    assert torch.equal(found[1], items[1])
    assert torch.equal(found[0][:, [0, 1, 4, 5, 6, 7]], items[0][:, [0, 1, 4, 5, 6, 7]])
    mean = items[0][:, [0, 1, 4, 5, 6, 7]].double().mean((1, 2)).round()
    assert torch.equal(found[0][:, 2, 0].double(), mean)


@pytest.fixture(scope="module")
def digits():
    return open_dataset("digits", given="masked")


def _is_box(known):
    rows, columns = known.any(1), known.any(0)
    return bool((known == (rows[:, None] & columns)).all())


def test_outpainting_is_tested_on_frames_and_inpainting_on_the_rest(digits):
    frames = held_out(TASKS["outpainting"], digits, open_test(digits), 60, 0)
    assert frames.hole is not None
    assert all(_is_box(~hole[0]) for hole in frames.hole)
    share = frames.hole.float().mean((1, 2, 3))
    assert share.min() > 0.5  # what is left has 0.7 of a side at most
    others = held_out(TASKS["inpainting"], digits, open_test(digits), 60, 0)
    assert others.hole is not None and others.source is not None
    assert others.hole.float().mean((1, 2, 3)).median() < 0.55
    assert torch.equal(others.source[:, -1:] > 0.5, others.hole)
    assert torch.equal(torch.where(others.hole, 0, others.plain), others.true * ~others.hole)


def test_the_squared_net_starts_at_the_mean_and_its_loss_at_one():
    x = given.unit(pictures(64))
    source = Real((1, 8, 8))
    model = Squared(Real((3, 8, 8), levels=256), {"source": source}, net=TINY)
    cond = {"source": torch.zeros(64, 1, 8, 8)}
    model.prepare(x, cond)
    assert model.loss(x, cond)["square"].item() == pytest.approx(1, abs=1e-3)
    guess = next(model.sample_steps(range(64), cond))  # pyright: ignore[reportArgumentType]
    assert torch.allclose(guess[5, :, 3, 3], x.mean((0, 2, 3)), atol=1e-6)


@pytest.mark.parametrize("side", ["given", "repaint"])
def test_answers_depend_on_their_source_and_number_alone(side):
    items = Items("image", (3, 8, 8), given="masked")
    true = pictures(5)
    hole = torch.zeros(5, 1, 8, 8, dtype=torch.bool)
    hole[:, :, 2:6] = True
    held = Held(true, filled(true, hole), given.with_hole(true, hole), hole, true)
    model = built("alone" if side == "repaint" else side, items, options())
    one, other = (answers(model, side, held, 2, size, {"steps": 2}) for size in (2, 5))
    assert one.shape == (2, 5, 3, 8, 8)
    assert (one.int() - other.int()).abs().max() <= 1
    assert torch.equal(torch.where(hole, 0, one), (true * ~hole).expand_as(one))
    places = one.permute(0, 1, 3, 4, 2)[hole[:, 0].expand(2, -1, -1, -1)].view(10, -1)
    assert len(places.unique(dim=0)) == 10


def test_spread_is_the_mean_over_pairs(features):
    made = torch.stack([pictures(seed=s) for s in (1, 2, 3)])
    hole = torch.zeros(12, 1, 8, 8, dtype=torch.bool)
    hole[..., :3] = True
    pairs = [(0, 1), (0, 2), (1, 2)]
    wanted = [(made[i].double() - made[j].double()).abs() for i, j in pairs]
    found = spread(made, None, features)
    assert found["pixels"]["value"] == pytest.approx(float(torch.stack(wanted).mean()), rel=1e-4)
    inside = torch.stack(wanted)[..., :3].mean()
    assert spread(made, hole, features)["pixels"]["value"] == pytest.approx(float(inside), rel=1e-4)
    seen = [features(one).double() for one in made]
    cosines = torch.stack([torch.cosine_similarity(seen[i], seen[j]) for i, j in pairs])
    assert found["features"]["value"] == pytest.approx(float((2 - 2 * cosines).mean()), rel=1e-4)


def test_the_truth_is_best_and_far_from_a_source(features):
    true, plain = pictures(60, seed=1), pictures(60, seed=2)
    held = Held(true, plain, None, None, pictures(60, seed=3))
    line = judged(true[None], held, features, source=True)
    assert line["pixel_difference"]["value"] == line["colour_difference"]["value"] == 0
    assert line["from_source"]["pixel_difference"]["value"] > 50
    assert line["from_source"]["pixel_difference"]["trivial"] > 50
    assert "spread" not in line
    grey = true.float().mean(1, keepdim=True).byte().expand(-1, 3, -1, -1)
    assert judged(grey[None], held, features, source=False)["chroma"]["value"] < 1e-6
    assert line["chroma"]["value"] > 10


def test_a_side_is_asked_once_for_every_value_of_its_option():
    args = options(guidance=[1.0, 1.5], rounds=[1, 5], strengths=[0.2], sample={"steps": 4})
    assert ways("given", args) == {
        "given@1": {"steps": 4, "guidance": 1.0},
        "given@1.5": {"steps": 4, "guidance": 1.5},
    }
    assert list(ways("repaint", args)) == ["repaint@1", "repaint@5"]
    assert ways("unpaired", args) == {"unpaired@1": {"steps": 4, "guidance": 1.0}}
    assert ways("squared", args) == {"squared": {}}


def test_unpaired_sources_are_those_of_other_pictures(tmp_path):
    for i in range(20):
        for side in "AB":
            (tmp_path / side).mkdir(exist_ok=True)
            Pictures.new("RGB", (8, 8), (10 * i, 0, 0)).save(tmp_path / side / f"{i}.png")
    data = open_dataset(tmp_path, given="paired")
    model = built("given", data.items, options())
    x, cond = batch(model, "given", data, 0, 6, seed=0)
    assert torch.equal(x, cond["source"])
    y, cond = batch(model, "unpaired", data, 0, 6, seed=0)
    assert torch.equal(x, y)
    assert not (y == cond["source"]).flatten(1).all(1).any()
