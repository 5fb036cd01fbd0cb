"""Options of a net that is not named are those of the family's usual net."""

from __future__ import annotations

import pytest

from genloom import catalog
from genloom.components import based
from genloom.errors import BadInput
from genloom.recipe import resolve


def plan(model: dict, source: str = "digits"):
    return resolve({"data": {"source": source}, "model": model, "train": {"steps": 1}})


@pytest.mark.parametrize("family", ["flow", "vae", "gan", "glow", "autoregressive"])
def test_a_width_alone_is_of_the_usual_net(family):
    usual = plan({"use": family}).recipe["model"]["net"]
    chosen = {"use": family, "net": {"width": 24}}
    made = plan(chosen)
    assert made.recipe["model"]["net"] == {**usual, "width": 24} != usual
    again = plan(made.recipe["model"])
    assert [p.shape for p in made.model.parameters()] == [p.shape for p in again.model.parameters()]
    assert sum(p.numel() for p in made.model.parameters()) != sum(
        p.numel() for p in plan({"use": family}).model.parameters()
    )
    assert chosen == {"use": family, "net": {"width": 24}}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"use": "flow", "net": {"wdth": 3}}, "unet takes no 'wdth'; did you mean 'width'"),
        ({"use": "dcgan", "net": {"width": 24}}, "dcgan takes no 'net'"),
        ({"use": "flow", "net": {"use": 3, "width": 24}}, "names no component"),
    ],
)
def test_options_that_the_usual_net_has_not_are_refused(model, words):
    with pytest.raises(BadInput, match=words):
        plan(model)


def test_options_alone_change_the_net_of_a_base(monkeypatch):
    net = {"use": "transformer", "width": 32, "dropout": 0.0}
    monkeypatch.setattr("genloom.artifact.recipe_of", lambda base: {"model": {"net": net}})
    table = {"use": "autoregressive", "base": "runs/x"}
    assert based(table)["net"] == net
    assert based({**table, "net": {"dropout": 0.1}})["net"] == {**net, "dropout": 0.1}
    named = {"use": "llama", "width": 32}
    assert based({**table, "net": named})["net"] == named


def test_texts_are_told_of_by_all_their_tokens():
    about = catalog.CATALOG["text"].about
    assert all(word in about for word in ("characters", "bytes", "pieces"))


def test_a_family_that_models_no_text_says_so_and_names_one_that_does(tmp_path):
    (tmp_path / "tiny.txt").write_text("the cat sat on a mat\n" * 99)
    with pytest.raises(BadInput, match=r"no codec turns text into that. `autoregressive` models"):
        plan({"use": "flow"}, str(tmp_path / "tiny.txt"))
