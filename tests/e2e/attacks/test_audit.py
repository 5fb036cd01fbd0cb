"""What a server opens while strangers name paths and addresses: its own files and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest
from _pytest.mark.structures import ParameterSet

from tests.e2e.attacks import pages, urls
from tests.e2e.attacks.audit import HOOK, Audit, Event, audited, caller, listening
from tests.e2e.attacks.bombs import PICTURES, pictures
from tests.e2e.attacks.conftest import ID, OUTSIDE
from tests.e2e.attacks.paths import NAMES, PAYLOADS
from tests.e2e.attacks.wire import FORM, Wire, field


def some_of(values: Sequence[str], each: int) -> list[ParameterSet]:
    """All as parameters; one of `each` is for the quick run, the others are slow."""
    marks = [() if i % each == 0 else (pytest.mark.slow,) for i in range(len(values))]
    return [pytest.param(value, marks=mark) for value, mark in zip(values, marks, strict=True)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory, served_models):
    """A server whose files are watched, and what it opened."""
    folder = tmp_path_factory.mktemp("watched") / "state"
    (folder.parent / "outside.txt").write_text(OUTSIDE)
    with audited(folder, served_models) as (server, audit):
        yield server, audit


@pytest.fixture
def wire(watched):
    found = Wire(watched[0].url)
    yield found
    found.close()


@pytest.fixture
def unmoved(watched):
    """Whoever uses this must have the server open nothing foreign."""
    _, audit = watched
    before = len(audit.events())
    yield
    events = audit.events()
    assert audit.foreign(events[before:]) == []


def test_the_audit_sees_workers_and_blobs_and_what_is_foreign(watched, wire):
    server, audit = watched
    assert wire.ask("POST", "/v1/generations", {"model": "moons"}).status == 200
    kept = wire.ask("POST", "/v1/files", field("file", b"x", "x") + b"--b--\r\n", FORM).json()
    assert wire.ask("GET", f"/v1/files/{kept['id']}/content").body == b"x"
    events = audit.events()
    blobs = [e for e in events if e.name == "open" and e.told[0].endswith(kept["id"])]
    weights = [e for e in events if e.told[0].endswith("weights.safetensors")]
    assert blobs and {e.pid for e in blobs} == {server.process.pid}
    assert {e.pid for e in weights} - {server.process.pid}, "of a worker"
    assert audit.foreign(events) == [], "from the first import on"


def test_what_is_foreign_is_found(tmp_path, watched, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HOOK))
    monkeypatch.setenv("GENLOOM_AUDIT", str(tmp_path / "log"))
    lines = (
        "import os, socket, subprocess",
        "open('/etc/passwd')",
        "os.listdir('/home')",
        "os.chmod('/tmp', 0o1777) if os.geteuid() == 0 else os.scandir('/tmp')",
        "subprocess.run(['true'])",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))",
        "socket.getaddrinfo('localhost', 80)",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=60)
    found = Audit(tmp_path / "log", [watched[0].folder]).foreign
    told = [event.told[0] for event in found(Audit(tmp_path / "log", []).events())]
    assert told == [
        "/etc/passwd",
        "/home",
        "/tmp",
        "['true']",
        "('127.0.0.1', 9)",
        "'localhost'",
    ]


def test_links_out_of_the_store_are_foreign(tmp_path):
    audit = Audit(tmp_path, [tmp_path])
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(tmp_path)
    for path, fine in (("/link", False), ("/loop", True), ("", True), ("/a/b", True), ("x", False)):
        event = Event(1, "open", (f"{tmp_path}{path}",))
        assert (audit.foreign([event]) == []) == fine, path
    assert audit.foreign([Event(1, "os.rename", (str(tmp_path / "a"), "/etc/a"))])


@pytest.mark.usefixtures("unmoved")
def test_two_hundred_paths_on_every_route(wire, routes):
    tried = 0
    for route in routes:
        for payload in PAYLOADS if "{" in route.path else ():
            for target in route.places(payload):
                assert wire.ask(route.method, target, route.body).status < 500, target
                tried += 1
    for payload in PAYLOADS:
        for target in (f"/studio/{payload}", f"/{payload}", f"/v1/outputs?after={payload}"):
            assert wire.ask("GET", target.replace("#", "%23")).status < 500
    assert tried > 200 * 20


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("name", some_of(NAMES, 7), ids=lambda name: ascii(name[:40]))
def test_paths_in_every_text_of_every_body(wire, document, name):
    for method, path, body in urls.requests(document, name):
        answer = wire.ask(method, path.replace("{", "").replace("}", ""), body)
        assert answer.status < 500, (path, body, answer.body)
        assert OUTSIDE.encode() not in answer.body and b"root:x:" not in answer.body
    file = field("file", b"x", name.replace("\n", "").replace("\0", ""))
    assert wire.ask("POST", "/v1/files", file + b"--b--\r\n", FORM).status < 500


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("scheme", some_of(urls.SCHEMES, 6))
def test_no_address_is_looked_up_or_connected_to(wire, document, routes, scheme):
    with listening() as sock:
        word = scheme.format(place=f"127.0.0.1:{sock.getsockname()[1]}")
        for method, path, body in urls.requests(document, word):
            assert wire.ask(method, path.replace("{", "").replace("}", ""), body).status < 500
        for path, body, headers in urls.forms(word):
            assert wire.ask("POST", path, body, headers).status < 500
        quoted = word.replace("#", "%23").replace("\\", "%5c")
        for route in routes:
            for target in (*route.places(quoted), f"{route.at(ID)}?after={quoted}&url={quoted}"):
                more = {"Referer": word, "X-Forwarded-Host": word, "Forwarded": f"host={word}"}
                assert wire.ask(route.method, target, route.body, more).status < 500
        assert caller(sock) is None


@pytest.mark.usefixtures("unmoved")
def test_files_that_name_addresses_are_not_followed(wire):
    with listening() as sock:
        place = f"http://127.0.0.1:{sock.getsockname()[1]}/x"
        for data in pages.files_that_name(place):
            body = field("file", data, "a.png") + b"--b--\r\n"
            answer = wire.ask("POST", "/v1/content_provenance_checks", body, FORM)
            assert answer.status == 200, answer.body
        assert caller(sock) is None


@pytest.mark.usefixtures("unmoved")
def test_pictures_start_no_program_and_open_no_file(wire):
    for data in PICTURES.values():
        body = field("file", data, "a.png") + b"--b--\r\n"
        assert wire.ask("POST", "/v1/content_provenance_checks", body, FORM).status < 500
    for name, (route, body, headers) in pictures():
        assert wire.ask("POST", route, body, headers).status < 500, name
