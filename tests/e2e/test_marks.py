"""Marks on texts: a watermark within, a sidecar beside, words that people see."""

from __future__ import annotations

import pytest

from tests.e2e.asking import talk
from tests.e2e.server import serving

ASKED = {"model": "words", "n": 32, "seed": 5}


@pytest.fixture(scope="module")
def marked(tmp_path_factory, served_models):
    """A server that puts all its marks on texts."""
    folder = tmp_path_factory.mktemp("marked") / "state"
    models = {"words": served_models["words"]}
    with serving(folder, models, "--watermark", "--explicit", "caption", "--threads", "1") as found:
        yield found


def texts(http, body):
    answer = http.post("/v1/generations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def checked(http, content, beside=None):
    """What the server finds, by type."""
    files = {"file": ("text.txt", content, "text/plain")}
    files |= {} if beside is None else {"beside": ("text.txt.json", beside, "application/json")}
    answer = http.post("/v1/content_provenance_checks", files=files)
    assert answer.status_code == 200, answer.text
    return {one["type"]: one for one in answer.json()["results"]}


def test_a_text_has_a_watermark_that_its_server_finds(marked, server):
    with talk(marked) as http, talk(server) as plain:
        ours = "".join(one["text"] for one in texts(http, ASKED))
        others = "".join(one["text"] for one in texts(plain, ASKED))
        found, none = (checked(http, text.encode())["watermark"] for text in (ours, others))
        assert found["outcome"] == "detected" and found["score"]["p_value"] < 1e-6
        assert none["outcome"] == "not_detected" and none["score"]["p_value"] > 1e-3
        assert checked(plain, ours.encode())["watermark"]["outcome"] == "not_detected"


def test_a_sidecar_is_trusted_as_long_as_nobody_changes_the_text(marked):
    with talk(marked) as http:
        (made,) = texts(http, {**ASKED, "n": 1})
        content = http.get(made["url"]).content
        beside = http.get(f"/v1/outputs/{made['id']}/provenance")
        assert beside.headers["content-disposition"].endswith('.txt.json"')
        fine = checked(http, content, beside.content)
        changed = checked(http, content.replace(b"t", b"T", 1), beside.content)
        assert fine["sidecar"]["validation_state"] == "trusted"
        assert fine["sidecar"]["generation"]["seed"] == "5"
        assert fine["aigc_label"]["state"] == "sealed" and fine["record"]["outcome"] == "detected"
        assert changed["sidecar"]["validation_state"] == "invalid"


def test_a_text_says_what_it_is_and_can_be_made_again(marked):
    with talk(marked) as http:
        (made,) = texts(http, {**ASKED, "n": 1})
        content = http.get(made["url"]).text
        assert content.endswith(made["text"]) and "AI" in content[: -len(made["text"])]
        assert http.post(f"/v1/outputs/{made['id']}/reproduce").json()["same"] is True


def test_a_picture_has_no_sidecar(server):
    with talk(server) as http:
        body = {"model": "digits", "options": {"steps": 2}}
        (made,) = http.post("/v1/generations", json=body).json()["data"]
        answer = http.get(f"/v1/outputs/{made['id']}/provenance")
        assert answer.status_code == 400 and "inside" in answer.text
