"""What OpenAI's routes for text are asked: what is read of it, what is refused, what it costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from genloom.lexicon import Bytes, Letters
from genloom.serve.app import create_app
from genloom.serve.known import Known, learn
from genloom.serve.problems import Problem
from genloom.serve.settings import Limits, Settings
from genloom.serve.wished import Chat, Completion, asked_of, completions, conversation, echoed
from tests.e2e.server import make_models

LIMITS = Limits()
LONG = "the loom weaves the thread and the thread"  # 41 letters; the window has 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cache):
    return make_models(tmp_path_factory.mktemp("models"))["words"]


@pytest.fixture(scope="module")
def words(folder) -> Known:
    return learn("words", folder)


@pytest.fixture(scope="module")
def client(folder, tmp_path_factory):
    """A server of this process, with a queue for four requests."""
    limits = Limits(waiting=4)
    app = create_app(Settings({"words": folder}, tmp_path_factory.mktemp("state"), limits=limits))
    with TestClient(app, "http://127.0.0.1:8000") as opened:
        while not app.state.services.pool.ready:
            time.sleep(0.02)
        yield opened


def read(words: Known, prompt: str, **more) -> tuple[str, int, str]:
    """What is read of a prompt as a text, how much is written after it, and what is echoed."""
    body = Completion.model_validate({"prompt": prompt, **more})
    (wish,) = completions(body, words, LIMITS)
    asked, writing = asked_of(body, words, wish, LIMITS)
    return writing.lexicon.decode(asked.prompt), writing.most, echoed(wish, asked)


@pytest.mark.parametrize(
    ("size", "most", "kept", "written"),
    [
        (30, None, 30, 2),  # as without truncation
        (31, 1, 31, 1),
        (32, None, 16, 16),
        (41, None, 16, 16),
        (41, 31, 1, 31),
        (20, 13, 19, 13),
        (41, 0, 31, 0),
        (0, 32, 0, 32),
    ],
)
def test_a_prompt_is_cut_only_where_it_must_be_and_what_is_read_is_echoed(
    words, size, most, kept, written
):
    found = read(words, LONG[:size], max_tokens=most, truncation="auto", echo=True)
    end = LONG[size - kept : size]
    assert found == (end, written, end)


def test_a_cut_leaves_something_of_a_prompt_and_half_of_a_short_window(words):
    with pytest.raises(Problem, match=r"1 to 31\..*the prompt has 1") as caught:
        read(words, LONG, max_tokens=32, truncation="auto")
    assert "truncation" not in str(caught.value)
    talk = Chat(messages=[{"role": "user", "content": LONG}], truncation="auto")  # pyright: ignore
    asked, writing = asked_of(talk, words, conversation(talk, words, LIMITS), LIMITS)
    assert (len(asked.prompt), writing.most) == (16, 16)


@pytest.mark.parametrize(("prompt", "most"), [(LONG, None), (LONG[:28], 5)])
def test_the_refusal_of_a_long_prompt_names_what_would_cut_it(words, prompt, most):
    with pytest.raises(Problem, match='truncation: "auto"'):
        read(words, prompt, max_tokens=most)
    with pytest.raises(Problem) as caught:
        read(words, "the ", max_tokens=0)
    assert "truncation" not in str(caught.value)


def test_a_conversation_is_cut_between_messages_where_the_last_one_fits(words):
    lexicon = Bytes(marks=("system", "user", "assistant", "end"))
    known = replace(words, items=replace(words.items, lexicon=lexicon))

    def kept(*said: str) -> Sequence[int]:
        messages = [{"role": "user", "content": text} for text in said]
        body = Chat(messages=messages, max_tokens=6, truncation="auto")  # pyright: ignore
        return asked_of(body, known, conversation(body, known, LIMITS), LIMITS)[0].prompt

    short = kept("the loom")
    assert short[0] == lexicon.mark("user")
    assert kept("the thread and the cloth", "the loom") == short
    assert len(kept("the thread and the cloth")) == 26
    assert len(kept("the loom", "the thread and the cloth")) == 26


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_length_of_nothing_is_refused_by_the_name_of_its_field(words, field):
    told = {"messages": [{"role": "user", "content": "the "}], field: 0}
    talk = Chat.model_validate(told)
    with pytest.raises(Problem, match=f"^{field} = 0") as caught:
        asked_of(talk, words, conversation(talk, words, LIMITS), LIMITS)
    assert (caught.value.param, caught.value.code) == (field, "invalid_value")


@pytest.mark.parametrize(("n", "best_of"), [(2, 1), (2, 0), (2, -1), (1, 2)])
def test_texts_are_not_ranked(n, best_of):
    Completion.model_validate({"n": n, "best_of": n}).check()
    with pytest.raises(Problem, match="Leave it out"):
        Completion.model_validate({"n": n, "best_of": best_of}).check()


def test_null_is_as_if_a_field_were_left_out():
    nothing = dict.fromkeys(("echo", "n", "stream", "prompt", "logprobs", "stop"))
    assert Completion.model_validate(nothing) == Completion.model_validate({})


@pytest.mark.parametrize("n", [0, -1])
def test_n_is_refused_before_a_prompt_is_read(words, n):
    unknown = Completion.model_validate({"prompt": ["THE"] * 65, "n": n})
    with pytest.raises(Problem, match=f"n = {n}") as caught:
        completions(unknown, words, LIMITS)
    assert caught.value.param == "n"


def test_prompts_are_read_beside_the_event_loop(client, monkeypatch):
    encode = Letters.encode

    def elsewhere(self: Letters, text: str) -> list[int]:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()  # it would hold up the requests of all others
        return encode(self, text)

    monkeypatch.setattr(Letters, "encode", elsewhere)
    talk = [{"role": "user", "content": LONG}]
    for path, given in (
        ("completions", {"prompt": LONG}),
        ("chat/completions", {"messages": talk}),
    ):
        answer = client.post(f"/v1/{path}", json={"model": "words", **given})
        assert answer.json()["error"]["code"] == "context_length_exceeded"


def test_a_list_of_prompts_is_one_request_that_is_carried_out_whole_or_costs_nothing(client):
    parts = client.app.state.services
    _, secret = parts.keys.make("ada", ["generate"], per_minute=4, per_day=9)
    head = {"Authorization": f"Bearer {secret}"}

    def ask(prompts: int, n: int = 1):
        body = {"model": "words", "prompt": ["a"] * prompts, "n": n, "max_tokens": 2}
        return client.post("/v1/completions", json=body, headers=head)

    assert len(ask(4, 2).json()["choices"]) == 8
    refused = ask(2)  # one text more than the day has left
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    made = len(parts.records.page(parts.keys.all()[0].id, limit=20).items)
    full = ask(5)
    assert (full.status_code, full.json()["error"]["code"]) == (429, "queue_full")
    assert parts.figures.model_rejected["words"] == 1
    assert ask(4, 3).status_code == 400  # more than a day has
    assert made == 8 and ask(1).status_code == 200
    assert ask(1).status_code == 429
