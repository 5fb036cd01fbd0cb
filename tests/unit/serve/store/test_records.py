"""Records: what makes an output again, and who may see it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from genloom.errors import BadInput
from genloom.serve.store import Blobs, Held, NotFound, Origin, Records

ORIGIN = Origin(
    model="ab" * 32,
    data="blake2b:12",
    recipe="cd" * 32,
    seed=2**64 - 1,
    label="7",
    options={"steps": 8, "prompt": "\u00e4\0"},
    software={"genloom": "0.1", "batch": 4},
)


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def records(store, blobs):
    return Records(store, blobs)


def add(records, owner="ann", content=b"png", **more):
    return records.add(owner, content, ORIGIN, kind="image", media_type="image/png", **more)


def test_a_record_makes_its_output_again(records, clock):
    record = add(records, perceptual="ff00")
    assert records.get("ann", record.id) == record
    assert record.origin == ORIGIN
    assert record.sha256 == hashlib.sha256(b"png").hexdigest()
    assert (record.kind, record.media_type, record.perceptual) == ("image", "image/png", "ff00")
    assert (record.created, record.state) == (clock.now, "free")
    assert records.content("ann", record.id) == b"png"


def test_it_is_found_by_its_bytes(records):
    one, two = add(records), add(records)
    add(records, content=b"other")
    theirs = add(records, owner="bob")
    assert records.find("ann", one.sha256) == [one, two]
    assert records.find("bob", one.sha256) == [theirs]
    assert records.find("cat", one.sha256) == []
    assert records.known(one.sha256) is True
    assert records.known("00" * 32) is False


def test_bytes_need_not_be_kept(records):
    record = add(records, keep=False)
    assert record.blob is None
    assert records.known(record.sha256)
    with pytest.raises(NotFound):
        records.content("ann", record.id)
    records.delete("ann", record.id)
    assert records.page("ann").items == []


def test_deleting_removes_the_bytes(records, blobs):
    record, other = add(records), add(records)
    records.delete("ann", record.id)
    with pytest.raises(NotFound):
        records.get("ann", record.id)
    with pytest.raises(NotFound):
        blobs.get(record.blob)
    assert records.content("ann", other.id) == b"png"
    blobs.delete(other.blob)
    records.delete("ann", other.id)  # of which the bytes are gone already
    assert records.page("ann").items == []


@pytest.mark.parametrize(("approve", "state"), [(True, "approved"), (False, "rejected")])
def test_what_is_held_is_seen_by_its_reviewer_alone(records, clock, approve, state):
    add(records)
    held = add(records, content=b"face", held_for="a face\0", keep=False)
    assert held.state == "held"
    with pytest.raises(Held, match="is held: a face"):
        records.content("ann", held.id)
    with pytest.raises(Held):
        records.delete("ann", held.id)
    assert records.waiting().items == [held]
    assert records.review(held.id) == (held, b"face")
    clock.now += 60
    decided = records.decide(held.id, approve=approve, by="rita", reason="seen")
    assert (decided.state, decided.decided_by, decided.reason, decided.decided) == (
        state,
        "rita",
        "seen",
        clock.now,
    )
    assert records.get("ann", held.id) == decided
    assert records.waiting().items == []
    if approve:
        assert records.content("ann", held.id) == b"face"
    else:
        with pytest.raises(Held, match="is rejected: seen"):
            records.content("ann", held.id)


def test_a_decision_is_made_once_and_on_what_is_held(records):
    free, held = add(records), add(records, held_for="a face")
    records.decide(held.id, approve=False, by="rita", reason="no")
    for record in (free, held):
        with pytest.raises(NotFound):
            records.decide(record.id, approve=True, by="rob", reason="yes")
        with pytest.raises(NotFound):
            records.review(record.id)
    assert records.get("ann", held.id).decided_by == "rita"
    records.delete("ann", held.id)


def test_the_queue_of_reviews_has_pages(records):
    held = [add(records, owner=owner, held_for="x") for owner in ("ann", "bob", "cat")]
    page = records.waiting(limit=2)
    assert (page.items, page.more) == ([held[2], held[1]], True)
    page = records.waiting(after=held[1].id, limit=2)
    assert (page.items, page.more) == ([held[0]], False)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"seed": -1}, "seed"), ({"seed": 2**64}, "seed"), ({"options": {"x": {1}}}, "options")],
)
def test_what_cannot_be_kept_is_refused_and_leaves_no_bytes(records, blobs, change, said):
    with pytest.raises(BadInput, match=said):
        records.add("ann", b"x", replace(ORIGIN, **change), kind="image", media_type="image/png")
    assert records.page("ann").items == []
    assert blobs._fs.find(blobs._root) == []
