"""The official client against a real server: every route that it has and we answer."""

from __future__ import annotations

import base64
import io
import json
import re

import httpx2
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


def test_a_prompt_that_is_too_long_is_refused_and_cut_only_on_demand(client):
    words = {"model": "words", "seed": 3}
    long, talk = "the " * 20, [{"role": "user", "content": "the loom "}] * 9
    for ask, param in (
        (lambda **more: client.completions.create(**words, prompt=long, **more), "prompt"),
        (lambda **more: client.chat.completions.create(**words, messages=talk, **more), "messages"),
    ):
        with pytest.raises(openai.BadRequestError, match="context length is 32 tokens") as caught:
            ask(max_tokens=5)
        assert (caught.value.code, caught.value.param) == ("context_length_exceeded", param)
        cut = ask(max_tokens=5, extra_body={"truncation": "auto"})
        assert (cut.usage.prompt_tokens, cut.usage.completion_tokens) == (27, 5)
    end = client.completions.create(**words, prompt=long[-27:], max_tokens=5)
    cut = client.completions.create(
        **words, prompt=long, max_tokens=5, extra_body={"truncation": "auto"}
    )
    assert cut.choices[0].text == end.choices[0].text
    with pytest.raises(openai.BadRequestError, match=r"1 to 4\..*the prompt has 28") as caught:
        client.completions.create(**words, prompt=long[:28], max_tokens=5)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "max_tokens")
    rest = client.completions.create(**words, prompt=long[:28])  # as much as there is room for
    assert (rest.usage.prompt_tokens, rest.usage.completion_tokens) == (28, 4)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"prompt": "the " * 8}, "context_length_exceeded"), ({"max_tokens": 29}, None)],
)
def test_any_route_refuses_what_leaves_no_room(client, wrong, code):
    body = {"model": "words", "prompt": "the ", "max_tokens": 28}
    assert client.post("/generations", body=body, cast_to=object)
    with pytest.raises(openai.BadRequestError, match="context length is 32") as caught:
        client.post("/generations", body={**body, **wrong}, cast_to=object)
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == ("max_tokens" if code is None else "prompt")


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"suffix": "loom"}, "suffix"),
        ({"n": 2, "best_of": 3}, "best_of"),
        ({"tools": [TOOL]}, "tools"),
        ({"functions": [TOOL["function"]]}, "functions"),
    ],
)
def test_what_would_change_an_answer_and_is_not_carried_out_is_refused(client, wrong, param):
    talk = {"messages": [{"role": "user", "content": "the "}]}
    for path, given in (("/completions", {"prompt": "the "}), ("/chat/completions", talk)):
        body = {"model": "words", "max_tokens": 4, **given}
        with pytest.raises(openai.BadRequestError, match="Leave it out") as caught:
            client.post(path, body={**body, **wrong}, cast_to=object)
        assert (caught.value.param, caught.value.code) == (param, "unsupported_parameter")


def test_what_asks_for_nothing_is_no_error_and_what_nobody_read_is_told(client):
    with pytest.raises(openai.BadRequestError, match="messages is empty"):
        client.chat.completions.create(model="words", messages=[])
    nothing = {"suffix": None, "tools": [], "best_of": 2, "user": "me", "store": False}
    more = {**nothing, "parallel_tool_calls": True, "metadata": {"a": "b"}, "beams": 3}
    answer = client.completions.with_raw_response.create(
        model="words", prompt="the ", max_tokens=4, n=2, extra_body=more
    )
    assert answer.headers["x-genloom-ignored"] == "beams"
    assert len(answer.parse().choices) == 2


@pytest.mark.parametrize(
    ("route", "wrong", "meant"),
    [
        ("completions", "topk", "top_k"),
        ("chat/completions", "sede", "seed"),
        ("generations", "sede", "seed"),
        ("generations", "temprature", "options.temperature"),
        ("generations", "top_k", "options.top_k"),
    ],
)
def test_a_field_that_is_nearly_one_of_the_route_is_refused(client, route, wrong, meant):
    said = {"chat/completions": {"messages": [{"role": "user", "content": "the "}]}}
    body = {"model": "words", **said.get(route, {"prompt": "the "}), wrong: 3}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post(f"/{route}", body=body, cast_to=object)
    assert f"no {wrong!r}; did you mean {meant!r}?" in caught.value.message
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", wrong)


def test_a_form_with_such_a_field_is_refused_too(server):
    form = {"model": "digits", "prompt": "7", "guidence": "2"}
    files = {"image": ("a.png", b"\x89PNG", "image/png")}
    answer = httpx2.post(f"{server.url}/v1/images/edits", data=form, files=files)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "guidence")
    assert "did you mean 'guidance'?" in error["message"]


@pytest.mark.parametrize(
    ("body", "place", "why"),
    [(b"{bad", "character 2", "property name"), (b"[1, 2", "character 6", "delimiter")],
)
def test_a_body_that_is_no_json_is_told_where(server, body, place, why):
    headers = {"content-type": "application/json"}
    answer = httpx2.post(f"{server.url}/v1/completions", content=body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, None)
    assert error["message"].startswith(f"the body is no JSON at {place}: ") and why in str(error)


@pytest.mark.parametrize("stream", [False, True])
def test_each_of_several_prompts_is_answered_as_if_it_were_alone(client, stream):
    ask = {"model": "words", "n": 2, "seed": 4, "max_tokens": 6, "echo": True}
    prompts = ["the ", "loom", "a"]
    answer = client.completions.create(**ask, prompt=prompts, stream=stream)
    said, ends = [""] * 6, [None] * 6
    for choice in (c for chunk in (answer if stream else [answer]) for c in chunk.choices):
        said[choice.index] += choice.text
        ends[choice.index] = choice.finish_reason
    alone = [client.completions.create(**ask, prompt=prompt) for prompt in prompts]
    assert said == [choice.text for one in alone for choice in one.choices]
    assert [text[:4] for text in said[:4]] == ["the ", "the ", "loom", "loom"]
    assert ends == ["length"] * 6
    if not stream:
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 36)
    with pytest.raises(openai.BadRequestError, match="at most 64 texts in all") as caught:
        client.completions.create(**ask, prompt=["a"] * 33, stream=stream)
    assert caught.value.param == "prompt"


def test_one_wrong_prompt_of_several_is_an_error(client):
    with pytest.raises(openai.BadRequestError, match="the character 'A'"):
        client.completions.create(model="words", prompt=["the ", "A"], max_tokens=4)


def test_a_prompt_is_scored_like_what_was_written(client):
    """A text that was drawn is sent as a prompt: its scores are the same."""
    ask = {"model": "words", "seed": 2, "logprobs": 2}
    drawn = client.completions.create(**ask, prompt="the ", max_tokens=6).choices[0]
    whole = "the " + drawn.text
    (alone, again) = client.completions.create(
        **ask, prompt=[whole, whole[:4]], echo=True, max_tokens=0
    ).choices
    found = alone.logprobs
    assert (alone.text, "".join(found.tokens), again.text) == (whole, whole, "the ")
    assert found.text_offset == list(range(10))
    assert found.token_logprobs[0] is found.top_logprobs[0] is None
    assert found.token_logprobs[4:] == pytest.approx(drawn.logprobs.token_logprobs, abs=1e-4)
    assert [set(top) for top in found.top_logprobs[4:]] == [
        set(top) for top in drawn.logprobs.top_logprobs
    ]
    assert again.logprobs.token_logprobs[1:] == pytest.approx(found.token_logprobs[1:4], abs=1e-4)
    both = client.completions.create(**ask, prompt="the ", echo=True, max_tokens=6).choices[0]
    chunks = client.completions.create(**ask, prompt="the ", echo=True, max_tokens=6, stream=True)
    parts = [choice for chunk in chunks for choice in chunk.choices]
    assert both.text == whole == "".join(part.text for part in parts)
    told = [part.logprobs for part in parts if part.logprobs]
    for name in ("tokens", "token_logprobs", "text_offset"):
        assert getattr(both.logprobs, name) == [one for log in told for one in getattr(log, name)]
    assert both.logprobs.token_logprobs[4:] == drawn.logprobs.token_logprobs
    assert both.logprobs.text_offset == list(range(10))
    with pytest.raises(openai.BadRequestError, match="1 to 28"):
        client.completions.create(**ask, prompt="the ", max_tokens=0)
