"""A trained autoencoder as a codec: its codes, and an artifact that holds it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from genloom import artifact
from genloom.codecs import Image, Latent, latent
from genloom.core import Items, Real, Tokens, options
from genloom.errors import BadInput
from genloom.recipe import model_of, resolve
from genloom.trainer import train

ITEMS = Items("image", (1, 8, 8))
CODER = {"use": "grid_coder", "down": 2, "width": 8, "hidden": 8, "blocks": 1}
MODELS = {
    "kl_autoencoder": {"use": "kl_autoencoder", "latent": 2, "net": CODER},
    "vqvae": {"use": "vqvae", "codes": 8, "prior_layers": 1, "prior_width": 8, "net": CODER},
    "fsq": {"use": "fsq", "levels": [3, 2], "prior_layers": 1, "prior_width": 8, "net": CODER},
}


def noise(n: int = 5) -> torch.Tensor:
    stream = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=stream)


@pytest.fixture(params=MODELS)
def coder(request, tmp_path):
    """The folder of an autoencoder."""
    return made(tmp_path / "ae", MODELS[request.param])


def made(folder, table, seed: int = 0, items: Items = ITEMS):
    recipe = {"codec": {"use": "image"}, "model": table}
    _, model = model_of(recipe, items)
    torch.manual_seed(seed)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    artifact.save(folder, model=model, recipe=recipe, items=items)
    return folder


def outer(folder, coder, **options):
    """An artifact of a model on the codes of an autoencoder."""
    codec = Latent(ITEMS, autoencoder=str(coder))
    use = "autoregressive" if isinstance(codec.space, Tokens) else "flow"
    recipe = {"codec": {"use": "latent", **codec.pins}, "model": {"use": use}}
    _, model = model_of(recipe, ITEMS)
    artifact.save(folder, model=model, recipe=recipe, items=ITEMS, **options)
    return codec, model


def test_the_space_is_that_of_the_codes(coder):
    codec, model = Latent(ITEMS, autoencoder=str(coder)), artifact.load(coder).model
    x = codec.encode(noise())
    assert x.shape == (5, *codec.space.shape) and not x.requires_grad
    plain = Image(ITEMS).encode(noise())
    if isinstance(codec.space, Tokens):
        assert codec.space == Tokens((4, 4), model.code_vocab)
        assert torch.equal(x, model.codes(plain))
        rebuilt = model.from_codes(x)
    else:
        assert codec.space == Real((2, 4, 4))
        torch.testing.assert_close(x, model.encode(plain, {}), atol=1e-6, rtol=0)
        rebuilt = model.decode(x, {})
    wanted = Image(ITEMS).decode(rebuilt)
    assert (codec.decode(x).int() - wanted.int()).abs().max() <= 1
    assert codec.decode(x).dtype == torch.uint8 and codec.decode(x).shape == noise().shape


def test_batches_are_split_and_the_rows_are_the_same(coder, monkeypatch):
    codec = Latent(ITEMS, autoencoder=str(coder))
    whole = codec.encode(noise(7))
    seen = []
    inner = codec._encode
    monkeypatch.setattr(latent, "ROWS", 3)
    codec._encode = lambda x: seen.append(len(x)) or inner(x)
    torch.testing.assert_close(codec.encode(noise(7)), whole)
    assert seen == [3, 3, 1]


def test_the_artifact_holds_the_autoencoder(coder, tmp_path):
    codec, _ = outer(tmp_path / "model", coder)
    shutil.rmtree(coder)
    loaded = artifact.load(tmp_path / "model")
    assert loaded.codec.inner.hash == codec.inner.hash
    assert loaded.recipe["codec"]["autoencoder"] == "autoencoder"  # no path of the trainer's
    files = json.loads((tmp_path / "model" / "card.json").read_text())["files"]
    assert files["autoencoder/weights.safetensors"] == codec.inner.hash
    x = codec.encode(noise())
    assert torch.equal(loaded.codec.decode(x), codec.decode(x))
    assert loaded.sample(2).shape == (2, 1, 8, 8)


def test_it_is_saved_from_memory_when_its_folder_is_gone(coder, tmp_path):
    codec = Latent(ITEMS, autoencoder=str(coder))
    shutil.rmtree(coder)
    use = "autoregressive" if isinstance(codec.space, Tokens) else "flow"
    recipe = {"codec": {"use": "latent", **codec.pins}, "model": {"use": use}}
    _, model = model_of(
        {**recipe, "codec": {"use": "image"}}
        if use == "flow"
        else {**recipe, "codec": {"use": "pixels"}},
        ITEMS,
    )
    artifact.save(tmp_path / "m", model=model, recipe=recipe, items=ITEMS, codec=codec)
    assert artifact.load(tmp_path / "m" / "autoencoder").hash == codec.inner.hash


def test_it_never_looks_outside(coder, tmp_path):
    """Also where the recipe names another place."""
    outer(tmp_path / "model", coder)
    shutil.rmtree(tmp_path / "model" / "autoencoder")
    with pytest.raises(BadInput, match=r"autoencoder/recipe\.toml"):
        artifact.load(tmp_path / "model")
    card = tmp_path / "model" / "card.json"
    content = json.loads(card.read_text())
    content["files"] = {k: v for k, v in content["files"].items() if "/" not in k}
    recipe = tmp_path / "model" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('= "autoencoder"', f'= "{coder}"'))
    content["files"]["recipe.toml"] = artifact.digest(recipe)
    card.write_text(json.dumps(content))
    with pytest.raises(BadInput, match="there is no model"):
        artifact.load(tmp_path / "model")


def test_a_changed_autoencoder_is_one_line(tmp_path):
    ae = made(tmp_path / "ae", MODELS["vqvae"])
    codec, _ = outer(tmp_path / "model", ae)
    shutil.rmtree(tmp_path / "model" / "autoencoder")
    made(tmp_path / "model" / "autoencoder", MODELS["vqvae"], seed=1)
    with pytest.raises(BadInput, match="is not the file that was saved"):
        artifact.load(tmp_path / "model")
    made(ae, MODELS["vqvae"], seed=2)
    with pytest.raises(BadInput, match=f"not {codec.inner.hash[:12]}"):
        Latent(ITEMS, autoencoder=str(ae), sha256=codec.inner.hash)


def test_what_does_not_fit_is_named(tmp_path):
    with pytest.raises(BadInput, match="needs an autoencoder"):
        Latent(ITEMS)
    ae = made(tmp_path / "ae", MODELS["vqvae"])
    with pytest.raises(BadInput, match=r"image \(1, 8, 8\)"):
        Latent(Items("image", (1, 16, 16)), autoencoder=str(ae))
    plain = made(tmp_path / "flow", {"use": "flow"})
    with pytest.raises(BadInput, match="has no grid of codes"):
        Latent(ITEMS, autoencoder=str(plain))
    assert set(options(Latent.__init__)) == {"autoencoder", "sha256"}


def test_a_run_records_which_one(tmp_path):
    ae = made(tmp_path / "ae", MODELS["kl_autoencoder"])
    data = {"source": "digits"}
    recipe = {"data": data, "codec": {"use": "latent", "autoencoder": str(ae)}}
    plan = resolve({**recipe, "model": {"use": "flow"}})
    assert plan.recipe["codec"]["sha256"] == artifact.load(ae).hash
    made(ae, MODELS["kl_autoencoder"], seed=3)
    with pytest.raises(BadInput, match="Bring that one back"):
        resolve(plan.recipe)


@pytest.mark.slow
def test_a_run_on_codes_goes_on_bit_for_bit_and_is_whole_without_its_autoencoder(tmp_path):
    """Text to image in small: an autoencoder, then a flow of its codes given labels."""
    data = {"data": {"source": "digits"}}
    short = {"batch": 16, "save_every": 10, "preview_every": 30}
    coder = {**data, "model": MODELS["kl_autoencoder"], "train": {"steps": 60, **short}}
    first = train(resolve(coder), tmp_path / "ae", quiet=True)
    codec = {"use": "latent", "autoencoder": str(first)}
    net = {"use": "unet", "width": 16, "levels": 1, "stem": 1}
    model = {"use": "flow", "net": net}
    recipe = {**data, "codec": codec, "model": model, "train": {"steps": 30, **short}}
    whole = train(resolve(recipe), tmp_path / "whole", quiet=True)

    plan = resolve(recipe)
    given, seen = plan.codec.encode, []

    def stumble(items):
        if len(items) == 16 and (tmp_path / "cut" / "metrics.jsonl").exists():
            seen.append(items)
        if len(seen) > 17:
            raise RuntimeError("power cut")
        return given(items)

    plan.codec.encode = stumble
    with pytest.raises(RuntimeError, match="power cut"):
        train(plan, tmp_path / "cut", quiet=True)
    assert (tmp_path / "cut" / "checkpoints" / "step-00000010").is_dir()
    cut = train(resolve(recipe), tmp_path / "cut", quiet=True)
    shutil.rmtree(first)
    a, b = artifact.load(whole), artifact.load(cut)
    assert a.hash == b.hash
    assert torch.equal(a.sample(3, label=[1, 2, 3], steps=3), b.sample(3, label=[1, 2, 3], steps=3))
