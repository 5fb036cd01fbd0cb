"""Pictures that samples are made from: read, checked, made as the library makes them, and again."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from genloom.artifact import load
from genloom.cli import main
from genloom.errors import BadInput
from genloom.gallery import edit, mask_of
from genloom.notes import Note
from genloom.serve.asked import Asked
from genloom.serve.asking import asked_for
from genloom.serve.engine.batching import Batcher
from genloom.serve.engine.messages import Done
from genloom.serve.engine.pool import Pool
from genloom.serve.engine.request import Request
from genloom.serve.figures import Figures
from genloom.serve.gate import Gate
from genloom.serve.guard import LOCAL
from genloom.serve.judged import Verdicts
from genloom.serve.known import learn
from genloom.serve.making import Finished, Maker
from genloom.serve.originals import STRENGTH, Sent, made_from, read, sent_as_text
from genloom.serve.problems import Problem
from genloom.serve.reproduce import note_models, remake, wanted
from genloom.serve.settings import Limits
from genloom.serve.store import Blobs, Keys, Records, Store
from tests.unit.serve.engine.made import finals, run
from tests.unit.serve.sourced import SIDE, colours, make, png, tensor

LARGE = colours(5, 22, 16)  # neither the size nor the form of the models' pictures
PICTURE = png(LARGE)
HOLE = np.zeros((22, 16), np.uint8)
HOLE[5:12, 3:] = 255  # light: there it may change
MASK = png(HOLE)
SEEDS = (3, 4, 5, 6)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sourced"))


@pytest.fixture(scope="module")
def known(folders):
    return {name: learn(name, folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def artifacts(folders):
    return {name: load(folder, device="cpu") for name, folder in folders.items()}


def asked(known, name, **more):
    steps = {} if name == "paints" else {"steps": 3}
    sent = Sent(**{"picture": PICTURE, **more})
    whole = Asked(known=known[name], seeds=SEEDS, form="png", label=1, options=steps)
    return made_from(whole, sent)


def pair(whole: Asked) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture and the mask of a request that has both."""
    assert whole.original is not None and whole.original.mask is not None
    return whole.original.picture, whole.original.mask


def served(artifacts, whole) -> tuple[torch.Tensor, Done]:
    """The samples that the engine makes of a request, as the server shows them."""
    name = whole.known.name
    done = finals(run(Batcher({name: artifacts[name]}), [whole.request()]))
    (one,) = done.values()
    return torch.stack(whole.items(one)), one


def own(artifacts, name, **more):
    """What the library makes of the same."""
    steps = {} if name == "paints" else {"steps": 3}
    more = {"source": tensor(LARGE), **more}
    return artifacts[name].sample(len(SEEDS), seed=SEEDS[0], label=1, **more, **steps)


@pytest.mark.parametrize("name", ["holes", "doubles", "paints"])
def test_samples_are_those_of_the_library(known, artifacts, name):
    items, _ = served(artifacts, asked(known, name))
    assert torch.equal(items, own(artifacts, name))
    assert len({item.numpy().tobytes() for item in items}) == len(SEEDS) > 1
    other = own(artifacts, name, source=tensor(colours(9, 22, 16)))
    assert not torch.equal(items, other)


def test_a_small_picture_is_enlarged_as_the_librarys_is(known, artifacts):
    small = colours(2, SIDE // 2, SIDE // 2)
    items, _ = served(artifacts, asked(known, "doubles", picture=png(small)))
    assert torch.equal(items, own(artifacts, "doubles", source=tensor(small)))


def test_a_mask_says_where_the_hole_is(known, artifacts, tmp_path):
    (tmp_path / "mask.png").write_bytes(MASK)
    whole = asked(known, "holes", mask=MASK)
    hole = pair(whole)[1][None, None]
    assert torch.equal(hole, mask_of(tmp_path / "mask.png", whole.known.items))
    assert hole.sum() not in (0, SIDE * SIDE)
    items, _ = served(artifacts, whole)
    assert torch.equal(items, own(artifacts, "holes", mask=hole))
    without, _ = served(artifacts, asked(known, "holes"))
    assert not torch.equal(items, without)


def test_transparent_places_are_the_same_hole(known):
    clear = np.full((22, 16, 4), 255, np.uint8)
    clear[..., 3] = 255 - HOLE
    first, second = (pair(asked(known, "holes", mask=mask)) for mask in (MASK, png(clear)))
    assert torch.equal(first[1], second[1])


def test_what_is_kept_is_the_pictures_and_the_rest_the_models(known, artifacts):
    plain, _ = served(artifacts, asked(known, "holes", mask=MASK))
    whole = asked(known, "holes", mask=MASK, keep=True)
    kept, _ = served(artifacts, whole)
    picture, mask = pair(whole)
    free = mask.expand_as(kept)
    assert torch.equal(kept[~free], picture.expand_as(kept)[~free])
    assert torch.equal(kept[free], plain[free])
    assert not torch.equal(kept, plain)
    how = {"mask": mask[None, None], "seed": 3, "label": 1, "steps": 3}
    with pytest.warns(Note, match="the picture is 16x22"):
        _, edited = edit(artifacts["holes"], tensor(LARGE), 4, **how)
    assert torch.equal(kept, edited)


def test_a_hidden_source_and_a_given_one_share_a_batch(known, artifacts):
    given = asked(known, "holes").request()
    hidden = replace(given, condition={}, id="hidden")
    done = finals(run(Batcher({"holes": artifacts["holes"]}), [given, hidden]))
    assert done[given.id].crowd == done["hidden"].crowd == 8
    assert torch.equal(done[given.id].items, own(artifacts, "holes"))
    assert torch.equal(done["hidden"].items, own(artifacts, "holes", source=None))
    sources = [record.get("source") for record in done[given.id].records]
    assert len(set(sources)) == 4  # each has a hole of its own
    assert all("source" not in record for record in done["hidden"].records)
    cond = artifacts["holes"].records(4, seed=3, source=tensor(LARGE))
    assert sources == [record["source"] for record in cond]


def test_a_source_that_is_the_same_for_all_is_sent_once(known):
    request = asked(known, "doubles").request()
    assert request.condition["source"].shape == (1, 3, SIDE, SIDE)
    assert asked(known, "holes").request().condition["source"].shape == (4, 4, SIDE, SIDE)
    assert asked(known, "holes", mask=MASK).request().condition["source"].shape[0] == 1


def test_models_without_sources_change_the_picture(known):
    whole = asked(known, "plain")
    assert whole.strength == STRENGTH and whole.request().condition == {}
    masked = asked(known, "plain", mask=MASK)
    changed = masked.request().source
    assert masked.strength == 1.0
    assert changed is not None and torch.equal(changed[0], pair(masked)[0])
    assert asked(known, "plain", mask=MASK, strength=0.25).request().strength == 0.25


NOTHING = {"picture": None}
WRONG = [
    ("paints", NOTHING, "makes nothing without a picture to start from: send one as source"),
    ("holes", {**NOTHING, "mask": MASK}, "mask says nothing by itself"),
    ("plain", {**NOTHING, "strength": 0.0}, "strength says nothing by itself"),
    ("plain", {**NOTHING, "keep": True}, "keep says nothing by itself"),
    ("doubles", {"mask": MASK}, "given 'small2', not holes to fill: leave mask out"),
    ("paints", {"mask": MASK}, "leave mask out"),
    ("holes", {"strength": 0.5}, "makes all of the picture: leave strength out"),
    ("holes", {"keep": True}, "keep says nothing without a mask"),
    ("holes", {"picture": b"no picture"}, "source is not a picture"),
    ("holes", {"mask": b"no picture"}, "mask is not a picture"),
    ("holes", {"mask": png(0 * HOLE)}, "leaves nothing to change"),
]


@pytest.mark.parametrize(("name", "more", "says"), WRONG)
def test_what_does_not_go_together_is_said(known, name, more, says):
    with pytest.raises(Problem, match=says) as caught:
        asked(known, name, **more)
    assert caught.value.status == 400


def test_a_model_that_takes_no_picture_says_so(known):
    deaf = replace(known["plain"], edits=False)
    with pytest.raises(Problem, match="from no picture: leave source out"):
        asked({"plain": deaf}, "plain")


def test_large_files_are_refused_before_they_are_opened(known, monkeypatch):
    monkeypatch.setattr("genloom.serve.given.MOST_BYTES", len(MASK) + 1)
    for more in ({}, {"picture": MASK, "mask": PICTURE + MASK}):
        with pytest.raises(Problem, match="has at most") as caught:
            asked(known, "holes", **more)
        assert caught.value.status == 413


def test_text_carries_files_and_opens_none():
    text = base64.b64encode(PICTURE).decode()
    assert sent_as_text(text, f"data:image/png;base64,{text}") == Sent(
        picture=PICTURE, mask=PICTURE
    )
    assert sent_as_text(None, None, keep=True) == Sent(keep=True)
    with pytest.raises(Problem, match="source must be a file in base64"):
        sent_as_text("file:///etc/passwd", None)


def test_an_edit_has_one_start(known):
    limits, sent = Limits(), Sent(picture=PICTURE)
    walk = {"toward": 9, "mix": (0.5,)}
    with pytest.raises(Problem, match="Send one of them"):
        asked_for(known["plain"], limits, (1,), sent=sent, **walk)
    found = asked_for(known["doubles"], limits, (1,), sent=sent, **walk)
    assert found.request().toward == 9 and "source" in found.request().condition


def test_the_card_and_the_schema_tell_of_it(known):
    told = {name: one.card().get("source") for name, one in known.items()}
    assert told == {
        "holes": {"given": "masked", "needed": False, "mask": True},
        "doubles": {"given": "small2", "needed": False, "mask": False},
        "paints": {"given": "grey", "needed": True, "mask": False},
        "plain": None,
    }
    fields = {name: one.schema() for name, one in known.items()}
    takes = {
        name: [n for n in ("source", "mask") if n in one["properties"]]
        for name, one in fields.items()
    }
    assert takes == {
        "holes": ["source", "mask"], "doubles": ["source"], "paints": ["source"], "plain": [],
    }  # fmt: skip
    assert fields["paints"]["required"] == ["source"] and "required" not in fields["holes"]
    assert all(one.card()["edits"] for one in known.values())


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"source": torch.zeros(2, 1, SIDE, SIDE)},
        {"source": torch.zeros(1, 2, SIDE, SIDE)},
        {"source": torch.zeros(1, 1, SIDE, SIDE, dtype=torch.uint8)},
        {"sauce": torch.zeros(1, 1, SIDE, SIDE)},
    ],
)
def test_a_worker_refuses_what_is_no_source(artifacts, condition):
    with pytest.raises(BadInput):
        Batcher(artifacts).add(Request(model="paints", seeds=(1, 2, 3), condition=condition))


@pytest.fixture(scope="module")
def server(tmp_path_factory, known, cache):
    first = {name: one.first() for name, one in known.items()}
    folders = {name: known[name].folder for name in ("paints", "holes", "doubles", "plain")}
    pool = Pool(folders, workers=1, threads=1, first=first)
    with asyncio.Runner() as runner:
        runner.run(pool.__aenter__())
        made = Server(tmp_path_factory.mktemp("server"), known, runner, pool)
        try:
            yield made
        finally:
            made.store.close()
            runner.run(pool.__aexit__(None, None, None))


class Server:
    """A server's folder, and the pool that makes its outputs."""

    def __init__(self, folder, known, runner, pool):
        self.folder, self.runner, self.pool = folder, runner, pool
        self.store = Store(folder / "genloom.sqlite")
        self.records = Records(self.store, Blobs(folder / "blobs"))
        note_models(folder, known.values())

    def one(self, whole):
        """The record of the first output of a request."""
        gate, keys = Gate(None, Verdicts(self.folder / "verdicts")), Keys(self.store, bytes(32))
        mark: Any = unmarked
        maker = Maker(self.pool, keys, self.records, None, mark, gate, Figures())

        async def work():
            found = [event async for event in maker.make(LOCAL, whole)]
            return [event for event in found if isinstance(event, Finished)]

        return self.runner.run(work())[0].outputs[0].record


def unmarked(content, media_type, told):
    return content


def test_a_model_that_needs_a_source_is_made_ready_with_one(server):
    async def ready():
        async with asyncio.timeout(60):
            await server.pool.until_ready()

    server.runner.run(ready())
    assert server.pool.ready and server.pool.warm == ["paints"]


MADE = {
    "holes": {"mask": MASK},
    "kept": {"mask": MASK, "keep": True},
    "drawn": {},
    "doubles": {},
    "paints": {},
    "plain": {"mask": MASK, "strength": 0.7},
}


@pytest.mark.parametrize("what", MADE)
def test_the_same_picture_makes_the_same_bytes(server, known, what):
    name = {"kept": "holes", "drawn": "holes"}.get(what, what)
    record = server.one(asked(known, name, **MADE[what]))
    assert len(record.origin.options["source"]) == 64
    sent = Sent(picture=PICTURE, mask=MADE[what].get("mask"))
    found = server.runner.run(remake(server.pool, known[name], record, sent=sent))
    assert found.same and found.sha256 == record.plain_sha256
    with pytest.raises(BadInput, match="--source FILE"):
        wanted(known[name], record)
    other = replace(sent, mask=None if sent.mask else MASK)
    with pytest.raises(BadInput, match="not the mask that the output was made from"):
        wanted(known[name], record, other)


def test_the_command_takes_the_picture_again(server, known, tmp_path, capsys):
    record = server.one(asked(known, "holes", mask=MASK, keep=True))
    (tmp_path / "source.png").write_bytes(PICTURE)
    (tmp_path / "mask.png").write_bytes(MASK)
    words = ["reproduce", "--folder", str(server.folder), record.id]
    source, mask = (["--" + name, str(tmp_path / f"{name}.png")] for name in ("source", "mask"))
    for more, says in (
        ([], "--source FILE"),
        (mask, "--mask says nothing without the file"),
        (source, "not the mask that the output was made from"),
        ([*source, "--mask", str(tmp_path / "none.png")], "there is no file"),
        (["--source", str(server.folder / "genloom.sqlite")], "source is not a picture"),
    ):
        assert main([*words, *more]) == 2
        assert says in capsys.readouterr().err
    assert main([*words, *source, *mask]) == 0, capsys.readouterr()


def test_another_picture_is_told_from_the_one_that_was_sent(server, known):
    record = server.one(asked(known, "doubles"))
    other = read(known["doubles"], Sent(picture=png(colours(9, 22, 16))))
    with pytest.raises(BadInput, match="not the source that the output was made from"):
        Asked.of_record(known["doubles"], record.origin, other)
    bare = server.one(replace(asked(known, "doubles"), original=None))
    with pytest.raises(BadInput, match="from no file"):
        Asked.of_record(known["doubles"], bare.origin, other)
