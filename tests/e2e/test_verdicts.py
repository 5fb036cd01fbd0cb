"""Verdicts by the server: models that came without their runs are judged and compared too."""

from __future__ import annotations

import pytest

from tests.e2e.asking import look, talk, until

pytestmark = pytest.mark.slow
PATIENCE_S = 400


def test_two_models_are_compared_and_nothing_of_the_server_is_told(server):
    with talk(server) as http:
        body = {"kind": "compare", "body": {"models": ["digits", "codes"], "n": 180}}
        job = http.post("/v1/jobs", json=body).json()
        ended = ("succeeded", "failed", "cancelled")
        until(lambda: look(http, job["id"])["state"] in ended, PATIENCE_S, "compared")
        done = look(http, job["id"])
        assert done["state"] == "succeeded", done["error"]
        assert len(done["result"]["verdicts"]) == 2
        assert str(server.folder.parent) not in str(done["result"])
        page = http.get(f"/v1/files/{done['result']['report_file']}/content")
        assert page.content.startswith(b"<!doctype html>")
        assert str(server.folder.parent).encode() not in page.content
        pairs = http.get(f"/v1/jobs/{job['id']}/pairs").json()["data"]
        assert {one["model"] for one in pairs} <= {"digits", "codes"}
