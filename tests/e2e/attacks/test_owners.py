"""What one key made does not exist for another."""

from __future__ import annotations

import pytest

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nmine\r\n--b--\r\n'


@pytest.fixture(scope="module")
def made(guarded):
    """Kind of thing -> id of one that anna has."""
    from tests.e2e.attacks.wire import Wire

    server, secrets = guarded
    wire = Wire(server.url).with_key(secrets["anna"])
    output = wire.ask("POST", "/v1/generations", {"model": "moons", "seed": 1}).json()
    file = wire.ask("POST", "/v1/files", FILE, FORM).json()
    body = {"model": "moons", "n": 1}
    job = wire.ask("POST", "/v1/jobs", {"kind": "sample", "body": body}).json()
    wire.close()
    return {"outputs": output["data"][0]["id"], "files": file["id"], "jobs": job["id"]}


@pytest.mark.parametrize("name", ["bert", "trainer", "chief"])
@pytest.mark.parametrize("kind", ["outputs", "files", "jobs"])
def test_nobody_else_reads_lists_or_ends_it(stranger, secrets, made, kind, name):
    other, anna = stranger.with_key(secrets[name]), stranger.with_key(secrets["anna"])
    refused = 404 if name == "bert" else 403
    one = f"/v1/{kind}/{made[kind]}"
    tail = "events" if kind == "jobs" else "content"
    for method, path in (("GET", one), ("GET", f"{one}/{tail}"), ("DELETE", one)):
        answer = other.ask(method, path)
        assert answer.status == refused, (method, path, answer.body)
    after = other.ask("GET", f"/v1/{kind}?after={made[kind]}")
    assert after.status == refused
    if name == "bert":
        assert made[kind] not in str(other.ask("GET", f"/v1/{kind}?limit=100").json())
    assert anna.ask("GET", one).status == 200, "it is still there"
    assert made[kind] in str(anna.ask("GET", f"/v1/{kind}?limit=100").json())
    other.close()
    anna.close()


@pytest.mark.parametrize("kind", ["outputs", "files", "jobs"])
def test_another_ones_thing_and_none_are_answered_alike(stranger, secrets, made, kind):
    bert = stranger.with_key(secrets["bert"])
    theirs = bert.ask("GET", f"/v1/{kind}/{made[kind]}")
    nothing = bert.ask("GET", f"/v1/{kind}/{'a' * 26}")
    assert (theirs.status, theirs.body) == (nothing.status, nothing.body)
    bert.close()
