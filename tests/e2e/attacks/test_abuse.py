"""Requests that ask for too much are refused at once, and leave neither memory nor words behind."""

from __future__ import annotations

import statistics
import time

import pytest

from tests.e2e.attacks.abuse import ALL, CANARY, wrong_bodies
from tests.e2e.attacks.memory import resident
from tests.e2e.attacks.wire import JSON, Wire

LONGEST_S = 1.0


def test_they_are_many():
    assert len(ALL) >= 40


@pytest.mark.parametrize("name", ALL)
def test_an_abusive_request_is_refused_at_once(local, name):
    route, body, headers = ALL[name]
    answer = local.ask("POST", route, body, headers)
    assert 400 <= answer.status < 500, (answer.status, answer.body[:300])
    assert answer.seconds < LONGEST_S
    assert len(answer.body) < 2000, "a refusal does not send back what it refuses"
    assert set(answer.json()) == {"error"}


def test_a_wrong_type_anywhere_is_no_failure_of_the_server(local):
    bodies = wrong_bodies()
    assert len(bodies) > 500
    for route, body in bodies:
        answer = local.ask("POST", route, body)
        assert answer.status < 500, (route, str(body)[:200], answer.status, answer.body[:300])
    waiting = local.ask("GET", "/v1/jobs?limit=100").json()["data"]
    failed = [job for job in waiting if job["state"] == "failed"]
    assert not failed, "what cannot be done is refused before it waits"


def test_a_body_without_a_length_has_the_same_limit(local):
    piece = b"10000\r\n" + b" " * 2**16 + b"\r\n"
    head = f"POST /v1/generations HTTP/1.1\r\nHost: {local.headers['Host']}\r\n".encode()
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = local.send(head + piece * 270 + b"0\r\n\r\n")  # 17.7 MB
    assert answer.status in (400, 413)
    assert local.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize("length", ["-1", "1e9", "9" * 30, "9" * 5000, "0x10", "1, 2", ""])
def test_a_length_that_is_none_is_refused(local, length):
    answer = local.ask("POST", "/v1/generations", b"", {**JSON, "Content-Length": length})
    assert 400 <= answer.status < 500


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /v1/models HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n",
        b"GET /v1/models\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST /v1/generations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n0\r\n\r\nGET /x",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    ],
    ids=["version", "tls", "raw bytes", "header", "smuggling", "two hosts"],
)
def test_what_is_hardly_http(local, request_):
    assert local.send(request_).status < 500
    local.close()
    assert local.ask("GET", "/healthz").status == 200


def test_afterwards_memory_is_as_before_and_the_log_has_no_prompt(server):
    wire = Wire(server.url)

    def all_of_it() -> list[float]:
        seconds = []
        for route, body, more in ALL.values():
            seconds.append(wire.ask("POST", route, body, more).seconds)
            wire.close()
        return seconds

    all_of_it()  # the allocator keeps what the largest request needed once
    before = resident(server)
    seconds = all_of_it() + all_of_it()
    wire.close()
    time.sleep(0.5)
    assert resident(server) < 1.1 * before
    assert statistics.median(seconds) < 0.1
    log = server.log.read_text("utf-8", "replace")
    assert '"status": 400' in log and CANARY not in log
    assert "Traceback" not in log
