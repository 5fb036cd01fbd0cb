"""Artifacts: what is saved is loaded, nothing else is; the same seed gives the same item."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from genloom import artifact, gallery
from genloom.artifact import load, save
from genloom.card import render
from genloom.errors import BadInput
from genloom.recipe import model_of, resolve

MODELS = {
    "gan": {"latent": 4, "net": {"use": "mlp_players", "width": 8}},
    "vae": {"latent": 4, "net": {"use": "mlp_coder", "width": 8}},
    "flow": {"net": {"use": "unet", "width": 8, "levels": 2, "groups": 4, "head": 8}},
    "autoregressive": {"net": {"use": "transformer", "width": 16, "layers": 1, "heads": 2}},
}


def stored(folder: Path, name: str = "vae", source: str = "digits", **more) -> Path:
    """An artifact of a model with random weights, none of them zero."""
    table = {"use": name, **(MODELS[name] if source == "digits" else {}), **more}
    plan = resolve({"data": {"source": source}, "model": table, "train": {"steps": 1}})
    with torch.no_grad():
        for p in plan.model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    recipe = {**plan.recipe, "data": {**plan.recipe["data"], "source": f"/home/me/{source}"}}
    save(
        folder / "model",
        model=plan.model,
        recipe=recipe,
        items=plan.dataset.items,
        card={"data": {"name": plan.dataset.name, "fingerprint": plan.dataset.fingerprint}},
    )
    return folder / "model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return stored(tmp_path_factory.mktemp("stored"))


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.mark.parametrize("name", MODELS)
def test_save_load_sample_is_bit_identical(name, tmp_path):
    path = stored(tmp_path, name)
    first = load(path)
    again = save(tmp_path / "b", model=first.model, recipe=first.recipe, items=first.items)
    assert again == first.hash
    second = load(tmp_path / "b")
    options = {"steps": 2} if name == "flow" else {}
    assert torch.equal(first.sample(3, seed=5, **options), second.sample(3, seed=5, **options))
    assert second.recipe == first.recipe


def test_the_folder_holds_four_files_and_no_path_of_its_maker(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "card.json",
        "recipe.toml",
        "weights.safetensors",
    ]
    for path in folder.iterdir():
        assert b"/home/me" not in path.read_bytes()
    card = json.loads((folder / "card.json").read_text())
    assert card["format"] == artifact.FORMAT
    assert card["threads"] == torch.get_num_threads()
    assert card["data"]["fingerprint"] in (folder / "README.md").read_text()


def test_saving_over_an_artifact_replaces_it_whole(folder, copy):
    stray = copy / "stray.bin"
    stray.write_bytes(b"old")
    first = load(folder)
    save(copy, model=first.model, recipe=first.recipe, items=first.items)
    assert not stray.exists()
    assert load(copy).hash == first.hash


def test_find_takes_a_run_its_model_or_its_name(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "runs" / "mine" / "model")
    paths = [artifact.find(p) for p in ("mine", "runs/mine", "runs/mine/model")]
    assert len({p.resolve() for p in paths}) == 1
    with pytest.raises(BadInput, match="did you mean 'mine'"):
        artifact.find("mien")
    (tmp_path / "runs" / "half").mkdir()
    (tmp_path / "runs" / "half" / "run.json").write_text("{}")
    with pytest.raises(BadInput, match="train --resume"):
        artifact.find("half")


@pytest.mark.parametrize("value", ["4", 4.0, None, 2.5, True])
def test_counts_are_whole_numbers(folder, value):
    model = load(folder)
    for draw in (model.sample, lambda n: next(model.stream(n)), lambda n: model.sample(1, seed=n)):
        with pytest.raises(BadInput, match=f" = {value!r}: it must be a whole number"):
            draw(value)
    assert len(model.sample(numpy.int64(2), batch=numpy.int32(1))) == 2


def rewrite(folder: Path, **changes) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **changes}))


def trust(folder: Path) -> None:
    """Make the hashes of the card true for whatever the files are now."""
    names = ("weights.safetensors", "recipe.toml")
    rewrite(folder, files={name: artifact.digest(folder / name) for name in names})


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_an_unknown_format_version_is_an_error(copy, version):
    rewrite(copy, format=version)
    with pytest.raises(BadInput, match="has format"):
        load(copy)


@pytest.mark.parametrize("name", ["weights.safetensors", "recipe.toml"])
def test_a_changed_file_is_refused(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[-1] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BadInput, match="its hash differs"):
        load(copy)


class Canary:
    """Unpickling this makes a folder."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("form", ["pickle", "torch", "zip", "empty", "huge_header", "text"])
def test_weights_are_safetensors_by_content_whatever_their_name(copy, tmp_path, form):
    import pickle

    canary, path = tmp_path / "canary", copy / "weights.safetensors"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Canary(str(canary))))
    elif form == "torch":
        torch.save({"net": Canary(str(canary))}, path)
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.pkl", pickle.dumps(Canary(str(canary))))
    else:
        path.write_bytes({"empty": b"", "huge_header": b"\xff" * 64, "text": b"hello"}[form])
    trust(copy)
    with pytest.raises(BadInput, match="is not safetensors"):
        load(copy)
    assert not canary.exists()


def test_weights_that_do_not_fit_are_refused(copy, folder):
    recipe = (copy / "recipe.toml").read_text()
    assert "latent = 4" in recipe
    (copy / "recipe.toml").write_text(recipe.replace("latent = 4", "latent = 5"))
    trust(copy)
    with pytest.raises(BadInput, match="does not fit the model"):
        load(copy)


@pytest.mark.parametrize("use", ["os:system", "tests.tiny:TinyFlow", "subprocess:run"])
def test_an_artifact_never_names_code(copy, use):
    recipe = (copy / "recipe.toml").read_text()
    assert 'use = "vae"' in recipe
    (copy / "recipe.toml").write_text(recipe.replace('use = "vae"', f'use = "{use}"'))
    trust(copy)
    with pytest.raises(BadInput, match="code outside the catalog"):
        load(copy)


@pytest.mark.parametrize(
    "card",
    ["[]", "{", "3", '{"format": 1}', '{"format": 1, "files": {}, "items": {"x": 1}}', "\xff"],
)
def test_a_card_that_is_none_is_refused(copy, card):
    (copy / "card.json").write_bytes(card.encode("latin-1"))
    with pytest.raises(BadInput):
        load(copy)


def test_text_of_a_data_set_is_plain_in_the_card(folder):
    loaded = load(folder)
    evil = {**loaded.card, "data": {"name": "{{7*7}}<script>alert(1)</script>\n# x | y"}}
    text = render(evil, loaded.recipe)
    assert "<script>" not in text.split("## How it was made")[1].split("## Recipe")[0]
    assert "{{7*7}}" in text
    assert "49" not in text


@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_gives_the_same_picture_whatever_the_batch(name, tmp_path):
    loaded = load(stored(tmp_path, name))
    options = {"steps": 3} if name == "flow" else {}
    whole = loaded.sample(8, seed=3, batch=8, **options)
    assert len(whole.flatten(1).unique(dim=0)) > 1
    for batch in (1, 3):
        assert torch.equal(whole, loaded.sample(8, seed=3, batch=batch, **options))
    assert torch.equal(whole[2:5], loaded.sample(3, seed=5, batch=2, **options))


def test_labels_by_name_and_index(folder):
    loaded = load(folder)
    assert torch.equal(loaded.sample(2, label="7"), loaded.sample(2, label=7))
    assert loaded.condition([1, 2], [3, "4"])["label"].tolist() == [3, 4]
    assert loaded.condition([1], -1)["label"].tolist() == [-1]
    drawn = loaded.condition(range(500))["label"]
    assert drawn.unique().tolist() == list(range(10))
    assert torch.equal(drawn[7:9], loaded.condition([7, 8])["label"])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"label": "seven"}, "there is no class 'seven'"),
        ({"label": 10}, "classes 0 to 9"),
        ({"label": [1, 2, 3]}, "3 labels for 2 samples"),
        ({"seed": -1}, "seed = -1"),
        ({"batch": 0}, "batch = 0"),
        ({"noyse": True}, "did you mean 'noise'"),
        ({"temperature": 3.0}, "out of range"),
    ],
)
def test_what_cannot_be_sampled_is_one_line(folder, asked, words):
    with pytest.raises(BadInput, match=words):
        load(folder).sample(2, **asked)


def test_a_model_without_labels_takes_none(tmp_path):
    labelled = load(stored(tmp_path, "vae"))
    items = replace(labelled.items, classes=())
    save(
        tmp_path / "b",
        model=model_of(labelled.recipe, items)[1],
        recipe=labelled.recipe,
        items=items,
    )
    plain = load(tmp_path / "b")
    assert plain.condition([1, 2]) == {}
    with pytest.raises(BadInput, match="without labels"):
        plain.sample(2, label=0)


def test_a_stream_ends_at_the_sample(tmp_path):
    loaded = load(stored(tmp_path, "flow"))
    *_, last = loaded.stream(2, seed=4, steps=3)
    assert torch.equal(last, loaded.sample(2, seed=4, steps=3))


@pytest.mark.parametrize("name", ["vae", "flow", "autoregressive"])
def test_a_picture_is_made_again_from_its_own_record(name, tmp_path):
    loaded = load(stored(tmp_path, name))
    options = {"steps": 3} if name == "flow" else {}
    paths, items = gallery.write(loaded, 5, tmp_path / "out", seed=40, batch=2, **options)
    assert [p.name for p in paths] == [f"0000{i}.png" for i in range(40, 45)] + ["grid.png"]
    for path, item in zip(paths, items):
        record = gallery.record_of(path)
        assert torch.equal(gallery.again(loaded, record)[0], item)
        assert "/home/me" not in json.dumps(record)
    with Image.open(paths[-1]) as grid:
        assert grid.info["model"] == loaded.hash
        assert grid.info["seed"] == "40 to 44"


def test_a_record_of_another_model_is_refused(folder, tmp_path):
    loaded = load(folder)
    (path, *_), _ = gallery.write(loaded, 1, tmp_path)
    with pytest.raises(BadInput, match="the record is of model"):
        gallery.again(loaded, {**gallery.record_of(path), "model": "0" * 64})
    Image.new("L", (4, 4)).save(tmp_path / "plain.png")
    with pytest.raises(BadInput, match="holds no record"):
        gallery.record_of(tmp_path / "plain.png")
    (tmp_path / "no.png").write_text("x")
    with pytest.raises(BadInput, match="is not a picture"):
        gallery.record_of(tmp_path / "no.png")


def test_measures_go_into_the_card_and_leave_the_hash(copy):
    loaded = load(copy)
    kid = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100, "floor": 0.01}
    artifact.note_metrics(loaded, {"kid": kid})
    assert load(copy).hash == loaded.hash
    assert "| kid | 0.5 | 0.4 to 0.6 | 100 | 0.01 |" in (copy / "README.md").read_text()
