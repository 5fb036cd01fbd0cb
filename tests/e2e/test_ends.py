"""How texts over HTTP end: before a stop however its tokens lie, and where a form is whole."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from genloom import runs
from tests.e2e.server import serving

LINES = '{"name": "the loom", "count": 12}\nthe loom weaves the thread\n' * 400


class Loom(BaseModel):
    """What is asked for."""

    name: str
    count: int


@pytest.fixture(scope="module")
def client(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "lines.txt").write_text(LINES, "utf-8")
    data = {"source": str(folder / "lines.txt"), "length": 64, "tokenizer": "bpe", "vocab": 300}
    net = {"use": "transformer", "width": 32, "layers": 1, "heads": 2}
    recipe = {
        "data": data,
        "model": {"use": "autoregressive", "net": net},
        "train": {"batch": 8, "threads": 1},
    }
    runs.train(recipe, out=folder / "run", steps=100, quiet=True)
    with serving(folder / "state", {"pieces": folder / "run"}) as server:
        yield openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)


def told(client: openai.OpenAI, *, stream: bool, **ask: Any) -> tuple[str, str | None, int]:
    """The one text of a chat, why it has ended, and how many tokens it has."""
    ask = {"model": "pieces", "messages": [{"role": "user", "content": "the "}], **ask}
    if not stream:
        whole = client.chat.completions.create(**ask)
        (choice,) = whole.choices
        return choice.message.content, choice.finish_reason, whole.usage.completion_tokens
    ask |= {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = client.chat.completions.create(**ask)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    return said, chunks[-1].choices[0].finish_reason, last.usage.completion_tokens


def test_nothing_of_a_stop_is_in_an_answer_however_its_tokens_lie(client):
    ask = {"seed": 3, "max_tokens": 40}
    text, _, _ = told(client, stream=False, **ask)
    places = [i for i in range(2, len(text) - 4) if text[i - 2 : i + 3].isascii()][:12:2]
    assert len(places) > 3
    for i in places:
        for stop in (text[i : i + 3], [text[i : i + 2], text[i - 1 : i + 2], "never"]):
            stops = [stop] if isinstance(stop, str) else stop
            kept = text[: min(place for one in stops if (place := text.find(one)) >= 0)]
            at_once, grown = (told(client, stream=s, stop=stop, **ask) for s in (False, True))
            assert at_once == grown and at_once[:2] == (kept, "stop")


def test_a_form_that_is_whole_with_its_last_token_has_stopped(client):
    talk = {"model": "pieces", "messages": [{"role": "user", "content": "the "}]}
    for most in (24, 40):
        parsed = client.chat.completions.parse(
            **talk, response_format=Loom, max_tokens=most, seed=2
        )
        (choice,) = parsed.choices
        assert choice.finish_reason == "stop" and isinstance(choice.message.parsed, Loom)
    schema = {"name": "x", "schema": {**Loom.model_json_schema(), "additionalProperties": False}}
    wanted = {"type": "json_schema", "json_schema": schema}
    for more, reason in (
        ({"response_format": wanted, "max_tokens": 24}, "stop"),
        ({"extra_body": {"regex": "[a-z]{3}"}, "max_tokens": 3, "seed": 2}, "stop"),
        ({"extra_body": {"regex": "([a-z] )+[a-z]"}, "max_tokens": 9, "seed": 2}, "length"),
    ):
        at_once, grown = (told(client, stream=s, **{"seed": 2, **more}) for s in (False, True))
        assert at_once == grown and at_once[1] == reason
        if "response_format" in more:
            assert Loom(**json.loads(at_once[0]))
