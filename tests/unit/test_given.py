"""Source pictures: what is derived is as it says, rows stay rows, and one place does it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from genloom import given
from genloom.codecs import Image
from genloom.core import Items, Real, Rng, rows
from genloom.errors import BadInput


def items(name: str, shape=(3, 16, 16)) -> Items:
    return Items("image", shape, given=name)


def pictures(n=6, shape=(3, 16, 16), seed=0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, *shape), generator=generator, dtype=torch.uint8)


DERIVED = [name for name, kind in given.SOURCES.items() if kind.derived]


@pytest.mark.parametrize("name", given.SOURCES)
def test_a_source_lies_in_its_space(name):
    about, x = items(name, (3, 16, 24)), pictures(shape=(3, 16, 24))
    cond = {} if given.SOURCES[name].derived else {"source": x}
    source = given.completed(about, x, cond)["source"]
    assert about.conditions["source"] == given.space(about) == Real(tuple(source.shape[1:]))
    assert source.dtype == torch.float32 and source.shape[2:] == x.shape[2:]
    assert -1 <= source.min() < source.max() <= 1


def test_grey_is_the_luminance_of_pillow():
    x = pictures()
    source = given.completed(items("grey"), x, {})["source"]
    for picture, one in zip(x, source):
        wanted = np.asarray(Pillow.fromarray(picture.permute(1, 2, 0).numpy()).convert("L"))
        found = (one[0] + 1) * 127.5
        assert np.abs(found.numpy() - wanted).max() <= 1.001  # Pillow rounds its weights


@pytest.mark.parametrize(("name", "factor"), [("small2", 2), ("small4", 4)])
def test_a_small_copy_knows_the_means_of_squares_and_nothing_else(name, factor):
    x = pictures()
    blocks = x.unflatten(3, (-1, factor)).unflatten(2, (-1, factor)).float()
    means = blocks.mean((3, 5)).round()
    flat = means.byte().repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    about = items(name)
    assert torch.equal(
        given.completed(about, x, {})["source"], given.completed(about, flat, {})["source"]
    )
    smooth = torch.arange(16).view(1, 1, 1, 16).expand(1, 3, 16, 16).mul(10).byte()
    back = given.completed(about, smooth, {})["source"]
    inside = (back - given.unit(smooth))[..., factor:-factor]
    assert inside.abs().max() < 5 / 127.5  # a ramp is enlarged to a ramp, but for its ends


def test_a_hole_is_zero_and_its_channel_says_where():
    x, about = pictures(64), items("masked")
    source = given.completed(about, x, {})["source"]
    hole = given.hole_of(about, source)
    assert hole is not None and source.shape[1] == 4
    assert set(source[:, 3].unique().tolist()) == {0.0, 1.0}
    assert (source[:, :3][hole.expand(-1, 3, -1, -1)] == 0).all()
    outside = ~hole.expand(-1, 3, -1, -1)
    assert torch.equal(source[:, :3][outside], given.unit(x)[outside])
    shares = hole.flatten(1).float().mean(1)
    assert (shares > 0).all() and (shares < 0.9).all()


def test_holes_are_boxes_strokes_halves_and_frames():
    u = torch.full((4, given.DRAWS), 0.3)
    u[:, 0] = torch.tensor([0.1, 0.3, 0.6, 0.9])
    box, stroke, half, frame = given.holes(u, 32, 32)[:, 0]
    tall, wide = box.any(1).sum(), box.any(0).sum()
    assert box.sum() == tall * wide and given.SMALLEST * 32 - 1 <= tall <= given.LARGEST * 32 + 1
    assert half.sum() == 32 * 16 and half[:16].all()
    assert not frame[16, 16] and frame[0].all() and frame[-1].all() and frame[:, 0].all()
    assert 0 < stroke.sum() < 32 * 16 and stroke[9, 9] and not stroke[31, 31]


def test_micro_batches_see_the_holes_of_the_whole_batch():
    x, about = pictures(8), items("masked")
    torch.manual_seed(3)
    whole = given.completed(about, x, {})["source"]
    parts = []
    for start in (0, 4):
        torch.manual_seed(3)
        with rows(start, 8):
            parts.append(given.completed(about, x[start : start + 4], {})["source"])
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(whole[:4, 3], whole[4:, 3])


def test_what_is_real_already_stays():
    x, about = pictures(2), items("masked")
    source = torch.zeros(2, 4, 16, 16)
    assert given.completed(about, x, {"source": source})["source"] is source
    cond = {"label": torch.zeros(2)}
    assert given.completed(Items("image", (3, 16, 16)), x, cond) is cond


def test_a_codec_and_a_source_come_together():
    about, x = items("grey"), pictures(2)
    data, cond = given.encoded(Image(about), x, {"label": torch.tensor([1, 2])})
    assert torch.equal(data, given.unit(x)) and set(cond) == {"label", "source"}


@pytest.mark.parametrize("name", DERIVED)
def test_a_given_picture_is_derived_as_in_training(name):
    about, x, seeds = items(name), pictures(2), [5, 9]
    found = given.asked(about, x, seeds)
    rng = Rng(seeds)
    wanted = given.completed(about, x, {}, lambda k: rng.uniform(k).float())["source"]
    assert torch.equal(found, wanted)
    alone = given.asked(about, x[1:], [9])
    assert torch.equal(alone, found[1:])  # sample 1 does not see its neighbour
    assert given.asked(about, x[:1], seeds).shape == found.shape


def test_a_small_picture_is_its_own_small_copy():
    about, x = items("small4"), pictures(1)
    reduced = x.unflatten(3, (-1, 4)).unflatten(2, (-1, 4)).float().mean((3, 5)).round().byte()
    assert torch.equal(given.asked(about, reduced, [0]), given.asked(about, x, [0]))


def test_grey_pictures_are_taken_for_colour_and_colour_for_grey():
    grey = pictures(1, (1, 16, 16))
    found = given.asked(items("grey"), grey, [0])
    assert torch.equal(found, given.unit(grey))
    assert given.fit(pictures(1), (1, 8, 8)).shape == (1, 1, 8, 8)


def test_a_larger_picture_is_cropped_in_the_middle_and_reduced():
    wide = torch.zeros(1, 1, 16, 32, dtype=torch.uint8)
    wide[..., 8:24] = 200
    assert (given.fit(wide, (1, 8, 8)) == 200).all()


def test_a_hole_of_ones_own():
    about, x = items("masked"), pictures(1)
    hole = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    hole[..., :5] = True
    source = given.asked(about, x, [0, 1], hole)
    assert source.shape == (2, 4, 16, 16)
    assert torch.equal(given.hole_of(about, source), hole.expand(2, -1, -1, -1))
    assert (given.shown(about, source)[..., :5] == 128).all()
    assert torch.equal(given.shown(about, source)[..., 5:], x.expand(2, -1, -1, -1)[..., 5:])


def test_one_picture_may_have_a_hole_for_each_sample():
    about, x = items("masked"), pictures(1)
    hole = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    hole[0, ..., :5], hole[1, ..., 9:] = True, True
    source = given.asked(about, x, [0, 1], hole)
    for i in range(2):
        assert torch.equal(source[i : i + 1], given.asked(about, x, [i], hole[i : i + 1]))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (Items("image", (1, 16, 16), given="grey"), "no"),
        (Items("image", (3, 4, 4), given="small2"), "8 pixels"),
        (Items("points", (2,), given="masked"), "for images"),
        (Items("image", (3, 16, 16), given="gray"), "'grey'"),
    ],
)
def test_items_without_such_a_source_are_refused(about, message):
    with pytest.raises(BadInput, match=message):
        given.check(about)


@pytest.mark.parametrize(
    ("source", "hole", "message"),
    [
        (pictures(3), None, "1 or 2"),
        (pictures(1)[0], None, "shape"),
        (pictures(1).float(), None, "reals"),
        (pictures(1).int(), None, "uint8"),
        (pictures(1, (2, 16, 16)), None, "1 or 3 channels"),
        (pictures(1), torch.ones(1, 1, 8, 8, dtype=torch.bool), "16, 16"),
        (pictures(1), torch.ones(3, 1, 16, 16, dtype=torch.bool), "3 masks"),
        (pictures(1), torch.ones(1, 1, 16, 16), "bool"),
    ],
)
def test_a_source_that_cannot_be_is_refused(source, hole, message):
    with pytest.raises(BadInput, match=message):
        given.asked(items("masked"), source, [0, 1], hole)
    with pytest.raises(BadInput, match="for models that were given 'masked'"):
        given.asked(items("grey"), pictures(1), [0], torch.ones(1, 1, 16, 16).bool())
