"""A negative caption: what guidance leads away from."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from genloom import artifact
from genloom.core import Caption, Items, Real, Tokens
from genloom.errors import BadInput
from genloom.models.diffusion import Diffusion
from genloom.nets.mlp import Mlp
from genloom.recipe import model_of
from genloom.sampling import sample

CAPTION = {"caption": Tokens((3,), 5)}
GIVEN, OTHER = torch.tensor([[1, 2, 0], [3, 4, 1]]), torch.tensor([[4, 4, 0], [-1, -1, -1]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = Diffusion(Real((2,)), CAPTION, net=partial(Mlp, width=16, blocks=1))
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return made.eval()


@torch.no_grad()
def test_the_guess_is_led_away_from_it_and_from_nothing_where_it_is_hidden(model):
    x, sigma = torch.randn(2, 2), torch.ones(2)
    found = model.guided({"caption": GIVEN, "negative_caption": OTHER}, 3.0, 0.1, 10.0)(x, sigma)
    shown = model.denoise(x, sigma, {"caption": GIVEN})
    away = model.denoise(x, sigma, {"caption": OTHER})
    torch.testing.assert_close(found, away + 3.0 * (shown - away))
    plain = model.guided({"caption": GIVEN}, 3.0, 0.1, 10.0)(x, sigma)
    torch.testing.assert_close(found[1], plain[1])
    assert (found[0] - plain[0]).abs().max() > 1e-4


def test_it_says_nothing_without_guidance_and_is_not_taken_from_another_model(model):
    given = {"caption": GIVEN, "negative_caption": OTHER}
    for weight in (0.0, 1.0):
        a, b = (
            sample(model, 2, cond, steps=3, guidance=weight) for cond in (given, {"caption": GIVEN})
        )
        assert torch.equal(a, b)
    with pytest.raises(BadInput, match="no condition 'negative_label'"):
        sample(model, 2, {"negative_label": torch.tensor([1, 2])}, steps=3)


def test_an_artifact_takes_a_text(tmp_path):
    items = Items("image", (1, 8, 8), caption=Caption("abcdef ", 8))
    found = {}
    for codec, use in (("image", "flow"), ("pixels", "autoregressive")):
        recipe = {"codec": {"use": codec}, "model": {"use": use}}
        _, made = model_of(recipe, items)
        artifact.save(tmp_path / use, model=made, recipe=recipe, items=items)
        found[use] = artifact.load(tmp_path / use)
    flow = found["flow"]
    cond = flow.condition([0, 1], caption="a bed", negative=["bad", ""])
    assert torch.equal(cond["negative_caption"][0], items.caption.encode("bad"))
    assert (cond["negative_caption"][1] == -1).all()
    records = flow.records(2, caption="a bed", negative=["bad", "fed"], steps=2)
    assert [r["negative"] for r in records] == ["bad", "fed"]
    assert "negative" not in flow.records(1)[0]
    with pytest.raises(BadInput, match="not guided"):
        found["autoregressive"].condition([0], negative="bad")
    bare = replace(flow, model=model_of({"codec": {"use": "image"}, "model": {"use": "flow"}},
                                        Items("image", (1, 8, 8)))[1])  # fmt: skip
    with pytest.raises(BadInput, match="without captions"):
        bare.condition([0], negative="bad")
