"""Every route is behind the door, and the door opens to a key and its scopes alone."""

from __future__ import annotations

import pytest

from tests.e2e.attacks.conftest import ID

OPEN = ("/", "/healthz", "/readyz")


def test_without_a_key_only_the_open_paths_answer(stranger, routes):
    assert len(routes) > 28
    for route in routes:
        status = stranger.ask(route.method, route.at(ID), {}).status
        signing_in = (route.method, route.path) == ("POST", "/v1/session")  # {} has no key in it
        assert status == (200 if route.path in OPEN else 400 if signing_in else 401), route


@pytest.mark.parametrize(
    "path",
    ["/docs", "/redoc", "/openapi.json", "/v2/models", "/v1", "/V1/models", "/metrics/", "/.git"],
)
def test_what_is_not_in_the_list_does_not_exist(stranger, anna, path):
    assert stranger.ask("GET", path).status == 404
    assert anna.ask("GET", path).status == 404


def test_below_v1_a_stranger_learns_not_even_what_exists(stranger, anna):
    for path in ("/v1/", "/v1/nothing", "/v1//models", "/v1/../metrics"):
        assert stranger.ask("GET", path).status == 401, path
        assert anna.ask("GET", path).status == 404, path


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "TRACE", "PROPFIND", "get"])
def test_other_methods_need_a_key_too(stranger, method):
    assert stranger.ask(method, "/v1/models", {}).status == 401


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer ", "Basic YTpi", "Bearer gl-x", "Bearer \xff", "", "gl-x", "Bearer null"],
)
def test_what_is_no_key_opens_nothing(stranger, value):
    assert stranger.ask("GET", "/v1/models", headers={"Authorization": value}).status == 401


def test_scopes_do_not_include_each_other(guarded, stranger, secrets):
    train = {"kind": "train", "body": {"family": "gan", "name": "x", "data": "moons", "minutes": 1}}
    may = {
        ("GET", "/v1/models"): "anna",
        ("POST", "/v1/generations"): "anna",
        ("GET", "/v1/files"): "anna",
        ("GET", "/metrics"): "anna",
        ("POST", "/v1/jobs"): "trainer",
        ("GET", "/v1/keys"): "chief",
        ("POST", "/v1/keys"): "chief",
        ("DELETE", "/v1/keys/nobody"): "chief",
        ("GET", "/v1/reviews"): "chief",
        ("POST", f"/v1/reviews/{ID}"): "chief",
        ("GET", f"/v1/reviews/{ID}/content"): "chief",
    }
    bodies = {
        "/v1/jobs": train,
        "/v1/generations": {"model": "moons"},
        "/v1/keys": {"name": "", "scopes": ["admin"]},
        f"/v1/reviews/{ID}": {"approve": True, "reason": "x"},
    }
    for (method, path), owner in may.items():
        for name in ("anna", "trainer", "chief"):
            if (path, name) == ("/v1/jobs", "trainer"):
                continue  # it would train
            wire = stranger.with_key(secrets[name])
            body = bodies.get(path, {}) if method == "POST" else b""
            status = wire.ask(method, path, body).status
            wire.close()
            assert (status != 403) == (name == owner), (method, path, name, status)


def test_a_cookie_is_for_the_browser_alone_and_dies_with_its_key(stranger, secrets):
    chief = stranger.with_key(secrets["chief"])
    made = chief.ask("POST", "/v1/keys", {"name": "brief", "scopes": ["generate"]}).json()
    brief = stranger.with_key(made["secret"])
    answer = brief.ask("POST", "/v1/session", {"key": made["secret"]})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and made["secret"] not in cookie
    value = cookie.partition(";")[0]

    def status(given: str) -> int:
        return stranger.ask("GET", "/v1/models", headers={"Cookie": given}).status

    assert status(value) == 200
    tampered = [value[:-1], value + "0", "genloom_session=", "genloom_session=a.b.c", "x=\xff"]
    for given in [*tampered, value.replace(".", "..", 1), "genloom_session=" + "." * 2000]:
        assert status(given) == 401, given
    assert chief.ask("DELETE", "/v1/keys/brief").status == 200
    assert status(value) == 401
    assert brief.ask("GET", "/v1/models").status == 401
    chief.close()
    brief.close()
