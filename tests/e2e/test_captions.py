"""A model that reads captions, served: the prompt is the caption, and the record makes it again."""

from __future__ import annotations

import base64
import io
from functools import partial

import numpy as np
import pytest
import torch
from openai import OpenAI
from PIL import Image

from genloom.artifact import load, save
from genloom.cli import main
from genloom.recipe import resolve
from tests.e2e.asking import content, talk, until
from tests.e2e.server import serving


def red() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    return out.getvalue()


RED = red()


@pytest.fixture(scope="module")
def shapes(tmp_path_factory, cache):
    """An artifact with random weights, of coloured pictures with captions."""
    folder = tmp_path_factory.mktemp("shapes")
    lines = ["file,caption"]
    for i in range(40):
        colour = ("red", "green", "blue")[i % 3]
        picture = Image.new("RGB", (8, 8), colour)
        picture.putpixel((0, 0), (i, i, i))  # or they would be copies of three
        picture.save(folder / f"{i}.png")
        lines.append(f"{i}.png,a {colour} square {i}")
    (folder / "captions.csv").write_text("\n".join(lines), "utf-8")
    net = {"use": "unet", "width": 16, "levels": 2, "head": 16}
    data = {"source": str(folder), "captions": True}
    torch.manual_seed(0)
    plan = resolve({"data": data, "model": {"use": "flow", "net": net}, "train": {"steps": 1}})
    with torch.no_grad():
        for p in plan.model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    out = tmp_path_factory.mktemp("artifact") / "shapes"
    save(out, model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return out


@pytest.fixture(scope="module")
def server(shapes, tmp_path_factory):
    place = tmp_path_factory.mktemp("captions") / "state"
    with serving(place, {"shapes": shapes}, "--no-sign", "--threads", "1") as started:
        yield started


@pytest.fixture(scope="module")
def client(server):
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def drawn(client, prompt):
    more = {"seed": 5, "steps": 3, "guidance": 4}
    return client.images.generate(model="shapes", prompt=prompt, n=1, extra_body=more).data[0]


def test_a_prompt_is_what_the_model_reads(client):
    red, again, blue = (
        base64.b64decode(drawn(client, text).b64_json)
        for text in ("a red square", "a red square", "a blue square")
    )
    assert red == again != blue


def test_all_routes_read_it_alike(server):
    with talk(server) as http:
        body = {"model": "shapes", "seed": 5, "options": {"steps": 3, "guidance": 4}}
        one = http.post("/v1/generations", json={**body, "prompt": "a red square"}).json()
        two = http.post("/v1/generations", json={**body, "prompt": "a blue square"}).json()
        first, second = (answer["data"][0] for answer in (one, two))
        contents = [http.get(f"/v1/outputs/{x['id']}/content").content for x in (first, second)]
        assert contents[0] != contents[1]
        long = http.post("/v1/generations", json={**body, "prompt": "x" * 100_001})
        assert long.status_code == 400 and "at most 100000" in long.json()["error"]["message"]


def test_its_record_makes_it_again(server, capsys):
    with talk(server) as http:
        body = {"model": "shapes", "seed": 6, "prompt": "a green square", "options": {"steps": 3}}
        id = http.post("/v1/generations", json=body).json()["data"][0]["id"]
    assert main(["reproduce", id, "--folder", str(server.folder)]) == 0, capsys.readouterr()


def test_a_negative_prompt_leads_away_and_its_record_makes_it_again(server, capsys):
    asked = {"model": "shapes", "prompt": "a red square", "seed": 5, "steps": 3, "guidance": 4}
    picture = base64.b64encode(RED).decode()

    def made(http, **more):
        answer = http.post("/v1/images/generations", json={**asked, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"][0]

    with talk(server) as http:
        plain, empty, led, other = (
            made(http, **more)
            for more in (
                {},
                {"negative_prompt": ""},
                {"negative_prompt": "a blue square"},
                {"negative_prompt": "a green square"},
            )
        )
        edited = made(http, source=picture, negative_prompt="a blue square", strength=0.9)
    assert plain["b64_json"] == empty["b64_json"]
    assert len({one["b64_json"] for one in (plain, led, other)}) == 3
    for one in (led, edited):
        files = ["--source", str(server.folder / "red.png")] if one is edited else []
        (server.folder / "red.png").write_bytes(RED)
        told = capsys.readouterr()
        argv = ["reproduce", one["id"], "--folder", str(server.folder), *files]
        assert main(argv) == 0, told


def test_generations_and_jobs_take_a_negative_prompt_too(server):
    led = {"prompt": "a red square", "negative_prompt": "a blue square"}
    body = {"model": "shapes", "n": 1, "seed": 5, "options": {"steps": 3, "guidance": 4}, **led}
    with talk(server) as http:
        asked = {"model": "shapes", "seed": 5, "steps": 3, "guidance": 4, **led}
        (image,) = http.post("/v1/images/generations", json=asked).json()["data"]
        (one,) = http.post("/v1/generations", json=body).json()["data"]
        job = http.post("/v1/jobs", json={"kind": "sample", "body": body}).json()
        until(lambda: http.get(f"/v1/jobs/{job['id']}").json()["state"] == "succeeded", 60, "job")
        by_job = http.get("/v1/outputs").json()["data"][0]
        contents = [content(http, f"/v1/outputs/{x['id']}/content") for x in (one, by_job)]
        other = http.post("/v1/generations", json={**body, "negative_prompt": None})
        assert contents == [content(http, f"/v1/outputs/{image['id']}/content")] * 2
        assert by_job["id"] != one["id"] and by_job["options"]["negative"] == "a blue square"
        assert content(http, other.json()["data"][0]["url"]) != contents[0]


def test_it_is_what_the_library_makes(server, shapes):
    made = load(shapes, device="cpu").sample(
        1, seed=5, caption="a red square", negative="a blue square", steps=3, guidance=4.0
    )
    with talk(server) as http:
        asked = {"model": "shapes", "prompt": "a red square", "seed": 5, "steps": 3, "guidance": 4}
        answer = http.post(
            "/v1/images/generations", json={**asked, "negative_prompt": "a blue square"}
        )
    with Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["b64_json"]))) as seen:
        assert np.array_equal(np.asarray(seen).transpose(2, 0, 1), made[0].numpy())


def test_what_is_not_read_of_a_caption_is_told_or_refused(server):
    asked = {"model": "shapes", "seed": 5, "steps": 3}
    with talk(server) as http:
        post = partial(http.post, "/v1/images/generations")
        cut = post(json={**asked, "prompt": "a red square, very large & round"})
        ignored = "prompt (2 unknown letters), prompt (letters beyond 17)"
        assert cut.headers["x-genloom-ignored"] == ignored
        strange = post(json={**asked, "prompt": "a red", "negative_prompt": "zzz a"})
        assert strange.headers["x-genloom-ignored"] == "negative_prompt (3 unknown letters)"
        body = {"model": "shapes", "seed": 5, "options": {"steps": 3}, "prompt": "zz red"}
        told = http.post("/v1/generations", json=body)
        assert told.headers["x-genloom-ignored"] == "prompt (2 unknown letters)"
        assert "x-genloom-ignored" not in post(json={**asked, "prompt": "a red square"}).headers
        for field in ("prompt", "negative_prompt"):
            none = post(json={**asked, "prompt": "a red", field: "\u7ea2\u8272"})
            assert none.status_code == 400 and none.json()["error"]["param"] == field
        red = {"image": ("red.png", RED)}
        edit = http.post(
            "/v1/images/edits", data={"model": "shapes", "prompt": "zz red", "steps": 2}, files=red
        )
        assert edit.headers["x-genloom-ignored"] == "prompt (2 unknown letters)"
