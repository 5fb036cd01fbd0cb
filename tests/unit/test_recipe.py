"""Recipes are data: they round-trip, refuse what they do not know, and name what is nearest."""

from __future__ import annotations

import functools
import inspect
import math
import random
import re
import tomllib
from pathlib import Path

import pytest
import torch

from genloom import catalog, components, recipe, toml
from genloom.core import Items, Real, Tokens
from genloom.data import open_dataset
from genloom.errors import BadInput
from genloom.recipe import build, changes, completed, merged, override, resolve
from genloom.runs import compose

PLANE, IMAGE = Real((2,)), Real((1, 8, 8), levels=256)
LABEL = {"label": Tokens((), 10)}


def anything(rng: random.Random, depth: int = 0):
    """A random piece of recipe data."""
    kind = rng.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return rng.choice([True, False])
    if kind == 1:
        return rng.randrange(-(2**62), 2**62)
    if kind == 2:
        return rng.choice([0.0, -1.5, 1e-300, 1e22, math.pi, float("inf"), rng.random()])
    if kind in (3, 4):
        letters = [chr(rng.choice([*range(0xD800), *range(0xE000, 0x11000)])) for _ in range(6)]
        return "".join(letters) + rng.choice(['"', "\\", "\n", "\x7f", "'''", "${x}", "\x00", ""])
    if kind == 5:
        return [anything(rng, 3) for _ in range(rng.randrange(4))]
    return {anything_key(rng): anything(rng, depth + 1) for _ in range(rng.randrange(4))}


def anything_key(rng: random.Random) -> str:
    return rng.choice(
        ["a", "lr", "A-1", "with space", 'quo"te', "dot.ted", "", "\u00e9", "7"]
    ) + str(rng.randrange(5))


@pytest.mark.parametrize("seed", range(200))
def test_what_is_written_is_read_back(seed):
    rng = random.Random(seed)
    table = {anything_key(rng): anything(rng) for _ in range(5)}
    assert tomllib.loads(toml.dumps(table)) == table


def test_none_is_left_out_and_objects_are_refused():
    assert toml.dumps({"a": None, "b": {"c": None, "d": 1}}) == "[b]\nd = 1\n"
    with pytest.raises(BadInput, match="is not TOML data"):
        toml.dumps({"a": torch.nn.Linear})


def test_overrides_reach_inner_tables_and_replace_the_budget():
    base = {"model": {"use": "flow"}, "train": {"minutes": 5, "lr": 1e-3}}
    new = override(base, ["train.steps=100", "model.net.use=unet", "model.net.width=16"])
    assert new["train"] == {"lr": 1e-3, "steps": 100}
    assert new["model"]["net"] == {"use": "unet", "width": 16}
    assert base["train"] == {"minutes": 5, "lr": 1e-3}
    assert override({}, ["data.source=some where/x"])["data"]["source"] == "some where/x"


@pytest.mark.parametrize(
    "settings",
    [
        ["data.document=line", "train.clip=none", "model.net.width=16"],
        {"data.document": "line", "train.clip": None, "model.net.width": 16},
        {"data": {"document": "line"}, "train": {"clip": None}, "model": {"net": {"width": 16}}},
        {"data": {"document": "line"}, "train.clip": None, "model": {"net.width": 16}},
    ],
)
def test_settings_are_lines_or_tables(settings):
    base = {"data": {"source": "x"}, "model": {"net": {"use": "unet"}}}
    assert override(base, settings) == {
        "data": {"source": "x", "document": "line"},
        "model": {"net": {"use": "unet", "width": 16}},
        "train": {"clip": "none"},
    }


def test_one_setting_is_one():
    assert override({}, "data.document=line") == {"data": {"document": "line"}}
    for settings in ("document=line", {"document": "line"}, {"data": "line"}):
        with pytest.raises(BadInput, match=r"is not TABLE\.KEY=VALUE"):
            override({}, settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"a": 1}, "the setting a=1 is not TABLE.KEY=VALUE"),
        ({"data": {"source": Path("x")}}, "the setting data.source = "),
        ({"model.drop": [Path("x")]}, "the setting model.drop = "),
        ({"train": {"lr": 1, "lr.x": 2}}, "the setting train.lr.x=2: 'lr' is a value"),
        (5, "settings = 5: it must be a text such as 'train.steps=100'"),
        (None, "settings = None: it must be a text"),
        ([5], "settings: 5 must be a text"),
        ([{"train.lr": 1}], "settings: {'train.lr': 1} must be a text"),
        ({"train": {"lr": None}}, "train: lr = None is not float."),
        ({"train.device": None}, "train: device = None is not str."),
        ({"model.net.width": None}, "mlp: width = None is not int."),
    ],
)
def test_settings_that_cannot_be_are_one_line(settings, says):
    with pytest.raises(BadInput, match=re.escape(says)) as error:
        resolve(compose(None, data="moons", model="flow", settings=settings))
    assert "\n" not in str(error.value) and "--set" not in str(error.value)
    plan = resolve(compose(None, data="moons", model="flow", settings={"train.clip": None}))
    assert plan.options.clip is None


@pytest.mark.parametrize("setting", ["steps=1", "train.steps", "train.=3", "=", "train"])
def test_a_setting_without_its_parts_is_refused(setting):
    with pytest.raises(BadInput, match=r"TABLE\.KEY=VALUE"):
        override({}, [setting])


def test_build_gives_options_and_inner_factories():
    model = build(
        {"use": "gan", "latent": 5, "net": {"use": "mlp_players", "width": 16}},
        PLANE,
        {},
        kind="model",
    )
    assert model.space == PLANE
    assert model.generator.first.in_features == 5


def test_inner_tables_become_partials():
    _, fields = components._prepared(
        {"use": "gan", "net": {"use": "mlp_players", "width": 16}}, None, False
    )
    assert isinstance(fields["net"], functools.partial)
    assert fields["net"].keywords == {"width": 16}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"use": "flov"}, "no model is called 'flov'; did you mean 'flow'"),
        ({"use": "vae", "latnet": 3}, "vae takes no 'latnet'; did you mean 'latent'"),
        ({"use": "vae", "latent": 0}, "latent = 0 is out of range"),
        ({"use": "vae", "latent": "3"}, "latent = '3' is not int"),
        ({"use": "vae", "latent": True}, "latent = True is not int"),
        ({"use": "vae", "latent": [1]}, r"latent = \[1\] is not int"),
        ({"use": "vae", "likelihood": "gausian"}, "did you mean 'gaussian'"),
        ({"use": "vae", "net": {"use": "mlp_codr"}}, "did you mean 'mlp_coder'"),
        ({"use": "vae", "net": {"use": "mlp_coder", "wdth": 3}}, "did you mean 'width'"),
        ({"use": "vae", "net": {"use": "mlp_players"}}, "vae.net cannot be 'mlp_players'"),
        ({"use": "vae", "net": {"width": 3}}, "names no component"),
        ({"use": "image"}, "no model is called 'image'"),
        ({"latent": 3}, "names no component"),
        ({"use": 7}, "names no component"),
    ],
)
def test_what_does_not_fit_is_one_line(table, words):
    with pytest.raises(BadInput, match=words) as caught:
        build(table, IMAGE, LABEL, kind="model")
    assert "\n" not in str(caught.value)


HOSTILE = [
    "os:system",
    "builtins:eval",
    "subprocess:run",
    "genloom.artifact:save",
    "os.system",
    "!!python/object/apply:os.system",
    "hydra.utils:instantiate",
    "../evil:Model",
    "__import__('os'):system",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_code_resolve_nowhere(name):
    for table in ({"use": name}, {"use": "vae", "net": {"use": name}}):
        with pytest.raises(BadInput):
            build(table, IMAGE, {}, kind="model")


@pytest.mark.parametrize(
    "key", ["_target_", "__class__", "_partial_", "class_path", "space", "self"]
)
def test_keys_that_are_no_options_are_refused(key):
    with pytest.raises(BadInput, match="takes no"):
        build({"use": "vae", key: "os.system"}, IMAGE, {}, kind="model")


def test_code_loads_only_for_whoever_allows_it():
    table = {"use": "tests.tiny:TinyFlow", "width": 4}
    with pytest.raises(BadInput, match="--allow-code"):
        build(table, PLANE, {}, kind="model")
    assert build(table, PLANE, {}, kind="model", allow_code=True).net[0].out_features == 4
    with pytest.raises(BadInput, match="cannot be loaded"):
        build({"use": "tests.tiny:Nope"}, PLANE, {}, kind="model", allow_code=True)


def test_completed_names_every_default():
    full = completed({"use": "beta_vae"})
    assert full == {"use": "beta_vae", "latent": 10, "beta": 4.0}
    assert completed(full) == full
    assert completed({"use": "gan", "net": {"use": "mlp_players"}})["net"]["norm"] == "none"


def test_tables_that_are_unknown_are_refused():
    with pytest.raises(BadInput, match="no table 'trian'; did you mean 'train'"):
        recipe.sections({"trian": {}})
    with pytest.raises(BadInput, match="must be a table"):
        recipe.sections({"train": 3})


def test_train_options_merge_in_order():
    options = merged({"lr": 5e-4, "batch": 128, "clip": None}, {"lr": 1e-2, "minutes": 2})
    assert (options.lr, options.batch, options.clip, options.minutes) == (1e-2, 128, None, 2.0)
    assert options.beta1 == 0.9


def test_the_callers_budget_replaces_the_familys():
    options = merged({"steps": 100}, {"minutes": 2})
    assert (options.steps, options.minutes) == (None, 2.0)


def test_none_is_sayable_and_recorded():
    options = merged({}, {"clip": "none", "steps": 3})
    assert options.clip is None
    full = recipe.recorded(options)
    assert full["clip"] == "none"
    assert merged({}, full) == options
    with pytest.raises(BadInput, match="not float"):
        merged({}, {"lr": "none"})


def test_unknown_train_options_name_the_nearest():
    with pytest.raises(BadInput, match="train takes no 'step'; did you mean 'steps'"):
        merged({}, {"step": 3})


def test_resolve_records_every_value_and_is_idempotent():
    plan = resolve({"data": {"source": "moons"}, "model": {"use": "flow"}, "train": {"steps": 5}})
    assert plan.name == "moons-flow"
    assert plan.recipe["codec"]["use"] == "points"
    assert plan.recipe["train"]["steps"] == 5
    assert "minutes" not in plan.recipe["train"]
    assert plan.recipe["data"]["valid"] == 0.1
    text = recipe.dumps(plan.recipe)
    again = resolve(tomllib.loads(text))
    assert recipe.dumps(again.recipe) == text
    assert again.options == plan.options
    states = zip(plan.model.state_dict().values(), again.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in states)


@pytest.mark.parametrize("name", ["gan", "vae", "cvae", "flow", "ddpm", "autoregressive"])
def test_a_better_default_net_leaves_recorded_models_as_they_are(name, monkeypatch):
    plan = resolve({"data": {"source": "digits"}, "model": {"use": name}, "train": {"steps": 1}})
    assert plan.recipe["model"]["net"]["use"] in catalog.names("net")
    before = {key: value.shape for key, value in plan.model.state_dict().items()}
    cls = recipe.family(catalog.find(name))
    monkeypatch.setattr(cls, "usual_net", staticmethod(lambda space: pytest.fail("asked again")))
    _, again = recipe.model_of(plan.recipe, plan.dataset.items)
    assert {key: value.shape for key, value in again.state_dict().items()} == before


def test_weights_depend_on_the_seed_alone():
    base = {"data": {"source": "moons"}, "model": {"use": "flow"}, "train": {"steps": 5}}
    plans = []
    for draws, seed in ((0, 0), (7, 0), (0, 1)):
        torch.rand(draws)
        before = torch.get_rng_state()
        plans.append(resolve(override(base, [f"train.seed={seed}"])))
        assert torch.equal(before, torch.get_rng_state())
    first, same, other = ([p.detach() for p in plan.model.parameters()] for plan in plans)
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("source", "model", "codec"),
    [
        ("digits", "gan", "image"),
        ("digits", "autoregressive", "pixels"),
        ("moons", "vae", "points"),
    ],
)
def test_the_codec_follows_from_data_and_model(source, model, codec):
    plan = resolve({"data": {"source": source}, "model": {"use": model}})
    assert plan.recipe["codec"]["use"] == codec
    assert isinstance(plan.codec.space, type(plan.model.space))


def test_a_family_that_cannot_model_the_data_says_so():
    with pytest.raises(BadInput, match="models Tokens; no codec turns points into that"):
        resolve({"data": {"source": "moons"}, "model": {"use": "autoregressive"}})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"data": {}, "model": {"use": "gan"}}, "names no data"),
        ({"data": {"source": "moons"}, "model": {}}, "names no component"),
        ({"data": {"source": "moons", "sise": 3}, "model": {"use": "gan"}}, "did you mean 'size'"),
        ({"data": {"source": "mons"}, "model": {"use": "gan"}}, "did you mean 'moons'"),
    ],
)
def test_a_recipe_that_does_not_fit_is_one_line(table, words):
    with pytest.raises(BadInput, match=words) as caught:
        resolve(table)
    assert "\n" not in str(caught.value)


def test_load_recipe_refuses_what_is_no_recipe(tmp_path):
    with pytest.raises(BadInput, match="there is no recipe"):
        recipe.load_recipe(tmp_path / "nope.toml")
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"a = \xff")
    with pytest.raises(BadInput, match="is not TOML"):
        recipe.load_recipe(bad)
    bad.write_text("a: &x [*x, *x]")
    with pytest.raises(BadInput, match="is not TOML"):
        recipe.load_recipe(bad)


def test_every_committed_recipe_parses_and_names_what_exists():
    paths = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
    assert paths
    for path in paths:
        tables = recipe.sections(recipe.load_recipe(path))
        model = tables["model"]
        known = recipe.accepted(catalog.find(model["use"], "model"))
        assert set(model) - {"use"} <= set(known), path
        merged({}, tables["train"])
        assert path.read_text(encoding="utf-8").startswith("# genloom train "), path


def test_the_data_table_is_the_signature_of_open_dataset():
    theirs = dict(inspect.signature(open_dataset).parameters)
    assert theirs.pop("cache").default is None
    ours = inspect.signature(recipe.open_data).parameters
    assert {n: p.default for n, p in ours.items()} == {n: p.default for n, p in theirs.items()}


def test_items_without_labels_have_no_conditions():
    assert Items("points", (2,)).conditions == {}


def test_of_another_component_its_name_is_told_and_not_its_options():
    net = {"use": "mlp", "width": 16, "blocks": 1}
    old = resolve({"data": {"source": "moons"}, "model": {"use": "flow", "net": net}}).recipe
    new = resolve({"data": {"source": "moons"}, "model": {"use": "vae"}}).recipe
    found = changes(old, new)
    assert found[0] == "model.use (flow, now vae)"
    assert not [change for change in found[1:] if change.startswith("model.")]
    assert changes(old, old) == []
    wider = {**old, "model": {**old["model"], "net": old["model"]["net"] | {"width": 32}}}
    assert changes(old, wider) == ["model.net.width (16, now 32)"]
