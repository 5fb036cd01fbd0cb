"""Models that make pictures from pictures, served: every route takes one, and the record tells."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import openai
import pytest
import torch
from openai import OpenAI
from PIL import Image

from genloom.artifact import load
from genloom.gallery import edit
from genloom.notes import Note
from tests.e2e.asking import content, events, talk, until
from tests.e2e.attacks import bombs
from tests.e2e.server import serving
from tests.unit.serve.sourced import colours, make, png, tensor

LARGE = colours(5, 30, 20)  # the models' pictures are 8x8
PICTURE = png(LARGE)
CLEAR = np.full((30, 20, 4), 255, np.uint8)
CLEAR[8:20, 4:, 3] = 0  # OpenAI's way: where it is transparent
MASK = png(CLEAR)
SEED = 11
STEPS: dict[str, Any] = {"steps": 3}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sourced"), "paints", "holes", "doubles", "plain")


@pytest.fixture(scope="module")
def server(folders, tmp_path_factory):
    """A server whose first model makes nothing without a source, and is ready all the same."""
    place = tmp_path_factory.mktemp("sources") / "state"
    with serving(place, folders, "--no-sign", "--threads", "1") as started:
        yield started


@pytest.fixture(scope="module")
def client(server):
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def shown(item: torch.Tensor) -> bytes:
    """An item's pixels, as those of a file are read."""
    return Image.fromarray(item.permute(1, 2, 0).numpy()).tobytes()


def pixels(b64: str) -> bytes:
    return Image.open(io.BytesIO(base64.b64decode(b64))).tobytes()


def body(name, **more):
    options = {} if name == "paints" else STEPS
    return {"model": name, "n": 4, "seed": SEED, "label": 1, "options": options, **more}


@pytest.mark.parametrize("name", ["paints", "holes", "doubles"])
def test_samples_are_those_of_the_library(server, client, folders, name):
    steps: dict[str, Any] = {} if name == "paints" else STEPS
    made = load(folders[name], device="cpu").sample(
        4, seed=SEED, label=1, source=tensor(LARGE), **steps
    )
    want = [shown(item) for item in made]
    with talk(server) as http:
        answer = http.post("/v1/generations", json=body(name, source=text(PICTURE)))
        assert answer.status_code == 200, answer.text
        assert [content(http, one["url"]) for one in answer.json()["data"]] == want
    extra = {"seed": SEED, "source": f"data:image/png;base64,{text(PICTURE)}", **steps}
    found = client.images.generate(model=name, prompt="right", n=4, extra_body=extra)
    assert [pixels(one.b64_json) for one in found.data] == want
    if name != "holes":  # an edit of this one needs a mask
        extra = {"seed": SEED, **steps}
        picture = ("a.png", PICTURE)
        found = client.images.edit(model=name, prompt="right", n=4, image=picture, extra_body=extra)
        assert [pixels(one.b64_json) for one in found.data] == want


def test_an_edit_by_a_model_of_holes_is_an_inpainting(client, folders):
    asked = {"model": "holes", "prompt": "right", "n": 4, "image": ("a.png", PICTURE)}
    extra = {"seed": SEED, **STEPS}
    found = client.images.edit(**asked, mask=("m.png", MASK), extra_body=extra)
    rows = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    rows[..., 1:6, 2:] = True  # of the middle 20 rows of 30, 3 to 15 of them, from column 4 on
    with pytest.warns(Note, match="its middle, 20x20, is used"):
        before, made = edit(
            load(folders["holes"], device="cpu"),
            tensor(LARGE), 4, mask=rows, seed=SEED, label=1, **STEPS,
        )  # fmt: skip
    results = [pixels(one.b64_json) for one in found.data]
    assert results == [shown(item) for item in made] and len(set(results)) == 4
    outside = ~rows[0].expand(3, -1, -1)
    assert all(torch.equal(item[outside], before[0][outside]) for item in made)
    with pytest.raises(openai.BadRequestError, match="fills holes: say where with a mask"):
        client.images.edit(**asked, extra_body=extra)


def test_a_model_of_holes_keeps_them_in_its_guesses_too(server):
    asked = body("holes", source=text(PICTURE), mask=text(MASK), keep=True, n=1)
    with (
        talk(server) as http,
        http.stream(
            "POST", "/v1/generations", json={**asked, "stream": True, "previews": 8}
        ) as told,
    ):
        lines = [line.removeprefix("data: ") for line in told.iter_lines() if '"step"' in line]
    guesses = [pixels(json.loads(line)["data"][0]["b64_json"]) for line in lines]
    corner = [np.frombuffer(one, np.uint8).reshape(8, 8, 3)[:, :2] for one in guesses]
    assert len(guesses) == 2 and guesses[0] != guesses[1]
    assert np.array_equal(corner[0], corner[1])


WRONG = [
    ("paints", {}, "makes nothing without a picture"),
    ("doubles", {"source": text(PICTURE), "mask": text(MASK)}, "leave mask out"),
    ("holes", {"source": text(PICTURE), "strength": 0.5}, "leave strength out"),
    ("holes", {"mask": text(MASK)}, "by itself"),
    ("holes", {"source": "https://127.0.0.1/a.png"}, "no other URL is opened"),
    ("plain", {"keep": True}, "by itself"),
]


@pytest.mark.parametrize(("name", "more", "says"), WRONG)
def test_what_does_not_go_together_is_said_on_all_routes(server, name, more, says):
    bare = {"model": name, "prompt": "right", **more}
    with talk(server) as http:
        for route, asked in (
            ("/v1/generations", body(name, **more)),
            ("/v1/images/generations", bare),
        ):
            answer = http.post(route, json=asked)
            assert answer.status_code == 400 and says in answer.text, answer.text


def test_without_a_picture_no_route_makes_what_needs_one(server):
    with talk(server) as http:
        form = http.post("/v1/images/edits", data={"model": "paints"}, files={"x": b"x"})
        job = http.post("/v1/jobs", json={"kind": "sample", "body": {"model": "paints", "n": 2}})
        for answer in (form, job):
            assert answer.status_code == 400, answer.text
        assert "as source" in job.text and "image is missing" in form.text


def test_a_model_without_sources_edits_over_the_native_route_too(server):
    with talk(server) as http:
        half = body("plain", source=text(PICTURE), mask=text(MASK), n=1)
        (one,) = http.post("/v1/generations", json=half).json()["data"]
        record = http.get(f"/v1/outputs/{one['id']}").json()["options"]
        assert record["strength"] == 1.0 and len(record["source"]) == len(record["mask"]) == 64


@pytest.mark.parametrize("name", ["paints", "holes", "plain"])
def test_the_record_makes_it_again_with_the_same_picture(server, name):
    more = {} if name == "paints" else {"mask": text(MASK)}
    with talk(server) as http:
        asked = body(name, source=text(PICTURE), n=1, **more)
        (one,) = http.post("/v1/generations", json=asked).json()["data"]
        path = f"/v1/outputs/{one['id']}/reproduce"
        again = http.post(path, json={"source": text(PICTURE), **more})
        assert again.json().get("same") is True, again.text
        bare = http.post(path)
        assert bare.status_code == 400 and "--source FILE" in bare.text
        other = http.post(path, json={"source": text(png(LARGE[::-1])), **more})
        assert other.status_code == 400 and "not the source" in other.text


def test_jobs_take_pictures_that_were_uploaded(server):
    with talk(server) as http:
        ids = {
            name: http.post("/v1/files", files={"file": (f"{name}.png", data)}).json()["id"]
            for name, data in (("source", PICTURE), ("mask", MASK))
        }
        asked = {key: value for key, value in body("holes").items() if key != "label"}
        job = http.post("/v1/jobs", json={"kind": "sample", "body": asked | {"label": 1} | ids})
        assert job.status_code == 200, job.text
        last = events(http, job.json()["id"])[-1]
        assert last["state"] == "succeeded", last
        found = [content(http, f"/v1/outputs/{id}/content") for id in last["result"]["outputs"]]
        whole = body("holes", source=text(PICTURE), mask=text(MASK))
        direct = http.post("/v1/generations", json=whole).json()["data"]
        assert found == [content(http, one["url"]) for one in direct]
        lost = http.post("/v1/jobs", json={"kind": "sample", "body": asked | {"source": "a" * 26}})
        assert lost.status_code == 404, lost.text


def test_a_batch_carries_sources(server, client):
    line = {"custom_id": "a", "method": "POST", "url": "/v1/generations"}
    row = json.dumps({**line, "body": body("paints", source=text(PICTURE))})
    file = client.files.create(file=("in.jsonl", row.encode()), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/generations", completion_window="24h"
    )
    until(lambda: client.batches.retrieve(batch.id).status == "completed", 30, "the batch")
    assert client.batches.retrieve(batch.id).request_counts.completed == 1


@pytest.mark.parametrize("name", bombs.PICTURES)
def test_a_bomb_is_no_source_and_no_mask(server, name):
    bomb = text(bombs.PICTURES[name])
    with talk(server) as http:
        for more in ({"source": bomb}, {"source": text(PICTURE), "mask": bomb}):
            answer = http.post("/v1/generations", json=body("holes", **more))
            assert 400 <= answer.status_code < 500 and len(answer.content) < 2000, answer.text


def test_models_tell_what_they_take(server):
    with talk(server) as http:
        told = {one["id"]: one.get("source") for one in http.get("/v1/models").json()["data"]}
        assert told["paints"] == {"given": "grey", "needed": True, "mask": False}
        assert told["holes"] == {"given": "masked", "needed": False, "mask": True}
        assert told["plain"] is None
        schema = http.get("/v1/models/paints/schema").json()
        assert schema["required"] == ["source"] and "mask" not in schema["properties"]
