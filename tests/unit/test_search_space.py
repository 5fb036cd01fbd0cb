"""What a search may name: strict forms, types of the recipe, and nothing that changes the terms."""

from __future__ import annotations

import pytest

from genloom.errors import BadInput
from genloom.recipe import resolve
from genloom.search_space import Choices, Range, parse, value_of


@pytest.fixture(scope="module")
def recipe():
    return resolve({"data": {"source": "moons"}, "model": {"use": "flow"}}).recipe


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("train.lr=1e-4..1e-2", Range("train.lr", 1e-4, 1e-2, True)),
        ("train.lr=1e-3..9e-3", Range("train.lr", 1e-3, 9e-3, False)),
        ("train.lr=0..1", Range("train.lr", 0.0, 1.0, False)),
        ("train.batch=8..80", Range("train.batch", 8, 80, True)),
        ("model.net.width=32, 64", Choices("model.net.width", (32, 64))),
        ("train.schedule=linear,cosine", Choices("train.schedule", ("linear", "cosine"))),
        ("train.clip=none,1", Choices("train.clip", ("none", 1.0))),
        ("data.flip=true,false", Choices("data.flip", (True, False))),
    ],
)
def test_a_parameter_has_the_type_and_scale_of_its_option(recipe, text, wanted):
    (found,) = parse([text], recipe)
    assert found == wanted
    if isinstance(found, Range):
        assert type(found.low) is type(wanted.low)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("train.lr", "is not KEY=LOW..HIGH"),
        ("train.lrr=1,2", "did you mean 'lr'"),
        ("trian.lr=1,2", "did you mean 'train'"),
        ("model.nte.width=1,2", "did you mean 'net'"),
        ("model.net.widht=1,2", "did you mean 'width'"),
        ("model.net=a,b", "only numbers"),
        ("model.use=flow,vae", "there is no 'use'"),
        ("train.lr=1e-2..1e-4", "must be a number below"),
        ("train.lr=1e-4..", "is not float"),
        ("train.lr=1..2..3", "is not KEY=LOW..HIGH"),
        ("train.lr=1..inf", "must be a number below"),
        ("train.lr=-1..1", "out of range"),
        ("train.batch=1.5..8", "is not int"),
        ("train.schedule=linear,cosin", "did you mean 'cosine'"),
        ("train.lr=1e-3", "two values or more"),
        ("train.lr=0.1,0.1", "all different"),
        ("train.steps=10,20", "cannot be compared"),
        ("train.seed=1,2", "cannot be compared"),
        ("data.valid=0.1,0.2", "cannot be compared"),
        ("codec.levels=2,4", "Known: data, model, train"),
    ],
)
def test_a_mistake_is_one_line(recipe, text, match):
    with pytest.raises(BadInput, match=match):
        parse([text], recipe)


def test_a_key_is_named_once_and_there_is_one(recipe):
    with pytest.raises(BadInput, match="named twice"):
        parse(["train.lr=1,2", "train.lr=3,4"], recipe)
    with pytest.raises(BadInput, match="nothing to search"):
        parse([], recipe)


def test_a_search_holds_the_values_within_it(recipe):
    width = value_of(recipe, "model.net.width")
    assert Range("model.net.width", width, width + 1, False).holds(width)
    assert not Range("model.net.width", width + 1, width + 2, False).holds(width)
    assert not Range("train.lr", 0.0, 2.0, False).holds(True)
    assert Choices("data.flip", (True, False)).holds(False)
    assert not Choices("data.flip", (True, False)).holds(0)
    assert value_of(recipe, "model.net.none") is None
