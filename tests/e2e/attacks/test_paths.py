"""The server has ids, never paths: whatever is written in an id's place is not found."""

from __future__ import annotations

import json

import pytest

from genloom.serve.store.pepper import pepper
from tests.e2e.attacks.conftest import ID, OUTSIDE
from tests.e2e.attacks.paths import NAMES, PAYLOADS
from tests.e2e.attacks.wire import Answer

REFUSED = (400, 404, 405)
INSIDE = (OUTSIDE.encode(), b"root:x:", b"SQLite format 3", b"PRIVATE KEY")


def check(answer: Answer, what: object, allowed: tuple[int, ...] = REFUSED) -> None:
    assert answer.status in allowed, (what, answer.status, answer.body[:300])
    assert not any(text in answer.body for text in INSIDE), (what, answer.body[:300])
    assert "x-injected" not in answer.headers, what


@pytest.fixture
def may_all(stranger, secrets):
    """A key with which no route is refused for want of a scope."""
    wire = stranger.with_key(secrets["fuzz"])
    yield wire
    wire.close()


def test_payloads_are_many_and_differ():
    assert len(PAYLOADS) >= 200 and len(set(PAYLOADS)) == len(PAYLOADS)


def test_every_route_with_an_id_finds_nothing_under_a_path(may_all, routes, guarded):
    open_ones = [route for route in routes if route.kind]
    assert {route.method for route in open_ones} == {"GET", "DELETE", "POST"}
    assert len(open_ones) >= 20
    secret = pepper(guarded[0].folder / "secret" / "pepper")
    for route in open_ones:
        for payload in PAYLOADS:
            for target in route.places(payload):
                answer = may_all.ask(route.method, target, route.body)
                check(answer, (route, target))
                assert secret not in answer.body


def test_the_studio_gives_its_own_files_alone(stranger):
    assert stranger.ask("GET", "/studio/").status in (404, 200)
    for payload in PAYLOADS:
        for target in (f"/studio/{payload}", f"/{payload}", f"//{payload}"):
            check(stranger.ask("GET", target), target, (*REFUSED, 401))


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:40]))
def test_names_in_bodies_are_names(local, name):
    for route, body in (
        ("/v1/generations", {"model": name}),
        ("/v1/images/generations", {"model": name, "prompt": "7"}),
        ("/v1/completions", {"model": name, "prompt": "a"}),
        ("/v1/generations", {"model": "digits", "label": name}),
        ("/v1/generations", {"model": "digits", "format": name or "x"}),
        ("/v1/jobs", {"kind": "sample", "body": {"model": name, "n": 1}}),
        ("/v1/jobs", {"kind": "evaluate", "body": {"models": [name]}}),
        ("/v1/jobs", {"kind": "survey", "body": {"data": name}}),
        ("/v1/jobs", {"kind": "forecast", "body": {"family": "gan", "data": name, "steps": 1}}),
        ("/v1/embeddings", {"model": name, "input": "x"}),
        ("/v1/encodings", {"model": "codes", "outputs": [name]}),
        ("/v1/votes", {"left": name, "right": name, "choice": "left"}),
        (
            "/v1/batches",
            {
                "input_file_id": name,
                "endpoint": "/v1/completions",
                "completion_window": "24h",
            },
        ),
        (
            "/v1/jobs",
            {"kind": "train", "body": {"family": name, "name": "x", "data": "x", "minutes": 1}},
        ),
        (
            "/v1/jobs",
            {"kind": "train", "body": {"family": "gan", "name": name + "/", "data": "moons"}},
        ),
    ):
        check(local.ask("POST", route, body), (route, body))


@pytest.mark.parametrize("after", [*PAYLOADS[::9], "%00", ID])
def test_pages_after_no_id(anna, after):
    after = after.replace("#", "%23").replace("&", "%26")
    for path in ("/v1/outputs", "/v1/jobs", "/v1/files", "/v1/batches"):
        check(anna.ask("GET", f"{path}?after={after}"), after)


def test_data_of_a_training_is_a_name_or_an_id_and_no_path(local, server):
    (server.folder.parent / "outside.txt").write_text(OUTSIDE)
    for data in (str(server.folder.parent / "outside.txt"), "../outside.txt", "/etc/passwd", ID):
        body = {"family": "gan", "name": "stolen", "data": data, "minutes": 0.05}
        check(local.ask("POST", "/v1/jobs", {"kind": "train", "body": body}), data)


def test_file_names_are_for_people_only(local, server):
    before = {path for path in server.folder.parent.rglob("*") if path.suffix != ".log"}
    for name in NAMES:
        raw = json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass")
        raw = raw.replace(b"\\u0000", b"\0").replace(b"\\n", b"%0A")
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename=' + raw
        answer = local.ask(
            "POST",
            "/v1/files",
            head + b"\r\n\r\nkept\r\n--b--\r\n",
            {"Content-Type": "multipart/form-data; boundary=b"},
        )
        check(answer, name, (200, 400))
        if answer.status == 200:
            kept = answer.json()
            content = local.ask("GET", f"/v1/files/{kept['id']}/content")
            assert content.body == b"kept"
            place = f'attachment; filename="{kept["id"]}.bin"'
            assert content.headers["content-disposition"] == place
            assert local.ask("DELETE", f"/v1/files/{kept['id']}").status == 200
    after = {path for path in server.folder.parent.rglob("*") if path.suffix != ".log"}
    assert {
        path for path in after - before if path.is_file() and "sqlite" not in path.name
    } == set()
