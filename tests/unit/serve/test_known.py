"""What the server says of a model is what its sampler takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from genloom.cli import parser
from genloom.errors import BadInput
from genloom.lexicon import Bytes
from genloom.serve.app import create_app
from genloom.serve.known import learn, named
from genloom.serve.making import label_of, seeds_of
from genloom.serve.problems import Problem
from genloom.serve.prompts import prompt_of, room_after
from genloom.serve.routes.images import label_in, size_of
from genloom.serve.settings import Limits, Settings
from genloom.serve.verbs import settings_of
from tests.e2e.server import make_models


@pytest.fixture(scope="module")
def known(tmp_path_factory, cache):
    models = make_models(tmp_path_factory.mktemp("models"))
    return {name: learn(name, folder) for name, folder in models.items()}


def test_the_schema_is_the_signature(known):
    fields = known["digits"].schema()["properties"]
    assert fields["steps"]["type"] == "integer" and fields["steps"]["minimum"] == 1
    assert fields["solver"]["default"] in fields["solver"]["enum"]
    assert fields["label"]["enum"] == [str(i) for i in range(10)]
    assert set(fields) - {"seed", "label"} == set(known["digits"].options)
    assert "label" not in known["words"].schema()["properties"]


def test_what_models_can_do(known):
    assert {name: one.tokens for name, one in known.items()} == {
        "digits": False, "codes": False, "words": True, "moons": False,
    }  # fmt: skip
    assert known["codes"].latent == 4 and known["digits"].latent is None
    assert known["digits"].edits and not known["codes"].edits
    assert known["digits"].card()["shape"] == [1, 8, 8]


def test_int8_is_for_transformers_and_is_told(known, tmp_path):
    assert {name for name, one in known.items() if one.packs} == {"words"}
    folders = {name: known[name].folder for name in ("words", "digits")}
    app = create_app(Settings(folders, tmp_path, int8=True))
    assert app.state.services.pool.options.int8 == ["words"]
    listed = TestClient(app, "http://127.0.0.1:8000").get("/v1/models").json()["data"]
    told = {one["id"]: one["int8"] for one in listed}
    assert told == {"words": True, "digits": False}
    with pytest.raises(BadInput, match="leave it out"):
        create_app(Settings({"digits": known["digits"].folder}, tmp_path / "other", int8=True))
    flags = parser().parse_args(["serve", str(known["words"].folder), "--int8"])
    assert settings_of(flags).int8


def test_options_are_checked_and_steps_are_bounded(known):
    assert known["digits"].chosen({"steps": 7}, most_steps=10) == {"steps": 7}
    with pytest.raises(Problem, match="steps = 11: at most 10"):
        known["digits"].chosen({"steps": 11}, most_steps=10)
    with pytest.raises(Problem, match="did you mean 'steps'"):
        known["digits"].chosen({"step": 7}, most_steps=10)


def test_a_name_may_be_left_out_where_there_is_one_model(known):
    assert named({"digits": known["digits"]}, None) is known["digits"]
    with pytest.raises(Problem, match="model is missing"):
        named(known, None)


@pytest.mark.parametrize(("prompt", "label"), [("7", 7), ("a 3, please", 3), ("", None)])
def test_a_prompt_names_a_class(known, prompt, label):
    assert label_in(known["digits"], prompt) == label


def test_seeds_labels_prompts_and_sizes_have_bounds(known):
    limits = Limits(samples=4, prompt=10)
    assert seeds_of(5, 3, limits) == (5, 6, 7)
    assert len(set(seeds_of(None, 4, limits))) == 4
    for seed, n in ((0, 0), (0, 5), (-1, 1), (2**62, 1)):
        with pytest.raises(Problem):
            seeds_of(seed, n, limits)
    assert label_of(known["digits"], "4") == 4
    for label in ("ten", 10, -2):
        with pytest.raises(Problem):
            label_of(known["digits"], label)
    assert len(prompt_of(known["words"], "the loom", limits)) == 8
    for name, prompt in (("words", "X"), ("words", "t" * 11), ("digits", "t")):
        with pytest.raises(Problem):
            prompt_of(known[name], prompt, limits)
    words = known["words"]
    any_text = replace(words, items=replace(words.items, lexicon=Bytes()))
    with pytest.raises(Problem, match="surrogate"):
        prompt_of(any_text, "a\ud800", limits)
    assert size_of("auto", 100) is None and size_of("30x100", 100) == (30, 100)
    for size in ("101x5", "0x5", "5", "5x5x5", "1e2x5"):
        with pytest.raises(Problem):
            size_of(size, 100)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("x", False)],
)
def test_only_loopback_is_local(host, local, tmp_path):
    settings = Settings({"digits": tmp_path}, tmp_path, host=host, hosts=("Loom.example",))
    assert settings.local is local
    assert "loom.example" in settings.names() and "0.0.0.0" not in settings.names()
    if not local:
        with pytest.raises(ValueError, match="genloom keys add NAME"):
            settings.check(keyed=False)
    settings.check(keyed=True)


@pytest.mark.parametrize(
    ("given", "most", "param", "code"),
    [
        (32, None, "prompt", "context_length_exceeded"),
        (40, 5, "prompt", "context_length_exceeded"),
        (28, 5, "max_tokens", "context_length_exceeded"),
        (28, 0, "max_tokens", "invalid_value"),
    ],
)
def test_a_prompt_and_what_follows_it_must_fit(known, given, most, param, code):
    assert room_after(known["words"], 28, 4, param="prompt") == 4
    assert room_after(known["words"], 0, 32, param="prompt") == 32
    with pytest.raises(Problem, match=f"length is 32 tokens; the prompt has {given}") as caught:
        room_after(known["words"], given, most, param="prompt")
    assert (caught.value.param, caught.value.code, caught.value.status) == (param, code, 400)
