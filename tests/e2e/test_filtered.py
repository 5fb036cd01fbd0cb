"""Texts behind a filter: nobody sees a letter of one before the filter has seen all of it."""

from __future__ import annotations

import openai
import pytest
from openai import OpenAI

from tests.e2e.server import serving

POLICY = """
[[input]]
use = "words"
patterns = ["hold"]

[[output]]
use = "length"
most = 10
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory, served_models):
    folder = tmp_path_factory.mktemp("filtered")
    (folder / "policy.toml").write_text(POLICY, "utf-8")
    models = {"words": served_models["words"]}
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
