"""A server that strangers abuse for long does not grow."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.attacks import abuse, bombs
from tests.e2e.attacks.memory import growth, resident, slope
from tests.e2e.attacks.wire import JSON, Wire
from tests.e2e.server import serving

ROUNDS = 6
WARM = 2  # rounds: every kind of request has been seen, and each thread has a heap of its own
LEFT = 400  # bytes of a request that may stay for good; a leaked one leaves thousands
SMALL = {
    "model": ("GET", "/v1/models", b""),
    "nothing": ("GET", "/v1/outputs/" + "a" * 26, b""),
    "no route": ("GET", "/v1/nothing", b""),
    "refused": ("POST", "/v1/generations", b'{"model": "nothing"}'),
    "no json": ("POST", "/v1/generations", b"{"),
    "no picture": ("POST", "/v1/embeddings", b'{"model": "codes", "input": "aaaa"}'),
}


def test_the_slope_of_a_line_is_its_own():
    assert slope([3.0, 5.0, 7.0, 9.0]) == pytest.approx(2.0)
    assert slope([1.0, 1.0, 1.0]) == 0


@pytest.fixture(scope="module")
def alone(tmp_path_factory, served_models):
    """A server that nobody else has asked for anything."""
    with serving(tmp_path_factory.mktemp("alone") / "state", served_models) as server:
        yield server


@pytest.mark.slow
def test_a_server_grows_once_and_then_no_more(alone):
    wire = Wire(alone.url)
    figures = [resident(alone)]
    asked = [*abuse.ALL.values(), *bombs.others().values(), *dict(bombs.pictures()).values()]
    for _ in range(ROUNDS):
        for route, body, headers in asked:
            wire.ask("POST", route, body, headers)
            wire.close()
        time.sleep(0.5)
        figures.append(resident(alone))
    print(json.dumps({"rss_mb": [round(figure / 2**20, 1) for figure in figures]}))
    assert figures[-1] < 1.05 * figures[WARM], figures
    assert figures[-1] < 1.25 * figures[0], figures  # 1.5 where threads keep what they free


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_two_thousand_small_requests_leave_nothing(alone, name):
    wire, (method, path, body) = Wire(alone.url), SMALL[name]

    def one(i: int) -> None:
        answer = wire.ask(method, f"{path}?{i}", body, JSON if body else {})
        assert answer.status < 500

    growth(alone, one, 500)  # caches fill
    left = growth(alone, one, 2000)
    print(json.dumps({"request": name, "bytes_left": round(left, 1)}))
    assert left < LEFT
    wire.close()
