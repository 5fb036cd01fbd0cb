"""What one key made does not exist for another: on every route that takes an id."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from tests.e2e.asking import until
from tests.e2e.attacks.conftest import ID
from tests.e2e.attacks.wire import FORM, Wire, field

SHARED = {"models", "keys", "reviews"}  # everybody's, or the operator's
LINE = {"custom_id": "a", "method": "POST", "url": "/v1/generations", "body": {"model": "moons"}}
BATCH = {"endpoint": "/v1/generations", "completion_window": "24h"}
ENDED = ("succeeded", "failed", "cancelled")


@pytest.fixture(scope="module")
def made(guarded):
    """Kind of thing -> ids that one key has; of jobs a training and a verdict that have ended."""
    server, secrets = guarded
    with closing(Wire(server.url).with_key(secrets["fuzz"])) as wire:
        yield _made(wire)


def _made(wire: Wire) -> dict[str, list[str]]:
    def post(path: str, body: object) -> str:
        answer = wire.ask("POST", path, body, FORM if isinstance(body, bytes) else {})
        assert answer.status == 200, answer.body
        return answer.json()["id"]

    def job(kind: str, **body: object) -> str:
        return post("/v1/jobs", {"kind": kind, "body": body})

    def outputs(**body: object) -> list[str]:
        told = wire.ask("POST", "/v1/generations", body).json()["data"]
        return [one["id"] for one in told]

    file = post("/v1/files", field("file", json.dumps(LINE).encode(), "a") + b"--b--\r\n")
    found = {
        "jobs": [
            job("train", data="moons", family="gan", name="mine", steps=20),
            job("evaluate", model="moons", n=200),
        ],
        "outputs": outputs(model="moons", n=2) + outputs(model="codes"),
        "files": [file],
        "batches": [post("/v1/batches", {"input_file_id": file, **BATCH})],
    }
    for id in found["jobs"]:
        path = f"/v1/jobs/{id}"
        until(lambda path=path: wire.ask("GET", path).json()["state"] in ENDED, 180, path)
        assert wire.ask("GET", path).json()["state"] == "succeeded", wire.ask("GET", path).body
    return found


@pytest.fixture
def owner(stranger, secrets):
    wire = stranger.with_key(secrets["fuzz"])
    yield wire
    wire.close()


@pytest.fixture
def rival(stranger, secrets):
    """Another key that may do everything."""
    wire = stranger.with_key(secrets["rival"])
    yield wire
    wire.close()


def test_every_kind_of_thing_is_tried(routes, made):
    assert {route.kind for route in routes if route.kind} == SHARED | set(made)


def test_another_ones_thing_and_none_are_answered_alike(owner, rival, routes, made):
    seen = []
    for route in routes:
        for id in made.get(route.kind, ()):
            theirs = rival.ask(route.method, route.at(id), route.body)
            nothing = rival.ask(route.method, route.at(ID), route.body)
            assert theirs.status == 404, (route, theirs.body)
            assert (theirs.status, theirs.body) == (nothing.status, nothing.body), route
            if route.method == "GET" and owner.ask("GET", route.at(id)).status == 200:
                seen.append(route.path)
    reads = {route.path for route in routes if route.method == "GET" and route.kind in made}
    assert reads == set(seen), "its owner does read each of these"


@pytest.mark.parametrize("name", ["anna", "trainer", "chief"])
def test_few_rights_open_no_more(stranger, secrets, routes, made, name):
    other = stranger.with_key(secrets[name])
    for route in routes:
        for id in made.get(route.kind, ()):
            assert other.ask(route.method, route.at(id), route.body).status in (403, 404), route
    other.close()


@pytest.mark.parametrize("kind", ["outputs", "files", "jobs", "batches"])
def test_lists_hold_ones_own(owner, rival, made, kind):
    theirs = rival.ask("GET", f"/v1/{kind}?limit=100")
    mine = owner.ask("GET", f"/v1/{kind}?limit=100").body.decode()
    for id in made[kind]:
        assert id in mine and id not in theirs.body.decode()
        assert rival.ask("GET", f"/v1/{kind}?after={id}").status == 404


def test_ids_in_bodies_are_of_ones_own_things(owner, rival, made):
    def bodies(outputs: list[str], file: str) -> list[tuple[str, dict]]:
        train = {"data": file, "family": "gan", "steps": 1}
        vote = dict(zip(("left", "right"), outputs[1:], strict=True))
        return [
            ("/v1/votes", {**vote, "choice": "left"}),
            ("/v1/encodings", {"model": "codes", "outputs": outputs[2:]}),
            ("/v1/batches", {"input_file_id": file, **BATCH}),
            ("/v1/jobs", {"kind": "train", "body": {**train, "name": "stolen"}}),
            ("/v1/jobs", {"kind": "forecast", "body": train}),
            ("/v1/jobs", {"kind": "survey", "body": {"data": file}}),
        ]

    theirs = bodies(made["outputs"], made["files"][0])
    nothing = bodies([ID, "b" * 26, ID], ID)
    for (path, body), (_, empty) in zip(theirs, nothing, strict=True):
        refused, absent = rival.ask("POST", path, body), rival.ask("POST", path, empty)
        assert refused.status == 404, (path, body, refused.body)
        assert (refused.status, refused.body) == (absent.status, absent.body)
    for path, body in theirs[:2]:
        assert owner.ask("POST", path, body).status == 200, path


def test_votes_are_counted_for_their_voter(owner, rival, made):
    left, right = made["outputs"][1:]
    vote = {"left": left, "right": right, "choice": "left"}
    assert owner.ask("POST", "/v1/votes", vote).status == 200
    counted = owner.ask("GET", "/v1/votes?a=moons&b=codes").json()
    assert (counted["votes"], counted["a_wins"]) == (1, 1)
    assert rival.ask("GET", "/v1/votes?a=moons&b=codes").json()["votes"] == 0
