"""A page that its victim opens can neither read from the server nor make it do anything."""

from __future__ import annotations

import pytest

from tests.e2e.attacks.pages import (
    FILENAMES,
    FOREIGN_HOSTS,
    FOREIGN_PAGES,
    FOREIGN_TYPES,
    MARKUP,
    PAGES,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PATHS = ("/", "/healthz", "/v1/models", "/v1/outputs", "/v1/generations", "/metrics", "/studio/x")


@pytest.mark.parametrize("method", METHODS)
def test_rebinding_is_refused_on_every_method(local, method):
    for host in FOREIGN_HOSTS:
        for path in PATHS:
            answer = local.ask(method, path, {}, {"Host": host})
            assert answer.status in (421, 400) and answer.status != 200, (host, path)
    assert local.ask(method, "/v1/models", {}, {"Host": "evil.example"}).status == 421


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("headers", FOREIGN_PAGES, ids=str)
def test_foreign_pages_are_refused_on_every_method(local, method, headers):
    for path in PATHS:
        answer = local.ask(method, path, {}, headers)
        assert answer.status == 403, path
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("kind", FOREIGN_TYPES)
def test_what_a_form_may_send_is_no_request(local, kind):
    for path in ("/v1/generations", "/v1/jobs", "/v1/keys", "/v1/session", "/v1/files"):
        answer = local.ask("POST", path, b'{"model": "moons"}', {"Content-Type": kind})
        assert answer.status == 400, (path, answer.body)


def test_no_answer_allows_another_site(local, routes):
    for route in routes:
        answer = local.ask(route.method, route.at("x"), {})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        if route.path != "/":
            assert answer.headers["content-security-policy"].startswith(
                "sandbox; default-src 'none'"
            )
            assert not answer.headers.get("content-type", "").startswith(PAGES), route


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_what_a_foreign_form_could_send_is_no_body(local, kind):
    body = b'{"model": "moons", "n": 1}'
    answer = local.ask("POST", "/v1/generations", body, {"content-type": kind})
    assert answer.status == 400
    assert answer.json()["error"]["message"].startswith("a body is application/json")


def test_outputs_are_of_our_types_and_run_nothing(local):
    for model, kind in (
        ("digits", "image/png"),
        ("moons", "application/json"),
        ("words", "text/plain"),
    ):
        options = {"steps": 1} if model == "digits" else {}
        made = local.ask("POST", "/v1/generations", {"model": model, "options": options}).json()
        answer = local.ask("GET", made["data"][0]["url"])
        assert answer.status == 200 and answer.headers["content-type"].startswith(kind)
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        how = "inline" if kind == "image/png" else "attachment"
        assert answer.headers["content-disposition"].startswith(how)


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_never_comes_back_as_a_page(local, markup):
    for route, body in (
        ("/v1/generations", {"model": markup}),
        ("/v1/generations", {"model": "digits", "label": markup}),
        ("/v1/generations", {"model": "digits", "options": {markup: 1}}),
        ("/v1/images/generations", {"model": "digits", "prompt": markup}),
        ("/v1/completions", {"model": "words", "prompt": markup}),
        ("/v1/jobs", {"kind": markup}),
    ):
        answer = local.ask("POST", route, body)
        assert answer.status in (400, 404)
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("filename", FILENAMES)
def test_uploads_come_back_as_bytes(local, filename):
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
    sent = (head + f"Content-Type: text/html\r\n\r\n{MARKUP[0]}\r\n--b--\r\n").encode()
    kept = local.ask("POST", "/v1/files", sent, {"Content-Type": "multipart/form-data; boundary=b"})
    assert kept.headers["content-type"] == "application/json" and kept.status == 200
    answer = local.ask("GET", f"/v1/files/{kept.json()['id']}/content")
    assert answer.body == MARKUP[0].encode()
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert filename not in answer.headers["content-disposition"]
