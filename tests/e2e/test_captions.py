"""A model that reads captions, served: the prompt is the caption, and the record makes it again."""

from __future__ import annotations

import base64

import pytest
import torch
from openai import OpenAI
from PIL import Image

from genloom.artifact import save
from genloom.cli import main
from genloom.recipe import resolve
from tests.e2e.asking import talk
from tests.e2e.server import serving


@pytest.fixture(scope="module")
def shapes(tmp_path_factory, cache):
    """An artifact with random weights, of coloured pictures with captions."""
    folder = tmp_path_factory.mktemp("shapes")
    lines = ["file,caption"]
    for i in range(40):
        colour = ("red", "green", "blue")[i % 3]
        Image.new("RGB", (8, 8), colour).save(folder / f"{i}.png")
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
