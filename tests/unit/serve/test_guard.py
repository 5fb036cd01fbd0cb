"""The door: who is let in, from where, and what is counted."""

from __future__ import annotations

import time

import pytest
from starlette.datastructures import Headers

from genloom.serve.figures import Figures
from genloom.serve.guard import LOCAL, Guard, check_place
from genloom.serve.problems import Problem
from genloom.serve.sessions import LASTS_S, Sessions
from genloom.serve.store import Keys, Store
from tests.e2e.attacks.pages import FOREIGN_HOSTS, FOREIGN_PAGES

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8000", "LOCALHOST:1", "[::1]", "[::1]:8000"]
)
def test_own_hosts_are_let_in(host):
    check_place({"host": host}, HOSTS)
    check_place({"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}, HOSTS)


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_foreign_hosts_are_not(host):
    with pytest.raises(Problem) as caught:
        check_place({"host": host}, HOSTS)
    assert caught.value.status == 421


@pytest.mark.parametrize("headers", FOREIGN_PAGES, ids=str)
def test_foreign_pages_are_not(headers):
    lower = {name.lower(): value for name, value in headers.items()}
    with pytest.raises(Problem) as caught:
        check_place({"host": "127.0.0.1:8000", **lower}, HOSTS)
    assert caught.value.status == 403


def test_a_value_falls_into_the_bucket_that_holds_it():
    figures = Figures()
    for seconds in (0.004, 0.005, 0.02, 100.0):
        figures.answered("/x", 200, seconds)
    figures.answered("/x", 404, 0.001)
    assert figures.answers == {("/x", 200): 4, ("/x", 404): 1}
    found = dict(figures.seconds.cumulated("/x"))
    assert (found["0.005"], found["0.01"], found["0.025"], found["60.0"]) == (3, 3, 4, 4)
    assert found["+Inf"] == 5 and figures.seconds.sums["/x"] == pytest.approx(100.03)


@pytest.fixture
def keys(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'x.sqlite'}") as store:
        yield Keys(store, b"p" * 32)


def test_a_session_is_its_key_until_it_ends_or_the_key_does(keys, monkeypatch):
    sessions = Sessions(keys, b"s" * 32)
    key, _ = keys.make("anna", ["generate"])
    cookie = sessions.make(key)
    assert sessions.read(cookie) == key
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LASTS_S + 2)
    assert sessions.read(cookie) is None
    monkeypatch.undo()
    keys.revoke("anna")
    assert sessions.read(cookie) is None


def test_a_session_cannot_be_made_up(keys):
    sessions = Sessions(keys, b"s" * 32)
    anna, bert = keys.make("anna", ["generate"])[0], keys.make("bert", ["admin"])[0]
    cookie = sessions.make(anna)
    _, until, signature = cookie.split(".")
    for forged in (
        f"{bert.id}.{until}.{signature}",
        f"{anna.id}.{int(until) + 1}.{signature}",
        f"{anna.id}.{until}.",
        f"{anna.id}.{until}",
        cookie[:-1],
        cookie + "0",
        Sessions(keys, b"t" * 32).make(anna),
        *("", ".", "..", "\u00e9.\u00e9.\u00e9", "a" * 9999),
    ):
        assert sessions.read(forged) is None, forged


def test_wrong_keys_are_counted_and_the_bucket_fills_again(monkeypatch):
    guard = Guard(
        None,  # pyright: ignore[reportArgumentType]
        authenticate=lambda _: None,
        session=lambda _: None,
        keyless=lambda: False,
        hosts=HOSTS,
        max_body=1,
        max_file=1,
        figures=Figures(),
    )
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(30):
        guard._check_failures("a")
        guard._note_failure("a")
    with pytest.raises(Problem) as caught:
        guard._check_failures("a")
    assert caught.value.status == 429 and caught.value.headers["Retry-After"] == "60"
    guard._check_failures("b")
    now += 2.1  # thirty a minute
    guard._check_failures("a")


def test_a_key_counts_from_its_first_moment_on(keys):
    """Whether there are keys is remembered for a moment; a holder of one is nobody else in it."""
    key, secret = keys.make("anna", ["generate"])
    guard = Guard(
        None,  # pyright: ignore[reportArgumentType]
        authenticate=keys.authenticate,
        session=lambda _: None,
        keyless=lambda: True,
        hosts=HOSTS,
        max_body=1,
        max_file=1,
        figures=Figures(),
    )

    def caller(word):
        headers = Headers({"authorization": f"Bearer {word}"})
        return guard._caller({"client": ("a", 1)}, headers)

    assert caller(secret).id == key.id
    for _ in range(50):  # of a client of OpenAI's, which must send something
        assert caller("anything").id == LOCAL.id
