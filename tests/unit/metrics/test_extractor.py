"""The trained extractor: stored, hashed, of items only, and up its ladder."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from genloom.core import Items
from genloom.errors import BadInput
from genloom.lexicon import Letters
from genloom.metrics.copies import nearness
from genloom.metrics.extractor import Extractor, extractor, judge
from genloom.metrics.ladder import climb

SQUARES = Items("image", (1, 12, 12), ("a", "b", "c", "d"))


@dataclass
class Part:
    """A split in memory."""

    items: Tensor
    cond: dict[str, Tensor] = field(default_factory=dict)
    fingerprint: str = "0" * 64

    def __len__(self):
        return len(self.items)


def squares(n, seed):
    """Four kinds of bar at places and brightnesses drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (n,), generator=generator)
    items = 40 * torch.rand(n, 1, 12, 12, generator=generator)
    for i, label in enumerate(labels.tolist()):
        at, light = (int(torch.randint(k, (), generator=generator)) for k in (8, 128))
        bar = (slice(at, at + 2), slice(2, 10)) if label % 2 else (slice(2, 10), slice(at, at + 2))
        items[i, 0][bar] = 127 + light
        if label > 1:
            items[i, 0, at : at + 4, 8 - at : 12 - at] = 90 + light
    return Part(items.to(torch.uint8), {"label": labels}, f"{n}-{seed}")


@pytest.fixture(scope="module")
def parts():
    return squares(600, 0), squares(200, 1), squares(200, 2)


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    cache = tmp_path_factory.mktemp("extractors")
    found = extractor(SQUARES, parts[0], cache=cache)
    return found, judge(SQUARES, parts[0], found, cache=cache), cache


def test_it_is_stored_and_read_again_with_the_same_hash_and_values(parts, trained):
    found, judged, cache = trained
    state = torch.random.get_rng_state()
    again = extractor(SQUARES, parts[0], cache=cache)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert again.id == found.id and again.seconds == found.seconds > 0
    assert torch.equal(again(parts[1].items), found(parts[1].items))
    assert judge(SQUARES, parts[0], again, cache=cache).id == judged.id
    assert sorted(p.name.split("-")[0] for p in cache.iterdir()) == ["encoder1", "judge1"]
    assert "uint8" in found.id and "float64" in found.id and found.hash in found.id


def test_a_damaged_file_is_trained_again(parts, trained, tmp_path):
    found, _, cache = trained
    for path in cache.glob("encoder*"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:-100])
    assert extractor(SQUARES, parts[0], cache=tmp_path).id == found.id


def test_other_data_have_another_extractor(parts, trained, tmp_path):
    few = Part(parts[0].items[:200], {}, "another")
    other = extractor(SQUARES, few, cache=tmp_path)
    assert other.id != trained[0].id and other.logits is None
    assert judge(SQUARES, few, other, cache=tmp_path) is None


def test_only_stored_items_are_taken(parts, trained):
    found, judged, _ = trained
    items = parts[1].items
    for wrong in (items / 255, items.float() / 127.5 - 1, items.float()):
        for looker in (found, judged):
            with pytest.raises(BadInput, match=r"is 1\.0 white, or nearly black\?"):
                looker(wrong)
    with pytest.raises(BadInput, match=r"\(1, 6, 6\) are not \(1, 12, 12\)"):
        found(items[..., ::2, ::2])


def test_its_inputs_are_left_as_they_are(parts, trained):
    items = parts[1].items.clone()
    trained[0](items), trained[1](items)
    assert torch.equal(items, parts[1].items)


def test_the_judge_knows_the_classes(parts, trained):
    right = trained[1](parts[1].items).argmax(1) == parts[1].cond["label"]
    assert right.double().mean() > 0.95


def test_it_climbs_the_ladder(parts, trained):
    found = trained[0]
    train, real, other = parts
    near = [nearness(found(x.items), found(train.items).float()) for x in (other, real)]
    rungs = climb(found, real.items, other.items, other.cond["label"], near)
    assert [rung.damage for rung in rungs] == ["noise", "blur", "missing modes", "copies"]
    assert all(rung.passed for rung in rungs), rungs


def test_features_that_see_nothing_fall_off_the_ladder(parts):
    _, real, other = parts

    def blind(items):
        """The mean brightness, and noise."""
        generator = torch.Generator().manual_seed(int(items.long().sum()))
        return torch.randn(len(items), 8, generator=generator)

    features = Extractor("blind", "0", SQUARES, 8, blind, "")
    rungs = climb(features, real.items, other.items, None)
    assert not all(rung.passed for rung in rungs)


def test_points_and_text_need_no_training(tmp_path):
    points = Part(torch.randn(300, 2), {}, "p")
    found = extractor(Items("points", (2,)), points, cache=tmp_path)
    assert found(points.items).shape == (300, found.dims)
    assert found.id == extractor(Items("points", (2,)), points, cache=tmp_path).id
    letters = Part(torch.randint(3, (300, 16)), {}, "t")
    assert (
        extractor(Items("text", (16,), lexicon=Letters("abc")), letters)(letters.items).shape[1]
        == 128
    )
    assert not list(tmp_path.iterdir())
