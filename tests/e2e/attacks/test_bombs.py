"""Pictures, lists and files that are small to send and large to read are refused at once."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.asking import until
from tests.e2e.attacks import bombs
from tests.e2e.attacks.memory import resident, worked
from tests.e2e.attacks.wire import FORM, Wire, field

LONGEST_S = 0.8  # of the server's own time; 16 MB of JSON take half of that to read
CHECK_S = 1.5  # of a check of marks
BOMBS = {**dict(bombs.pictures()), **bombs.others()}
ENDED = ("failed", "completed", "cancelled", "expired")


def test_forty_six_kilobytes_are_forty_eight_megabytes():
    assert len(bombs.FORTY_EIGHT) < 50_000
    assert len(BOMBS) > 100


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_once(local, server, name):
    route, body, headers = BOMBS[name]
    before = worked(server)
    answer = local.ask("POST", route, body, headers)
    assert 400 <= answer.status < 500, (answer.status, answer.body[:300])
    assert "no such route" not in answer.body.decode()
    assert worked(server) - before < LONGEST_S
    assert len(answer.body) < 2000, "a refusal does not send back what it refuses"
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("name", bombs.PICTURES)
def test_a_check_of_marks_survives_every_picture(local, server, name):
    form = field("file", bombs.PICTURES[name], "a.png") + b"--b--\r\n"
    before = worked(server)
    answer = local.ask("POST", "/v1/content_provenance_checks", form, FORM)
    assert answer.status in (200, 400), answer.body[:300]
    assert worked(server) - before < CHECK_S
    assert len(answer.body) < 10_000


@pytest.mark.parametrize("name", bombs.BATCHES)
def test_a_batch_of_nonsense_fails_in_its_own_words(local, name):
    form = field("purpose", b"batch") + field("file", bombs.BATCHES[name], "a") + b"--b--\r\n"
    file = local.ask("POST", "/v1/files", form, FORM).json()["id"]
    body = {"input_file_id": file, "endpoint": "/v1/completions", "completion_window": "24h"}
    made = local.ask("POST", "/v1/batches", body)
    if made.status == 400:
        return
    assert made.status == 200, made.body
    path = f"/v1/batches/{made.json()['id']}"
    until(lambda: local.ask("GET", path).json()["status"] in ENDED, 30, name)
    answer = local.ask("GET", path)
    assert answer.json()["status"] == "failed" and len(answer.body) < 5000
    assert answer.json()["errors"]["data"][0]["message"]


def test_afterwards_memory_is_as_before(server):
    wire = Wire(server.url)

    def all_of_it() -> None:
        for route, body, headers in BOMBS.values():
            wire.ask("POST", route, body, headers)
            wire.close()

    all_of_it()  # each thread's allocator keeps what its largest request needed once
    all_of_it()
    before = resident(server)
    all_of_it()
    time.sleep(0.5)
    assert resident(server) < 1.1 * before
    assert json.loads(wire.ask("GET", "/healthz").body)
    log = server.log.read_text("utf-8", "replace")
    assert "Traceback" not in log
    wire.close()
