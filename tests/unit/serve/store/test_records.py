"""Records: what makes an output again, and who may see it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from genloom.errors import BadInput
from genloom.serve.store import Blobs, Held, Made, NotFound, Origin, Records
from genloom.serve.store.records import SMALL
from genloom.serve.store.tables import contents

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


def test_those_of_one_model_are_paged_alone(records):
    other = replace(ORIGIN, model="ef" * 32)
    mine = [add(records) for _ in range(3)]
    made = records.add("ann", b"png", other, kind="image", media_type="image/png")
    add(records, owner="bob")
    first = records.page("ann", model=ORIGIN.model, limit=2)
    assert (first.items, first.more) == (mine[:0:-1], True)
    last = records.page("ann", model=ORIGIN.model, after=mine[1].id, limit=2)
    assert (last.items, last.more) == (mine[:1], False)
    assert records.page("ann", model=other.model).items == [made]
    assert records.page("ann", model="00" * 32).items == []
    assert records.page("ann").items == [made, *mine[::-1]]


def held_bytes(store):
    """What the database holds of contents, in all."""
    with store.reading() as connection:
        return connection.scalar(
            select(func.coalesce(func.sum(func.length(contents.c.content)), 0))
        )


def test_deleting_removes_the_bytes(records, blobs, store):
    large = b"x" * (SMALL + 1)
    record, other, small = add(records, content=large), add(records, content=large), add(records)
    records.delete("ann", record.id)
    with pytest.raises(NotFound):
        records.get("ann", record.id)
    with pytest.raises(NotFound):
        blobs.get(record.blob)
    assert records.content("ann", other.id) == large
    blobs.delete(other.blob)
    records.delete("ann", other.id)  # of which the bytes are gone already
    assert held_bytes(store) == 3
    records.delete("ann", small.id)
    assert held_bytes(store) == 0
    assert records.page("ann").items == []


def test_small_contents_lie_in_the_database_and_large_ones_do_not(records, blobs, store):
    for size in (0, SMALL):
        record = add(records, content=b"x" * size)
        assert record.blob is None
        assert records.content("ann", record.id) == b"x" * size
    assert held_bytes(store) == SMALL
    record = add(records, content=b"y" * (SMALL + 1))
    assert records.content("ann", record.id) == blobs.get(record.blob) == b"y" * (SMALL + 1)
    assert held_bytes(store) == SMALL


def made(seed, content=b"png", **more):
    origin = replace(ORIGIN, seed=seed)
    return Made(content=content, origin=origin, kind="image", media_type="image/png", **more)


def test_a_request_is_recorded_in_one_transaction_and_in_order(records, store, monkeypatch):
    opened, writing = [], store.writing
    monkeypatch.setattr(store, "writing", lambda **how: opened.append(how) or writing(**how))
    sizes = (3, SMALL + 1, 5, 0)
    given = [made(i, b"z" * size) for i, size in enumerate(sizes)]
    added = records.add_all("ann", given)
    assert opened == [{"lasting": False}]
    assert records.page("ann").items == added[::-1]
    assert [record.origin.seed for record in added] == [0, 1, 2, 3]
    assert [records.content("ann", one.id) for one in added] == [one.content for one in given]
    assert records.add_all("ann", []) == []


def test_a_request_is_recorded_whole_or_not_at_all(records, store):
    with store.writing() as connection:
        connection.execute(text("ALTER TABLE contents RENAME TO moved"))
    with pytest.raises(DBAPIError):
        records.add_all("ann", [made(1), made(2)])
    with store.writing() as connection:
        connection.execute(text("ALTER TABLE moved RENAME TO contents"))
    assert records.page("ann").items == []


def test_a_record_leads_to_verdict_licence_and_gate(records):
    facts = {"plain_sha256": "aa", "report": "bb", "licence": "CC-BY-4.0", "gate": "passed"}
    record = add(records, **facts)
    assert {name: getattr(records.get("ann", record.id), name) for name in facts} == facts
    bare = records.get("ann", add(records).id)
    assert {name: getattr(bare, name) for name in facts} == dict.fromkeys(facts)


def test_whoever_runs_the_server_looks_at_any_record(records):
    record = add(records, owner="bob")
    assert records.look(record.id) == record
    for odd in ("a" * 26, "../x", ""):
        with pytest.raises(NotFound):
            records.look(odd)


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


def test_one_bad_output_leaves_nothing_of_its_request(records, blobs):
    with pytest.raises(BadInput, match="seed"):
        records.add_all("ann", [made(1, b"x" * (SMALL + 1)), made(-1)])
    assert records.page("ann").items == []
    assert blobs._fs.find(blobs._root) == []
