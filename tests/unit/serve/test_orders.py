"""What a training's request may set, and how the command line reads it."""

from __future__ import annotations

import tomllib

import pytest

from genloom.given import SOURCES
from genloom.recipe import override
from genloom.serve.orders import setting_words
from genloom.serve.problems import Problem
from genloom.serve.settable import SETTING, TOKENIZERS, check_settings


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
        "data.talks",
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
        "data.captions",
        "data.caption_column",
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


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("flow", {"data.captions": True, "data.caption_column": "what it shows"}),
        ("autoregressive", {"data.document": "line", "data.text_column": "text"}),
        *(("pix2pix", {"data.given": given}) for given in (*SOURCES, "none")),
        *(("lstm", {"data.tokenizer": reads}) for reads in (*TOKENIZERS, "none")),
        ("lstm", {"data.tokenizer": "bpe", "data.vocab": 512, "train.lr": 1, "train.ema": 0.1}),
        ("flow", {"model.net.use": "mlp", "model.net.width": 64}),
        ("flow", {"model.net.width": 64}),
        ("beta_vae", {"model.beta": 2, "model.net.use": "mlp_coder"}),
        ("vae", {}),
    ],
)
def test_what_a_training_takes_passes(family, settings):
    check_settings(family, settings)


@pytest.mark.parametrize(
    ("family", "settings", "why"),
    [
        ("vae", {"model.latnet": 8}, "vae takes no 'latnet'; did you mean 'latent'"),
        ("vae", {"model.latent": "many"}, "latent = 'many' is not int"),
        ("vae", {"model.latent": -1}, "latent"),
        ("flow", {"model.ent.width": 8}, "flow takes no 'ent'; did you mean 'net'"),
        ("flow", {"model.net.widht": 8}, "flow.net takes no 'widht'; did you mean 'width'"),
        ("flow", {"model.net.use": "mlp", "model.net.levels": 2}, "mlp takes no 'levels'"),
        ("flow", {"model.net.use": "mpl"}, "mpl"),
        ("flow", {"model.net.use": 3}, "names no component"),
        ("flow", {"model.use": "mlp"}, "mlp"),
        ("flow", {"model.net": 3, "model.net.width": 3}, "'net' is a value"),
        ("flow", {"train.optimizer": "adamv"}, "adamv"),
        ("flow", {"data.given": "gray"}, "'gray' is unknown; did you mean 'grey'"),
        ("flow", {"data.captions": "captions.txt"}, "captions"),
        ("lstm", {"data.document": "/etc/passwd"}, "document"),
        ("lstm", {"data.vocab": "512"}, "vocab"),
        ("lstm", {"data.tokenizer": "byte"}, "did you mean 'bytes'"),
        *(
            ("lstm", {"data.tokenizer": path}, "no way to read|cannot be set so")
            for path in ("/etc", ".", "runs/mine", "bpe/", "../bytes", "hf://x/y", "")
        ),
    ],
)
def test_what_a_training_would_refuse_is_refused_at_once(family, settings, why):
    with pytest.raises(Problem, match=why) as caught:
        check_settings(family, settings)
    assert (caught.value.status, caught.value.param) == (400, "settings")
