"""What a training's request may set, and how the command line reads it."""

from __future__ import annotations

import tomllib

import pytest

from genloom.recipe import override
from genloom.serve.orders import SETTING, setting_words


@pytest.mark.parametrize(
    "key",
    [
        "data.source",
        "data.path",
        "train.device",
        "train.threads",
        "train.steps",
        "train.minutes",
        "train.keep",
        "train.tensorboard",
        "train.lr.x",
        "codec.use",
        "codec.autoencoder",
        "data.tokenizer",
        "model.base",
        "model.teacher",
        "model.net.text_encoder",
        "model.base.x",
        "model",
        "model.",
        "model.net\n.width",
        "model.net=1",
        "MODEL.net",
    ],
)
def test_files_devices_and_budgets_are_not_set_by_requests(key):
    assert not SETTING.fullmatch(key)


@pytest.mark.parametrize(
    "key",
    [
        "train.lr",
        "train.seed",
        "data.size",
        "model.net.width",
        "model.rank",
        "model.net.base_width",
    ],
)
def test_the_rest_of_a_recipe_is(key):
    assert SETTING.fullmatch(key)


@pytest.mark.parametrize("value", [3, 0.5, True, "adamw", 'a"b\n]x = 1', "\u00e9\u4e16", ""])
def test_a_value_comes_through_the_command_line_as_it_was(value):
    words = setting_words({"steps": 7, "settings": {"model.drop": value}})
    assert words[:3] == ["--steps", "7", "--set"]
    assert override({}, words[3:]) == {"model": {"drop": value}}
    assert tomllib.loads(words[3].replace("model.drop", "x", 1)) == {"x": value}


def test_the_budget_is_one_of_two():
    assert setting_words({"minutes": 0.5}) == ["--minutes", "0.5"]
