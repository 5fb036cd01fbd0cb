"""Captions and sources on their way: recipe, artifact, previews, files, edits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from genloom import artifact, artifact_folder, gallery, given
from genloom.artifact import load, save
from genloom.cli import main
from genloom.core import Generative, Items, hide
from genloom.data import open_dataset, open_test
from genloom.errors import BadInput
from genloom.preview import Previewer
from genloom.recipe import fresh, resolve
from tests.unit.nets.tiny_text import WORDS, made

NET = {"use": "unet", "width": 8, "levels": 2, "groups": 4, "head": 8}
QUICK = {"steps": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """40 coloured pictures of 8x8, each with a caption."""
    folder = tmp_path_factory.mktemp("colours")
    lines = ["file,caption"]
    for i in range(40):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(f"{i}.png,picture {i}")
    (folder / "captions.csv").write_text("\n".join(lines))
    return folder


def planned(data, **table):
    return resolve(
        {
            "data": {"source": str(data), **table},
            "model": {"use": "flow", "net": NET},
            "train": {"steps": 1, "batch": 4},
        }
    )


def stored(data, folder, **table):
    """An artifact whose conditions matter: its weights are random."""
    plan = planned(data, **table)
    with torch.no_grad():
        for p in plan.model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    save(folder / "model", model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return load(folder)


@pytest.fixture(scope="module")
def captioned(data, tmp_path_factory):
    return stored(data, tmp_path_factory.mktemp("captioned"), captions=True)


@pytest.fixture(scope="module")
def colorizer(data, tmp_path_factory):
    return stored(data, tmp_path_factory.mktemp("colorizer"), given="grey")


@pytest.fixture(scope="module")
def painter(data, tmp_path_factory):
    return stored(data, tmp_path_factory.mktemp("painter"), given="masked")


def pictures(n=1, side=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, side, side), generator=generator, dtype=torch.uint8)


def test_an_artifact_remembers_its_conditions(data, captioned, colorizer):
    plan = planned(data, captions=True)
    assert captioned.items == plan.dataset.items and captioned.items.caption.length == 10
    assert captioned.model.conditions == plan.model.conditions
    assert colorizer.items.given == "grey" and "source" in colorizer.model.conditions
    assert (colorizer.recipe["data"]["given"], captioned.recipe["data"]["captions"]) == (
        "grey",
        True,
    )


def test_a_card_of_before_has_neither():
    old = {"kind": "image", "shape": [1, 8, 8], "classes": ["a", "b"], "alphabet": ""}
    assert artifact_folder.read_items("folder", old) == Items("image", (1, 8, 8), ("a", "b"))


def test_captions_are_encoded_and_hidden(captioned):
    told = captioned.items.caption
    one = captioned.condition([1, 2], caption="picture 7")["caption"]
    assert torch.equal(one, told.encode("picture 7").expand(2, -1))
    each = captioned.condition([1, 2], caption=["picture 7", ""])["caption"]
    assert torch.equal(each[0], one[0]) and (each[1] == -1).all()
    assert (captioned.condition([1, 2])["caption"] == -1).all()
    with pytest.raises(BadInput, match="3 captions for 2 samples"):
        captioned.condition([1, 2], caption=["a", "b", "c"])
    with pytest.raises(BadInput, match="without sources: leave the source out"):
        captioned.condition([1], source=pictures())
    with pytest.raises(BadInput, match="a mask says nothing"):
        captioned.condition([1], mask=torch.ones(1, 1, 8, 8).bool())


def test_a_caption_makes_another_picture(captioned):
    first, other = (captioned.sample(2, caption=c, **QUICK) for c in ("picture 7", "7"))
    assert not torch.equal(first, other)
    both = captioned.sample(2, caption=["picture 7", "7"], batch=1, **QUICK)
    assert torch.equal(both[:1], first[:1]) and torch.equal(both[1:], other[1:])


def test_a_source_is_derived_or_hidden(colorizer):
    x = pictures(2)
    source = colorizer.condition([0, 1], source=x)["source"]
    assert torch.equal(source, given.grey(x, lambda k: x))
    hidden = colorizer.condition([0, 1])["source"]
    assert hidden.shape == (2, 1, 8, 8) and hidden.isnan().all()
    assert torch.equal(colorizer.condition([0, 1], source=source)["source"], source)
    *_, last = colorizer.stream(2, source=x, **QUICK)
    assert torch.equal(last, colorizer.sample(2, source=x, **QUICK))
    assert not torch.equal(last, colorizer.sample(2, **QUICK))


class Needy(Generative):
    """A family that is nothing without a source."""

    needs: ClassVar = ("source",)

    def __init__(self, space, conditions):
        super().__init__(space, conditions)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def sample_steps(self, rng, cond):
        yield cond["source"].expand(-1, *self.space.shape) + self.weight


def test_what_a_family_needs_is_asked_for(data, colorizer, monkeypatch):
    from genloom import catalog

    entry = catalog.CATALOG["flow"]
    found = catalog.find
    monkeypatch.setattr(
        catalog, "find", lambda use, *a, **k: Needy if use == "flow" else found(use, *a, **k)
    )
    plain = Items("image", (3, 8, 8))
    assert entry.kind == "model"
    with pytest.raises(BadInput, match=r"flow needs the condition 'source'.*data.given=paired"):
        fresh({"use": "flow"}, colorizer.codec, plain, 0)
    model = fresh({"use": "flow"}, colorizer.codec, colorizer.items, 0)
    needy = artifact.Artifact(
        colorizer.path, colorizer.recipe, {}, colorizer.items, model, colorizer.codec, "a" * 64
    )
    assert needy.sample(1, source=pictures()).shape == (1, 3, 8, 8)
    with pytest.raises(BadInput, match="makes nothing without a source"):
        needy.sample(1)


def test_records_tell_caption_and_source(captioned, colorizer):
    told = captioned.records(2, caption="picture 7")
    assert [r["caption"] for r in told] == ["picture 7"] * 2 and "source" not in told[0]
    assert "caption" not in captioned.records(1)[0]
    x = pictures(2)
    told = colorizer.records(2, source=x)
    assert told[0]["source"] != told[1]["source"] and len(told[0]["source"]) == 64
    assert told[1]["source"] == colorizer.records(1, seed=1, source=x[1:])[0]["source"]


def test_one_picture_is_the_source_of_all_samples(data, colorizer, tmp_path, capsys):
    """Every sample has its own seed, so its own answer."""
    pixels = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    argv = [
        "sample",
        str(colorizer.path.parent),
        "-n",
        "3",
        "--seed",
        "5",
        "--steps",
        "2",
        "--json",
    ]
    assert main([*argv, "--source", str(tmp_path / "one.png"), "--out", str(tmp_path / "out")]) == 0
    files = [Path(name) for name in json.loads(capsys.readouterr().out)["files"]]
    drawn = [np.asarray(Image.open(path)).astype(int) for path in files[:3]]
    assert [path.name for path in files] == [f"00000{5 + i}.png" for i in range(3)] + ["grid.png"]
    assert len({picture.tobytes() for picture in drawn}) == 3
    assert len({gallery.record_of(path)["source"] for path in files[:3]}) == 1
    x = gallery.picture(tmp_path / "one.png")
    for i, picture in enumerate(drawn):
        alone = colorizer.sample(1, seed=5 + i, source=x, **QUICK)[0].permute(1, 2, 0)
        assert np.abs(alone.numpy() - picture).max() <= 1
    Image.new("RGB", (16, 8)).save(tmp_path / "wide.png")
    assert main([*argv, "--source", str(tmp_path / "wide.png"), "--out", str(tmp_path / "w")]) == 0
    assert "its middle, 8x8, is used" in json.loads(capsys.readouterr().out)["notes"][0]


def test_a_file_is_made_again_from_its_record_and_its_source(captioned, colorizer, tmp_path):
    paths, items = gallery.write(captioned, 2, tmp_path / "a", caption="picture 7", **QUICK)
    assert torch.equal(gallery.again(captioned, gallery.record_of(paths[1])), items[1:])
    x = pictures()
    paths, items = gallery.write(colorizer, 2, tmp_path / "b", source=x, **QUICK)
    record = gallery.record_of(paths[1])
    assert torch.equal(gallery.again(colorizer, record, source=x), items[1:])
    with pytest.raises(BadInput, match="given is none"):
        gallery.again(colorizer, record)
    with pytest.raises(BadInput, match="record is of the source"):
        gallery.again(colorizer, record, source=pictures(seed=1))


def test_previews_show_sources_beside_samples_of_the_first_held_out_items(data, tmp_path):
    plan = planned(data, given="grey", captions=True)
    shown = Previewer(plan, tmp_path, torch.device("cpu"))
    valid = plan.dataset.valid
    first = given.unit(given.luminance(valid.items[:2]))
    assert torch.equal(shown._cond["source"][:2], first)
    assert torch.equal(shown._cond["caption"][:2], valid.given(torch.arange(2))["caption"])
    picture = shown.draw(plan.model, 0)
    assert picture is not None and picture.width == 2 * picture.height - 2
    tile = np.asarray(picture)[2:50, 2:50].transpose(2, 0, 1)[:, ::6, ::6]
    assert np.array_equal(tile, given.luminance(valid.items[:1])[0].expand(3, -1, -1).numpy())


def test_the_held_out_loss_sees_the_sources(data, tmp_path):
    from genloom.trainer import _Run

    run = _Run(planned(data, given="masked"), tmp_path, 0, 1, "never", True)
    losses = [run.previewer.valid_loss(run.learner.sampler(), run._encode) for _ in range(2)]
    assert losses[0] == losses[1] and losses[0]["valid/flow"] > 0
    cond = run._encode(*run.plan.dataset.valid.batch(0, 2, 0)[:2])[1]
    assert cond["source"].shape == (2, 4, 8, 8)


def test_micro_batches_of_a_run_see_the_holes_of_the_whole_batch(data, tmp_path):
    from genloom.trainer import _Run

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = _Run(planned(data, given="masked", flip=True), tmp_path / "a", 0, 1, "never", True)
    plan = planned(data, given="masked", flip=True)
    object.__setattr__(plan.options, "accumulate", 2)
    parts = _Run(plan, tmp_path / "b", 0, 1, "never", True)
    (one,), two = whole.access.micros(3), parts.access.micros(3)
    assert len(two) == 2
    assert torch.equal(torch.cat([m.cond["source"] for m in two]), one.cond["source"])
    assert torch.equal(torch.cat([m.x for m in two]), one.x)
    plain = given.unit(plan.dataset.train.batch(3, 4, 0)[0])
    flipped = (one.x == plain.flip(-1)).flatten(1).all(1)
    assert (flipped | (one.x == plain).flatten(1).all(1)).all() and flipped.any()
    hole = one.cond["source"][:, 3:] > 0
    assert torch.equal(one.x.masked_fill(hole, 0.0), one.cond["source"][:, :3])


def test_a_painter_changes_the_hole_and_nothing_else(painter):
    x, hole = pictures(side=8), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    hole[..., :4] = True
    before, made = gallery.edit(painter, x, 3, mask=hole, **QUICK)
    assert torch.equal(before, x) and made.shape == (3, 3, 8, 8)
    assert torch.equal(made[..., 4:], x[..., 4:].expand(3, -1, -1, -1))
    assert not torch.equal(made[0], made[1])
    with pytest.raises(BadInput, match="--mask"):
        gallery.edit(painter, x, 1)
    with pytest.raises(BadInput, match="leave the strength out"):
        gallery.edit(painter, x, 1, mask=hole, strength=0.5)


def test_any_diffusion_model_edits(captioned):
    x = pictures()
    _, same = gallery.edit(captioned, x, 2, strength=0.0, **QUICK)
    assert torch.equal(same, x.expand(2, -1, -1, -1))
    _, half = gallery.edit(captioned, x, 2, strength=0.5, caption="picture 7", **QUICK)
    assert not torch.equal(half[0], x[0]) and not torch.equal(half[0], half[1])
    hole = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    hole[..., :4] = True
    _, part = gallery.edit(captioned, x, 2, mask=hole, strength=1.0, **QUICK)
    assert torch.equal(part[..., 4:], x[..., 4:].expand(2, -1, -1, -1))
    with pytest.raises(BadInput, match="strength = 2"):
        gallery.edit(captioned, x, 1, strength=2.0)


def test_a_mask_is_white_where_it_may_change(tmp_path):
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:, :8] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    mask = gallery.mask_of(tmp_path / "mask.png", Items("image", (3, 8, 8)))
    assert mask.dtype == torch.bool and mask[..., :4].all() and not mask[..., 4:].any()
    with pytest.raises(BadInput, match="no picture"):
        gallery.picture(tmp_path / "none.png")


def test_hidden_rows_are_those_of_the_contract(colorizer):
    cond = colorizer.condition([1], source=pictures())
    hidden = hide(cond, torch.ones(1, dtype=torch.bool))
    assert torch.equal(hidden["source"].isnan(), colorizer.condition([1])["source"].isnan())
    assert json.loads(json.dumps(colorizer.card["items"]))["given"] == "grey"


@pytest.mark.parametrize("use", ["vae", "glow", "pixelcnn", "gan"])
def test_a_family_that_would_ignore_the_source_says_so(use, tmp_path):
    recipe = {"data": {"source": "digits", "given": "small2"}, "model": {"use": use}}
    with pytest.raises(BadInput, match=r"source"):
        resolve(recipe)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """The folder of a tiny text encoder, and 40 pictures whose captions it reads."""
    pytest.importorskip("transformers")
    encoder, folder = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("named")
    made("bert", encoder)
    lines = ["file,caption"]
    for i in range(40):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{('A Red square', 'green squares', '', 'a blue')[i % 4]}")
    (folder / "captions.csv").write_text("\n".join(lines))
    return encoder, folder


def read_by(bert, **net):
    encoder, folder = bert
    data = {"source": str(folder), "captions": True, "tokenizer": str(encoder)}
    model = {"use": "flow", "net": {**NET, **net}}
    return resolve({"data": data, "model": model, "train": {"steps": 1, "batch": 4}})


@pytest.mark.filterwarnings("ignore")
def test_captions_are_read_as_pieces_of_a_tokenizer(bert):
    """Numbers are ids + 1; no filling, whatever its file says; the marks stay when it cuts."""
    plan = read_by(bert)
    told = plan.dataset.items.caption
    assert told.space.vocab == len(WORDS) + 1 and told.length == 5
    ids = [WORDS.index(w) + 1 for w in ("[CLS]", "a", "red", "square", "[SEP]")]
    assert told.encode("a red square").tolist() == ids
    assert told.encode("a").tolist() == [ids[0], ids[1], ids[4], 0, 0]
    assert told.encode("a red red red red red")[-1] == ids[4]
    assert told.encode("a what")[2] == WORDS.index("[UNK]") + 1
    assert told.unread("a red square") == ()
    assert told.unread("a what") == ("1 unknown piece",)
    assert told.unread("a red red what red") == ("pieces beyond 5",)  # two of them are marks
    with pytest.raises(BadInput, match="no piece of it"):
        told.unread("what what")
    _, cond, rows = plan.dataset.train.batch(0, 12, 0)
    texts = [plan.dataset.train.captions[i] for i in rows]
    wanted = [told.encode(t) if t else torch.full((5,), -1) for t in texts]
    assert torch.equal(cond["caption"], torch.stack(wanted))
    assert plan.model.conditions["caption"] == told.space
    test = open_test(plan.dataset)
    texts = [test.captions[i] for i in range(len(test))]
    wanted = [told.encode(t) if t else torch.full((5,), -1) for t in texts]
    assert torch.equal(test.given(torch.arange(len(test)))["caption"], torch.stack(wanted))
    judged = open_dataset(**plan.recipe["data"])  # as a verdict opens the data of a run
    assert judged.items == plan.dataset.items
    again = read_by(bert)
    assert again.dataset.items == plan.dataset.items
    assert torch.equal(again.dataset.valid.given(torch.arange(3))["caption"],
                       plan.dataset.valid.given(torch.arange(3))["caption"])  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_an_artifact_holds_the_encoder_and_the_tokenizer(bert, tmp_path):
    plan = read_by(bert, text_encoder=str(bert[0]))
    with torch.no_grad():
        for p in plan.model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    save(tmp_path / "m", model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    (tmp_path / "m").rename(tmp_path / "moved")
    told = "".join(
        p.read_text() for p in (tmp_path / "moved").glob("*.*") if p.suffix != ".safetensors"
    )
    assert str(bert[0].parent) not in told and str(tmp_path) not in told
    loaded = load(tmp_path / "moved", device="cpu")
    assert loaded.items == plan.dataset.items
    assert sorted(p.name for p in (tmp_path / "moved" / "text").iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    (rows,) = (m for m in loaded.model.modules() if hasattr(m, "encoder") and hasattr(m, "null"))
    assert rows.encoder.folder == (tmp_path / "moved" / "text").resolve()
    cond = loaded.condition([1, 2], caption=["a red square", "a blue"])
    from genloom.sampling import sample

    wanted = sample(plan.model.eval(), 2, cond, seed=1, **QUICK)
    found = sample(loaded.model, 2, cond, seed=1, **QUICK)
    assert torch.equal(found, wanted)
    other = loaded.condition([1, 2], caption=["a blue", "a red square"])
    assert not torch.equal(found, sample(loaded.model, 2, other, seed=1, **QUICK))
    save_again = tmp_path / "again"
    save(save_again, model=loaded.model, recipe=loaded.recipe, items=loaded.items)
    assert load(save_again, device="cpu").items == loaded.items
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        file = save_again / "text" / name
        kept = file.read_bytes()
        file.write_bytes(kept + b" ")
        with pytest.raises(BadInput, match="is not the file that was saved"):
            load(save_again, device="cpu")
        file.write_bytes(kept)


@pytest.mark.filterwarnings("ignore")
def test_an_encoder_is_refused_where_captions_are_read_in_another_way(bert, data, tmp_path):
    recipe = {
        "data": {"source": str(data), "captions": True},
        "model": {"use": "flow", "net": {**NET, "text_encoder": str(bert[0])}},
    }
    with pytest.raises(BadInput, match=r"texts are 10 of .* Set data.tokenizer to it"):
        resolve(recipe)
    other = (bert[0] / "tokenizer.json").read_text() + " "  # of as many pieces
    (tmp_path / "tokenizer.json").write_text(other)
    with pytest.raises(BadInput, match=r"captions are read in another way than"):
        read_by((tmp_path, bert[1]), text_encoder=str(bert[0]))
    with pytest.raises(BadInput, match=r"data.captions=true"):
        resolve(
            {"data": {"source": str(data), "tokenizer": str(bert[0])}, "model": {"use": "flow"}}
        )
    with pytest.raises(BadInput, match=r"holds no tokenizer.json, and no other form"):
        resolve({"data": {**recipe["data"], "tokenizer": str(data)}, "model": {"use": "flow"}})
