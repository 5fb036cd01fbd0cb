"""Texts behind a filter: nobody sees a letter of one before the filter has seen all of it."""

from __future__ import annotations

import json

import httpx2
import openai
import pytest
from openai import OpenAI

from genloom.data import open_dataset
from genloom.safety.policy.nearness import index, save
from tests.e2e.server import serving

POLICY = """
[[input]]
use = "words"
patterns = ["hold"]

[[output]]
use = "length"
most = 10

[[output]]
use = "nearness"
index = "digits.index"
models = ["digits"]
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory, served_models):
    folder = tmp_path_factory.mktemp("filtered")
    (folder / "policy.toml").write_text(POLICY, "utf-8")
    save(folder / "digits.index", index(open_dataset("digits")), "image")
    models = {name: served_models[name] for name in ("words", "digits", "moons")}
    rules = ("--policy", str(folder / "policy.toml"), "--threads", "1")
    with serving(folder / "state", models, *rules) as server:
        yield OpenAI(base_url=f"{server.url}/v1", api_key="gl-any", max_retries=0, timeout=60)


def ask(client, most, **more):
    """A text of `most` characters after four given ones; the filter lets ten through in all."""
    return client.completions.create(
        model="words", prompt="the ", max_tokens=most, extra_body={"seed": 1}, **more
    )


def test_what_passes_comes_whole_or_streamed(client):
    whole = ask(client, 6)
    pieces = [chunk.choices[0] for chunk in ask(client, 6, stream=True)]
    assert "".join(piece.text for piece in pieces) == whole.choices[0].text != ""
    assert whole.choices[0].finish_reason == pieces[-1].finish_reason == "length"


@pytest.mark.parametrize("more", [{}, {"logprobs": 2}])
def test_what_is_refused_is_never_shown(client, more):
    (choice,) = ask(client, 7, **more).choices
    assert (choice.text, choice.finish_reason) == ("", "content_filter")
    assert not more or choice.logprobs.tokens == []
    pieces = [chunk.choices[0] for chunk in ask(client, 7, stream=True, **more)]
    assert [piece.text for piece in pieces] == [""]
    assert pieces[-1].finish_reason == "content_filter"


def test_what_is_refused_is_not_kept(client):
    def kept():
        return len(client.get("/outputs", cast_to=object)["data"])

    before = kept()
    ask(client, 7)
    assert kept() == before
    ask(client, 6)
    assert kept() == before + 1


def streamed(client, **body):
    """(event, data) of a generation."""
    found, name = [], ""
    path, asked = f"{client.base_url}generations", {"stream": True, **body}
    with httpx2.stream("POST", path, json=asked, timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: {"):
                found.append((name, json.loads(line.removeprefix("data: "))))
    return found


@pytest.mark.parametrize(("most", "state"), [(6, "free"), (7, "refused")])
def test_our_own_stream_shows_a_text_only_when_it_passed(client, most, state):
    *pieces, (name, last) = streamed(
        client, model="words", prompt="the ", max_tokens=most, seed=1, n=2
    )
    assert name == "generation.completed"
    assert [one["state"] for one in last["data"]] == [state] * 2
    shown = ["".join(piece["text"] for _, piece in pieces if piece["index"] == i) for i in (0, 1)]
    wanted = [one["text"].removeprefix("the ") if state == "free" else "" for one in last["data"]]
    assert shown == wanted


def test_pictures_that_are_filtered_have_no_previews(client):
    asked = {"options": {"steps": 8}, "seed": 1, "previews": 4}
    assert [name for name, _ in streamed(client, model="digits", **asked)] == [
        "generation.completed"
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_refused_is_an_error_with_a_status(client, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        list(
            client.chat.completions.create(
                model="words",
                messages=[{"role": "user", "content": "the hold"}],
                max_completion_tokens=2,
                stream=stream,
            )
        )
    assert caught.value.code == "content_policy_violation"
