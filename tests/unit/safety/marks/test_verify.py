"""Verification: nothing changed passes, nobody unknown is trusted, and no bytes make it fail."""

from __future__ import annotations

import base64
import json
import random

import pytest

from genloom.errors import BadInput
from genloom.safety.marks import containers, labels, manifest, riff
from genloom.safety.marks.apply import mark
from genloom.safety.marks.identity import Identity
from genloom.safety.marks.tokens import Green, detect
from genloom.safety.marks.verify import Keys, Label, Signature, Source, Watermark, check
from tests.unit.safety.marks.conftest import FILES, SECRET, encoded, mutated, picture


@pytest.fixture
def marked(record, installation):
    return {k: mark(d, k, record, identity=installation[0]) for k, d in FILES.items()}


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_byte_makes_a_signature_invalid(kind, marked, installation):
    _, root = installation
    out = marked[kind]
    start = {"text/markdown": -5, "image/png": -30}.get(kind, -3)
    if kind == "video/mp4":
        start = out.data.index(b"xxxx") + 50
    if kind == "audio/wav":
        start = out.data.index(b"\x80\x80\x80")
    if kind == "image/jpeg":
        start = len(out.data) - 40
    if kind == "image/webp":
        start = out.data.index(b"VP8 ") + 400
    changed = bytearray(out.data)
    changed[start] ^= 1
    signature = check(bytes(changed), trust=root, beside=out.sidecar)[0]
    assert isinstance(signature, Signature)
    assert signature.state == "invalid" and signature.problems


@pytest.mark.parametrize("kind", FILES)
def test_a_stranger_is_valid_but_never_trusted(kind, record, marked, installation, tmp_path):
    _, root = installation
    stranger = Identity.open(tmp_path / "other", name="Test Loom")
    out = mark(FILES[kind], kind, record, identity=stranger)
    assert check(out.data, trust=root, beside=out.sidecar)[0].state == "valid"
    assert check(out.data, beside=out.sidecar)[0].state == "valid"
    assert check(marked[kind].data, trust=root, beside=marked[kind].sidecar)[0].state == "trusted"


def test_a_sidecar_cannot_be_moved_or_edited(marked, installation):
    _, root = installation
    out = marked["text/plain"]
    moved = check(b"another text", trust=root, beside=out.sidecar)
    assert moved[0].state == "invalid" and "hash" in moved[0].problems[0]
    assert moved[1] == Label("absent") and moved[2] == Source("")
    content = json.loads(out.sidecar)
    for edit in (
        {"generation": {"seed": "8"}},
        {"algorithm": "ed25519"},
        {"signature": base64.b64encode(b"x" * 70).decode()},
        {"signature": "!"},
        {"signature": 5},
        {"chain": ""},
        {"chain": "\u00e9"},
    ):
        found = check(out.data, trust=root, beside=json.dumps(content | edit).encode())
        assert found[0].state == "invalid", edit
    content.pop("signature")
    assert check(out.data, beside=json.dumps(content).encode())[0].state == "unsigned"
    for broken in (b"", b"{", b"[]", b"[" * 10_000, b"\xff", b"{}" + b" " * 300_000):
        assert check(out.data, beside=broken)[0].state == "invalid"


def test_labels_that_anybody_wrote_are_present_but_not_sealed(record):
    keys = Keys(SECRET)
    data = FILES["image/png"]
    out = labels.write(
        data, "image/png", labels.Aigc.of(record, b"another key of 32 bytes.........")
    )
    _, label, source, watermark = check(out, keys=keys)
    assert label.state == "present" and source.says_ai
    assert not watermark.score.found
    packet = labels.xmp.add(None, {"AIGC": '{"Label":"1"}', "DigitalSourceType": "x"})
    out = labels.containers.with_xmp(data, "image/png", packet)
    _, label, source, _ = check(out, keys=keys)
    assert label.state == "malformed" and "fields" in label.problem
    assert source == Source("x") and not source.says_ai


def test_texts_are_tested_by_the_callers_rule():
    green = Green(SECRET)
    keys = Keys(text=lambda text: detect([ord(c) for c in text], green, 128))
    watermark = check(b"The quick brown fox.", keys=keys)[-1]
    assert isinstance(watermark, Watermark) and watermark.score.n == 19
    assert "must lie in" in check("caf\u00e9".encode(), keys=keys)[-1].reason
    assert "no test" in check(b"text")[-1].reason


def test_small_pictures_and_other_files_say_why_there_is_no_score():
    keys = Keys(SECRET)
    assert "no room" in check(encoded(picture(28), "PNG"), keys=keys)[-1].reason
    assert "no key" in check(FILES["image/png"])[-1].reason
    assert "no watermark" in check(FILES["audio/wav"], keys=keys)[-1].reason
    assert [type(f) for f in check(b"\0\1\2")] == [Signature, Label, Source, Watermark]


def test_what_the_caller_knows_must_be_usable():
    with pytest.raises(BadInput, match="PEM"):
        check(b"", trust=b"nonsense")
    with pytest.raises(BadInput, match="at least 16"):
        check(b"", keys=Keys(b"short"))


def test_foreign_texts_are_short_and_printable(monkeypatch):
    told = {
        "active_manifest": "a",
        "validation_state": "Strange",
        "manifests": {
            "a": {
                "signature_info": {"issuer": "\x1b[31m" + "x" * 1000},
                "assertions": [
                    {"label": manifest.ASSERTION, "data": {"m": ["\n"] * 1000}},
                    7,
                    {"label": "c2pa.actions.v2", "data": {"actions": [3]}},
                ],
            }
        },
        "validation_results": [],
    }
    monkeypatch.setattr(manifest, "read", lambda *_: told)
    signature = check(FILES["image/png"])[0]
    assert signature.state == "invalid"
    for text in (signature.issuer, *signature.generation[0]):
        assert text.isprintable() and len(text) <= 400


@pytest.mark.parametrize("kind", FILES)
def test_seventy_mutated_files_of_each_kind_raise_nothing(kind, marked, installation):
    """560 in all. A signature stays trusted only where what it vouches for is unchanged."""
    identity, root = installation
    rng = random.Random(kind)
    data, beside = marked[kind].data, marked[kind].sidecar
    original = check(data, trust=root, beside=beside)[0]
    for i in range(70):
        hostile = mutated(data, rng)
        other = mutated(beside, rng) if beside and i % 2 else beside
        findings = check(hostile, keys=Keys(identity.secret), trust=root, beside=other)
        assert {type(f) for f in findings} == {Signature, Label, Source, Watermark}
        if findings[0].state == "trusted":
            assert findings[0] == original
            assert content(hostile, kind) == content(data, kind)


def content(data: bytes, kind: str) -> bytes:
    """The encoded content: a manifest has padding of its own, which no signature covers."""
    if kind == "image/png":
        return b"".join(data[a:b] for a, b, k in containers._png_chunks(data) if k != b"caBX")
    if kind == "image/jpeg":
        return data[max(end for _, end, _ in containers._jpeg_segments(data)) :]
    if kind in ("image/webp", "audio/wav"):
        return dict(riff.chunks(data))[b"VP8 " if kind == "image/webp" else b"data"]
    return data[data.index(b"mdat") :] if kind == "video/mp4" else data
