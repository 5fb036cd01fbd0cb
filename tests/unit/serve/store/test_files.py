"""Files and batches, as the OpenAI interface needs them."""

from __future__ import annotations

import hashlib

import pytest

from genloom.errors import BadInput
from genloom.serve.store import Batches, Blobs, Files, NotFound
from genloom.serve.store.batches import NEXT

from .traversals import PAYLOADS


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def files(store, blobs):
    return Files(store, blobs)


@pytest.fixture
def batches(store):
    return Batches(store)


@pytest.fixture
def batch(files, batches):
    file = files.add("ann", "in.jsonl", "batch", b"{}")
    return batches.add("ann", file.id, "/v1/images/generations", {"job": "x"})


def test_a_file_is_kept_listed_and_deleted(files, blobs, clock):
    file = files.add("ann", "in.jsonl", "batch", b"{}\n")
    assert (file.filename, file.purpose, file.bytes, file.created) == (
        "in.jsonl",
        "batch",
        3,
        clock.now,
    )
    assert file.sha256 == hashlib.sha256(b"{}\n").hexdigest()
    assert files.get("ann", file.id) == file
    assert files.content("ann", file.id) == b"{}\n"
    other = files.add("ann", "a.png", "vision", b"")
    assert files.page("ann").items == [other, file]
    assert files.page("ann", purpose="batch").items == [file]
    files.delete("ann", file.id)
    for ask in (files.get, files.content, files.delete):
        with pytest.raises(NotFound, match="no such file"):
            ask("ann", file.id)
    with pytest.raises(NotFound):
        blobs.get(file.id)
    blobs.delete(other.id)
    files.delete("ann", other.id)  # of which the bytes are gone already
    assert files.page("ann").items == []


def test_a_file_name_is_for_people_only(store, tmp_path):
    (tmp_path / "pepper").write_text("secret")
    files = Files(store, Blobs(tmp_path / "blobs"))
    for name in PAYLOADS[180:]:
        file = files.add("ann", name, "user_data", b"x")
        assert files.get("ann", file.id) == file
        assert file.filename.isprintable()
        assert len(file.filename) <= 255
    outside = [p.name for p in tmp_path.iterdir() if not p.name.startswith("store.db")]
    assert sorted(outside) == ["blobs", "pepper"]
    assert (tmp_path / "pepper").read_text() == "secret"
    stored = [p.name for p in (tmp_path / "blobs").rglob("*") if p.is_file()]
    assert sorted(stored) == sorted(file.id for file in files.page("ann", limit=1000).items)


def test_a_batch_goes_to_its_end(batches, batch, clock):
    assert (batch.status, batch.total, batch.times) == ("validating", 0, {})
    assert (batch.completion_window, batch.expires) == ("24h", clock.now + 86_400)
    began = clock.now = clock.now + 5
    batch = batches.move(batch.id, "in_progress", total=3)
    assert batches.count(batch.id, completed=2, failed=1).completed == 2
    clock.now += 5
    batches.move(batch.id, "finalizing")
    done = batches.move(batch.id, "completed", output_file="out", error_file="err")
    assert (done.total, done.completed, done.failed) == (3, 2, 1)
    assert (done.output_file, done.error_file) == ("out", "err")
    assert done.times == {
        "in_progress": began,
        "finalizing": clock.now,
        "completed": clock.now,
    }
    assert batches.get("ann", batch.id) == done
    assert done.metadata == {"job": "x"}


def test_only_known_steps_are_taken(batches, batch):
    with pytest.raises(BadInput, match="is validating: it cannot become completed"):
        batches.move(batch.id, "completed")
    refused = batches.move(batch.id, "failed", errors=[{"line": 1, "message": "no JSON"}])
    assert refused.errors == [{"line": 1, "message": "no JSON"}]
    for status in NEXT:
        with pytest.raises(BadInput, match="is failed"):
            batches.move(batch.id, status)
    with pytest.raises(NotFound):
        batches.move("a" * 26, "failed")
    with pytest.raises(NotFound):
        batches.count("a" * 26, completed=1, failed=0)


def test_unknown_changes_are_refused(batches, batch):
    with pytest.raises(BadInput, match="owner"):
        batches.move(batch.id, "failed", owner="bob")
    assert batches.get("ann", batch.id).status == "validating"


def test_a_batch_is_cancelled_in_two_steps(batches, batch):
    batches.move(batch.id, "in_progress", total=9)
    asked = batches.cancel("ann", batch.id)
    assert asked.status == "cancelling"
    assert batches.cancel("ann", batch.id) == asked
    assert batches.count(batch.id, completed=1, failed=0).status == "cancelling"
    assert batches.move(batch.id, "cancelled").status == "cancelled"
    with pytest.raises(BadInput, match="is cancelled"):
        batches.cancel("ann", batch.id)


def test_a_batch_needs_a_file_of_its_owner(files, batches, batch):
    for owner, file in (("bob", batch.input_file), ("ann", "a" * 26), ("ann", "../x")):
        with pytest.raises(NotFound, match="no such file"):
            batches.add(owner, file, "/v1/completions", {})
    with pytest.raises(BadInput, match="metadata"):
        batches.add("ann", batch.input_file, "/v1/completions", {"x": "y" * 2**16})
    assert batches.page("ann").items == [batch]
