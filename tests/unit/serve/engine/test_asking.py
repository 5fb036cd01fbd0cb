"""Walks, codes, changes of what is given: each is what the library makes, alone and in a crowd."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from genloom.artifact import Artifact
from genloom.codecs import Pixels
from genloom.core import Items, Rng, Walk
from genloom.errors import BadInput
from genloom.models.masked_diffusion import MaskedDiffusion
from genloom.nets.bidirectional import Bidirectional
from genloom.serve.engine.batching import Batcher
from genloom.serve.engine.messages import Encoded
from genloom.serve.engine.request import Encode, Request
from tests.unit.serve.engine.made import finals, held, run

PICTURES = (torch.arange(3 * 64) % 256).to(torch.uint8).view(3, 1, 8, 8)
MASK = torch.zeros(1, 8, 8, dtype=torch.bool)
MASK[:, :4] = True


@pytest.fixture(scope="module")
def models() -> dict:
    torch.manual_seed(0)
    return {name: held(name) for name in ("gan", "vae", "flow", "autoregressive")}


def one(models, request: Request):
    return finals(run(Batcher(models), [request]))[request.id]


@pytest.mark.parametrize("name", ["gan", "vae", "flow", "autoregressive"])
def test_a_walk_goes_from_one_sample_to_the_other_alone_and_in_a_crowd(models, name):
    walk = Request(model=name, seeds=(3,) * 4, toward=5, mix=(0.0, 0.3, 0.7, 1.0), label=2)
    ends = Request(model=name, seeds=(3, 5), label=2)
    found = finals(run(Batcher(models), [ends, walk]))
    assert torch.equal(found[walk.id].items[[0, 3]], found[ends.id].items)
    assert not torch.equal(found[walk.id].items[1], found[walk.id].items[0])
    assert torch.equal(one(models, walk).items, found[walk.id].items)
    for i, mix in enumerate(walk.mix):
        single = one(models, replace(walk, seeds=(3,), mix=(mix,), id=str(i)))
        assert torch.equal(single.items[0], found[walk.id].items[i])
    assert found[walk.id].records[1]["toward"] == "5"
    assert found[walk.id].records[1]["mix"] == "0.3"
    assert "toward" not in found[ends.id].records[0]
    model, codec = models[name].model, models[name].codec
    rng = Walk([3] * 4, [5] * 4, walk.mix)
    with torch.inference_mode():
        *_, x = model.sample_steps(rng, {"label": torch.full((4,), 2)}, **models[name].options())
    assert torch.equal(codec.decode(x), found[walk.id].items)


def test_codes_are_decoded_and_items_encoded(models):
    model, codec = models["vae"].model, models["vae"].codec
    z = torch.randn(3, model.latent)
    request = Request(model="vae", seeds=(1, 2, 3), latent=z, label=4)
    plain = Request(model="vae", seeds=(1,))
    asked = [Encode(model="vae", items=PICTURES), Encode(model="vae", items=PICTURES[:1])]
    events = run(Batcher(models), [request, plain, *asked])
    with torch.inference_mode():
        filled = torch.cat([z, z[-1:]])
        x = model.decode(filled, {"label": torch.full((4,), 4)})[:3]
        codes = model.encode(codec.encode(PICTURES[[0, 1, 2, 0]]), {})
    assert torch.equal(finals(events)[request.id].items, codec.decode(x))
    assert finals(events)[request.id].records[0]["latent"].startswith("[")
    found = {event.id: event.values for event in events if isinstance(event, Encoded)}
    assert torch.equal(found[asked[0].id], codes[:3])
    assert torch.equal(found[asked[1].id], codes[:1])
    assert found[asked[0].id].dtype == torch.float32


def test_what_is_given_is_changed_where_it_may_be(models):
    options = {"steps": 4}
    request = Request(
        model="flow", seeds=(1, 2), source=PICTURES[:1], mask=MASK, strength=0.5, options=options
    )
    found = finals(run(Batcher(models), [request, replace(request, seeds=(7,), id="b")]))
    items = found[request.id].items
    assert torch.equal(items[:, :, 4:], PICTURES[:1, :, 4:].expand(2, -1, -1, -1))
    assert not torch.equal(items[:, :, :4], PICTURES[:1, :, :4].expand(2, -1, -1, -1))
    assert torch.equal(one(models, request).items, items)
    record = found[request.id].records[0]
    assert record["strength"] == "0.5" and len(record["source"]) == len(record["mask"]) == 64
    kept = one(models, replace(request, strength=0.0, mask=None, id="c"))
    assert torch.equal(kept.items, PICTURES[:1].expand(2, -1, -1, -1))
    model, codec = models["flow"].model, models["flow"].codec
    source = codec.encode(PICTURES[:1].expand(4, -1, -1, -1))
    cond = models["flow"].condition((1, 2, 2, 2))
    chosen = models["flow"].options() | options
    with torch.inference_mode():
        steps = model.edit_steps(
            Rng((1, 2, 2, 2)),
            cond,
            source,
            MASK[None].expand(4, -1, -1, -1),
            strength=0.5,
            **chosen,
        )
        *_, x = steps
    assert torch.equal(codec.decode(x[:2]), items)


def grid(patch: int) -> Artifact:
    """Masked diffusion over pictures of 8 x 8 pixels, whose tokens are squares of them."""
    items = Items("image", (1, 8, 8))
    codec = Pixels(items, levels=2, patch=patch)
    net = partial(Bidirectional, width=16, layers=1, heads=2)
    model = MaskedDiffusion(codec.space, {}, net=net).eval()
    recipe = {"model": {"use": "mdlm"}, "data": {"source": "two"}}
    return Artifact(Path(), recipe, {}, items, model, codec, "2" * 64)


@pytest.mark.parametrize("patch", [1, 2])
def test_tokens_change_where_a_mask_of_pixels_says(patch):
    about = grid(patch)
    black = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    mask = MASK.clone()
    mask[:, 3, 0] = False
    request = Request(model="grid", seeds=(1, 2), source=black, mask=mask)
    (items,) = [event.items for event in finals(run(Batcher({"grid": about}), [request])).values()]
    free = torch.zeros(8, 8, dtype=torch.bool)
    free[:4] = True
    free[4 - patch : 4, :patch] = False  # all of a token's square stays where one pixel does
    assert (items[:, 0, ~free] == 0).all() and items[:, 0, free].any()
    with pytest.raises(BadInput, match="mask has the shape"):
        Batcher({"grid": about}).add(replace(request, mask=mask[:, :, :4], id="b"))


WRONG = [
    {"model": "flow", "latent": torch.zeros(1, 4)},
    {"model": "vae", "latent": torch.zeros(1, 5)},
    {"model": "vae", "latent": torch.zeros(2, 4)},
    {"model": "vae", "latent": torch.full((1, 4), float("nan"))},
    {"model": "vae", "source": PICTURES[:1]},
    {"model": "flow", "source": PICTURES[:2]},
    {"model": "flow", "source": PICTURES[:1, :, :4]},
    {"model": "flow", "source": PICTURES[:1].float()},
    {"model": "flow", "source": PICTURES[:1], "mask": MASK[:, :3]},
    {"model": "flow", "source": PICTURES[:1], "mask": MASK.float()},
    {"model": "flow", "mask": MASK},
    {"model": "flow", "source": PICTURES[:1], "strength": 1.5},
    {"model": "flow", "source": PICTURES[:1], "toward": 3, "mix": (0.5,)},
    {"model": "flow", "most": 3},
    {"model": "flow", "stop": ((1,),)},
    {"model": "flow", "stops": ("a",)},
    {"model": "flow", "grammar": ("regex", "a")},
    {"model": "autoregressive", "grammar": ("regex", "a")},
    {"model": "flow", "logprobs": 0},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wish_that_the_model_cannot_meet_is_refused(models, wrong):
    with pytest.raises(BadInput):
        Batcher(models).add(Request(seeds=(1,), **wrong))


@pytest.mark.parametrize(
    ("model", "items"),
    [("flow", PICTURES), ("vae", PICTURES[0]), ("vae", PICTURES.float()), ("vae", PICTURES[:0])],
)
def test_items_that_cannot_be_encoded_are_refused(models, model, items):
    with pytest.raises(BadInput):
        Batcher(models).add(Encode(model=model, items=items))
