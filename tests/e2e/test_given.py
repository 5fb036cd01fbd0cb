"""What callers give: pictures to change, data to encode, codes to decode, files of requests."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile

import numpy as np
import openai
import pytest
from openai import OpenAI
from PIL import Image

from tests.e2e.asking import content, talk


@pytest.fixture(scope="module")
def client(server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="gl-any", max_retries=0, timeout=60)


def png(pixels, mode=None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8), mode).save(out, "PNG")
    return out.getvalue()


def pixels(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


PICTURE = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
HOLE = np.full((8, 8, 4), 255, dtype=np.uint8)
HOLE[4:, :, 3] = 0


def test_an_edit_keeps_what_the_mask_keeps_and_is_its_seeds(client):
    asked = {
        "model": "digits",
        "prompt": "7",
        "image": ("a.png", png(PICTURE)),
        "mask": ("m.png", png(HOLE)),
        "n": 2,
        "extra_body": {"seed": 5, "steps": 4},
    }
    first, again = client.images.edit(**asked), client.images.edit(**asked)
    shown = [pixels(one.b64_json) for one in first.data]
    for one in shown:
        assert np.abs(one[:4].astype(int) - PICTURE[:4]).max() <= 1
        assert np.abs(one[4:].astype(int) - PICTURE[4:]).max() > 30
    assert not np.array_equal(*shown)
    assert [pixels(one.b64_json).tolist() for one in again.data] == [x.tolist() for x in shown]


def test_strength_is_how_far_an_edit_goes(client):
    def ask(strength):
        more = {"seed": 1, "steps": 8, "strength": strength}
        found = client.images.edit(
            model="digits", prompt="", image=("a.png", png(PICTURE)), extra_body=more
        )
        return np.abs(pixels(found.data[0].b64_json).astype(int) - PICTURE).mean()

    assert ask(0.0) < 1 < ask(0.4) < ask(1.0)


def test_an_edit_streams_its_previews(client):
    events = list(
        client.images.edit(
            model="digits",
            prompt="3",
            image=("a.png", png(PICTURE)),
            stream=True,
            partial_images=2,
            extra_body={"steps": 8, "strength": 1.0},
        )
    )
    kinds = [event.type for event in events]
    assert kinds == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"image": ("a.png", b"no picture")}, "not a picture"),
        ({"mask": ("m.png", png(np.zeros((8, 8))))}, "nothing to change"),
        ({"extra_body": {"strength": 2}}, "strength"),
        ({"extra_body": {"steps": "many"}}, "steps"),
        ({"image": [("a.png", png(PICTURE)), ("b.png", png(PICTURE))]}, "one picture"),
    ],
)
def test_an_edit_that_cannot_be_done_says_why(client, more, says):
    asked = {"model": "digits", "prompt": "3", "image": ("a.png", png(PICTURE)), **more}
    with pytest.raises(openai.BadRequestError, match=says):
        client.images.edit(**asked)


def test_embeddings_of_pictures_come_as_the_client_asks(client):
    pictures = [base64.b64encode(png(PICTURE + i)).decode() for i in (0, 9)]
    plain = client.embeddings.create(model="codes", input=pictures)  # base64 on the wire
    listed = client.embeddings.create(model="codes", input=pictures[0], encoding_format="float")
    assert [len(one.embedding) for one in plain.data] == [4, 4]
    assert plain.data[0].embedding == pytest.approx(listed.data[0].embedding, abs=1e-6)
    assert plain.data[0].embedding != plain.data[1].embedding
    for wrong, says in (
        ({"model": "digits", "input": pictures}, "has no codes of data. Models that have: codes"),
        ({"model": "codes", "input": "hello"}, "must be a file"),
        ({"model": "codes", "input": [1, 2]}, "no vocabulary"),
        ({"model": "codes", "input": pictures, "dimensions": 3}, "codes of 4 numbers"),
    ):
        with pytest.raises(openai.BadRequestError, match=says):
            client.embeddings.create(**wrong)


def test_a_code_decodes_to_the_same_wherever_it_stands_and_outputs_have_codes(server):
    with talk(server) as http:
        codes = [[0.5, -1.0, 2.0, 0.0], [0.0] * 4, [1.0] * 4]
        body = {"model": "codes", "latent": codes, "seed": 3, "label": 1}
        made = http.post("/v1/generations", json=body).json()["data"]
        alone = http.post("/v1/generations", json={**body, "latent": codes[2:]}).json()["data"]
        shown = [content(http, one["url"]) for one in made]
        assert content(http, alone[0]["url"]) == shown[2] and len(set(shown)) == 3
        ids = [one["id"] for one in made]
        found = http.post("/v1/encodings", json={"model": "codes", "outputs": ids}).json()["data"]
        assert [len(code) for code in found] == [4, 4, 4]
        again = http.post(f"/v1/outputs/{ids[0]}/reproduce").json()
        assert again["same"] is True
        for latent, says in (([[1.0]], "4 numbers"), ([[1e9] * 4], "within")):
            answer = http.post("/v1/generations", json={"model": "codes", "latent": latent})
            assert answer.status_code == 400 and says in answer.text


def test_a_walk_begins_at_one_seed_and_ends_at_the_other(server):
    for model in ("moons", "digits", "codes", "words"):
        options = {"steps": 4} if model == "digits" else {}
        given = {"model": model, "options": options}
        label = {} if model == "words" else {"label": 1}
        with talk(server) as http:
            walk = {**given, **label, "seed": 1, "toward": 2, "mix": [0.0, 0.5, 1.0]}
            made = http.post("/v1/generations", json=walk).json()["data"]
            shown = [content(http, one["url"]) for one in made]
            for seed, end in ((1, 0), (2, 2)):
                one = http.post("/v1/generations", json={**given, **label, "seed": seed}).json()
                assert content(http, one["data"][0]["url"]) == shown[end]
            assert shown[1] not in (shown[0], shown[2])
            again = http.post(f"/v1/outputs/{made[1]['id']}/reproduce").json()
            assert again["same"] is True


def test_outputs_come_by_content_type_and_as_a_zip(server):
    asked = {"model": "digits", "seed": 4, "options": {"steps": 2}}
    with talk(server) as http:
        alone = http.post("/v1/generations", json=asked, headers={"accept": "image/png"})
        assert alone.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(alone.content)).info["seed"] == "4"
        wanted = {"accept": "application/zip"}
        packed = http.post("/v1/generations", json={**asked, "n": 3}, headers=wanted)
        ids = [one["id"] for one in http.get("/v1/outputs?limit=3").json()["data"]]
        later = http.post("/v1/archives", json={"outputs": ids[::-1]})
        assert packed.headers["content-type"] == later.headers["content-type"] == "application/zip"
        assert packed.content == later.content
        with zipfile.ZipFile(io.BytesIO(packed.content)) as file:
            seeds = [Image.open(file.open(name)).info["seed"] for name in file.namelist()]
        assert seeds == ["4", "5", "6"]
        assert http.post("/v1/archives", json={"outputs": ["a" * 26]}).status_code == 404


def test_the_likelihood_of_tokens_is_told_in_both_forms(client):
    extra = {"seed": 2, "temperature": 0.7}
    whole = client.completions.create(
        model="words", prompt="the ", max_tokens=6, logprobs=3, extra_body=extra
    ).choices[0]
    found = whole.logprobs
    assert "".join(found.tokens) == whole.text and found.text_offset == list(range(6))
    assert [len(top) for top in found.top_logprobs] == [3] * 6
    assert all(-12 < value <= 0 for value in found.token_logprobs)
    for token, value, top in zip(found.tokens, found.token_logprobs, found.top_logprobs):
        assert value <= max(top.values()) + 1e-6
        assert token not in top or top[token] == pytest.approx(value)
    chunks = client.chat.completions.create(
        model="words",
        messages=[{"role": "user", "content": "the "}],
        max_completion_tokens=6,
        logprobs=True,
        top_logprobs=2,
        stream=True,
        extra_body=extra,
    )
    rows = [
        row
        for chunk in chunks
        for choice in chunk.choices
        if choice.logprobs
        for row in choice.logprobs.content
    ]
    assert [row.token for row in rows] == found.tokens
    assert [row.logprob for row in rows] == pytest.approx(found.token_logprobs)
    assert bytes(rows[0].bytes).decode() == rows[0].token and len(rows[0].top_logprobs) == 2


def test_a_text_that_ended_early_is_recorded_as_long_as_it_became(server):
    with talk(server) as http:
        asked = {"model": "words", "prompt": "the ", "max_tokens": 5, "seed": 9}
        (made,) = http.post("/v1/generations", json=asked).json()["data"]
        assert len(made["text"]) == 9 and made["text"].startswith("the ")
        assert content(http, made["url"]) == made["text"]
        assert http.post(f"/v1/outputs/{made['id']}/reproduce").json()["same"] is True


def test_a_batch_is_answered_in_order_with_its_errors_apart(client):
    rows = [
        {"custom_id": f"r{i}", "method": "POST", "url": "/v1/completions", "body": body}
        for i, body in enumerate(
            {"model": "words", "prompt": "the ", "max_tokens": 4, "seed": i} for i in range(20)
        )
    ]
    rows[7]["body"]["prompt"] = "THE"  # letters that the model does not know
    text = "\n".join(json.dumps(row) for row in rows)
    file = client.files.create(file=("in.jsonl", text.encode()), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/completions",
        completion_window="24h",
        metadata={"a": "b"},
    )
    until = time.monotonic() + 30
    while (batch := client.batches.retrieve(batch.id)).status not in ("completed", "failed"):
        assert time.monotonic() < until, batch
        time.sleep(0.1)
    counts = batch.request_counts
    assert (batch.status, counts.total, counts.completed, counts.failed) == ("completed", 20, 19, 1)
    assert batch.metadata == {"a": "b"} and batch.id in [one.id for one in client.batches.list()]
    answers = [
        json.loads(row)
        for row in client.files.content(batch.output_file_id).text.split("\n")
        if row
    ]
    assert [answer["custom_id"] for answer in answers] == [f"r{i}" for i in range(20) if i != 7]
    alone = client.completions.create(
        model="words", prompt="the ", max_tokens=4, extra_body={"seed": 3}
    )
    assert answers[3]["response"]["body"]["choices"][0]["text"] == alone.choices[0].text
    (wrong,) = client.files.content(batch.error_file_id).text.splitlines()
    assert json.loads(wrong)["response"]["body"]["error"]["code"] == "unknown_character"
    with pytest.raises(openai.BadRequestError, match="cannot become"):
        client.batches.cancel(batch.id)
    with pytest.raises(openai.BadRequestError, match="a batch goes to"):
        client.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
        )
