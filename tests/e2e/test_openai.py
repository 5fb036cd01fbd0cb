"""The official client against a real server: every route that it has and we answer."""

from __future__ import annotations

import base64
import io
import json
import re

import openai
import pytest
from openai import OpenAI
from PIL import Image


@pytest.fixture(scope="module")
def client(server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="gl-any", max_retries=0, timeout=60)


def picture(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_models_are_listed_and_found(client):
    assert [model.id for model in client.models.list()] == ["digits", "codes", "words", "moons"]
    assert client.models.retrieve("codes").owned_by == "genloom"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("digts")
    assert caught.value.code == "model_not_found" and "did you mean 'digits'" in str(caught.value)


def test_pictures_by_seed_with_options_and_a_warning(client):
    def ask(**more):
        extra = {"seed": 5, "steps": 4, **more}
        return client.images.with_raw_response.generate(
            model="digits", prompt="7", n=2, extra_body=extra
        )

    answer = ask(colour="red")
    assert answer.headers["x-genloom-ignored"] == "colour"
    first, again = answer.parse(), ask().parse()
    assert "x-genloom-ignored" not in ask().headers
    shown = [picture(one.b64_json) for one in first.data]
    assert [one.size for one in shown] == [(8, 8), (8, 8)] and first.size == "8x8"
    assert [one.tobytes() for one in shown] == [
        picture(one.b64_json).tobytes() for one in again.data
    ]
    assert shown[0].tobytes() != shown[1].tobytes()
    assert (shown[1].info["seed"], shown[1].info["label"]) == ("6", "7")
    assert json.loads(shown[0].info["options"])["steps"] == 4
    assert first.usage.total_tokens == 2


def test_pictures_of_a_size_in_another_format_and_by_url(client, server):
    found = client.images.generate(
        model="digits", prompt="3", size="64x48", output_format="jpeg", extra_body={"steps": 2}
    )
    one = picture(found.data[0].b64_json)
    assert (one.format, one.size, found.size) == ("JPEG", (64, 48), "64x48")
    found = client.images.generate(
        model="digits", prompt="3", response_format="url", extra_body={"steps": 2}
    )
    assert found.data[0].url.startswith(f"{server.url}/v1/outputs/")


def test_the_denoising_streams_as_partial_images(client):
    events = list(
        client.images.generate(
            model="digits",
            prompt="the digit 4",
            stream=True,
            partial_images=3,
            extra_body={"steps": 6, "seed": 1},
        )
    )
    kinds = [event.type.removeprefix("image_generation.") for event in events]
    assert kinds == ["partial_image"] * 3 + ["completed"]
    assert [event.partial_image_index for event in events[:3]] == [0, 1, 2]
    whole = client.images.generate(model="digits", prompt="4", extra_body={"steps": 6, "seed": 1})
    last = picture(events[-1].b64_json)
    assert last.tobytes() == picture(whole.data[0].b64_json).tobytes()


def test_text_goes_on_stops_and_streams_the_same(client):
    ask = {"model": "words", "prompt": "the ", "max_tokens": 12, "seed": 4}
    whole = client.completions.create(**ask)
    text = whole.choices[0].text
    assert len(text) == 12 and whole.choices[0].finish_reason == "length"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (4, 12)
    chunks = list(client.completions.create(**ask, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == text
    assert len(chunks) > 3 and chunks[-1].choices[0].finish_reason == "length"
    stopped = client.completions.create(**ask, stop=text[3:5])
    assert stopped.choices[0].text == text[: text.index(text[3:5])]
    assert stopped.choices[0].finish_reason == "stop"
    pieces = client.completions.create(**ask, stop=text[3:5], stream=True)
    assert "".join(c.choices[0].text for c in pieces) == stopped.choices[0].text
    assert client.completions.create(**ask, echo=True).choices[0].text == "the " + text


def test_conversations(client):
    asked = {
        "model": "words",
        "messages": [
            {"role": "system", "content": "loom"},
            {"role": "user", "content": [{"type": "text", "text": "the th"}]},
        ],
        "max_completion_tokens": 6,
        "seed": 2,
        "n": 2,
    }
    whole = client.chat.completions.create(**asked)
    assert [choice.message.role for choice in whole.choices] == ["assistant"] * 2
    texts = ["", ""]
    usage = None
    for chunk in client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
        usage = chunk.usage or usage
    assert texts == [choice.message.content for choice in whole.choices]
    assert usage.total_tokens == whole.usage.total_tokens == 11 + 12


@pytest.mark.parametrize(
    ("route", "ask", "param", "part"),
    [
        ("images", {"model": "digits", "prompt": "seventy"}, "prompt", "names no class"),
        ("images", {"model": "digits", "prompt": "1 or 2"}, "prompt", "several classes"),
        ("images", {"model": "digits", "prompt": "1", "n": 65}, "n", "1 to 64"),
        ("images", {"model": "digits", "prompt": "1", "size": "9x99999"}, "size", "1 to 2048"),
        ("images", {"model": "words", "prompt": "1"}, "model", "makes text"),
        ("text", {"model": "digits", "prompt": "a"}, "model", "makes image"),
        ("text", {"model": "words", "prompt": "A"}, "prompt", "the character 'A'"),
        ("text", {"model": "words", "prompt": "a", "max_tokens": 32}, "max_tokens", "1 to 31"),
        ("text", {"model": "words", "prompt": "a", "temperature": -1}, None, "out of range"),
    ],
)
def test_what_does_not_fit_is_told_in_openais_form(client, route, ask, param, part):
    with pytest.raises(openai.BadRequestError, match=part) as caught:
        if route == "images":
            client.images.generate(**ask)
        else:
            client.completions.create(**ask)
    assert caught.value.param == param and caught.value.type == "invalid_request_error"


def test_a_missing_field_and_an_unsupported_model_have_that_form_too(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/images/generations", body={"model": "digits"}, cast_to=object)
    assert caught.value.param == "prompt" and caught.value.code == "missing_required_parameter"
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="words", voice="alloy", input="hello")
    assert caught.value.code == "unsupported_model"
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(model="codes", prompt="7", image=b"\x89PNG")
    assert caught.value.code == "unsupported_model"


def test_files_are_kept_by_id(client):
    kept = client.files.create(file=("../a b.txt", b"hello"), purpose="user_data")
    assert (kept.bytes, kept.filename) == (5, "../a b.txt")
    assert client.files.content(kept.id).read() == b"hello"
    assert kept.id in [file.id for file in client.files.list()]
    assert client.files.delete(kept.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(kept.id)


def test_moderations_without_a_policy_flag_nothing(client):
    result = client.moderations.create(input=["hello", "world"]).results
    assert [one.flagged for one in result] == [False, False]


def test_texts_of_a_form_and_tokens_that_are_favoured(client):
    ask = {"model": "words", "prompt": "the ", "max_tokens": 12, "n": 3, "seed": 4}
    chat = {"model": "words", "messages": [{"role": "user", "content": "the "}], "seed": 4}
    for stream in (False, True):
        answer = client.completions.create(
            **ask, stream=stream, extra_body={"regex": "(the|loom) [a-z]{2,3}"}
        )
        said = {0: "", 1: "", 2: ""}
        for choice in (c for chunk in (answer if stream else [answer]) for c in chunk.choices):
            said[choice.index] += choice.text
        assert all(re.fullmatch("(the|loom) [a-z]{2,3}", text) for text in said.values()), said
    schema = {"name": "x", "schema": {"enum": ["the", "loom"]}}
    wanted = {"type": "json_schema", "json_schema": schema}
    with pytest.raises(openai.BadRequestError, match="was found"):  # it has learnt no quote
        client.chat.completions.create(**chat, response_format=wanted, max_tokens=12)
    one = client.completions.create(**ask, logit_bias={"0": 100}, frequency_penalty=0.0)
    assert len(set(one.choices[0].text)) == 1 and len(one.choices[0].text) == 12


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"regex": "(a"}, "unclosed group"),
        ({"regex": "a{13}"}, "allow more tokens"),
        ({"response_format": {"type": "valid"}}, "no grammar of their own"),
        ({"response_format": {"type": "xml"}}, "json_object"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "json_schema"),
        ({"regex": "a", "response_format": {"type": "json_object"}}, "exclude each other"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": 3}}}, "an object"),
        ({"logit_bias": {"0": 101}}, "100"),
        ({"logit_bias": {"9999": 1}}, "tokens of logit_bias"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
    ],
)
def test_a_form_that_cannot_be_is_one_line(client, wrong, part):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="words", prompt="the ", max_tokens=12, extra_body=wrong)
    assert part in str(caught.value)
