"""Whoever asks for another's item is answered as if it did not exist: every call, both ways."""

from __future__ import annotations

import pytest

from genloom.serve.store import Batches, Blobs, Files, Jobs, Keys, NotFound, Origin, Records

from .traversals import PAYLOADS

ORIGIN = Origin("m", "d", "r", 1, None, {}, {})
CALLS = {
    "jobs": ("get", "ahead", "cancel", "delete"),
    "records": ("get", "content", "delete"),
    "files": ("get", "content", "delete"),
    "batches": ("get", "cancel"),
}
MATRIX = [(kind, call) for kind, calls in CALLS.items() for call in calls]


@pytest.fixture
def stores(store):
    blobs = Blobs("memory://owners")
    return {
        "jobs": Jobs(store),
        "records": Records(store, blobs),
        "files": Files(store, blobs),
        "batches": Batches(store),
    }


def one_each(stores, owner):
    """An item of every kind for an owner."""
    file = stores["files"].add(owner, "f", "batch", b"x")
    return {
        "jobs": stores["jobs"].add(owner, "generate", {}),
        "records": stores["records"].add(owner, b"x", ORIGIN, kind="image", media_type="image/png"),
        "files": file,
        "batches": stores["batches"].add(owner, file.id, "/v1/completions", {}),
    }


@pytest.fixture
def two(store):
    keys = Keys(store, bytes(32))
    return [keys.make(name, ["generate", "train", "admin"])[0].id for name in ("ann", "bob")]


def test_every_public_call_with_an_owner_is_in_the_matrix(stores):
    for kind, thing in stores.items():
        takes_id = {
            name
            for name, method in vars(type(thing)).items()
            if not name.startswith("_")
            and callable(method)
            and method.__code__.co_varnames[1:2] == ("owner",)
            and method.__code__.co_varnames[2:3] in {(f"{kind[:-1]}_id",), ("batch_id",)}
        }
        assert takes_id == set(CALLS[kind]), kind


@pytest.mark.parametrize(("kind", "call"), MATRIX)
def test_anothers_item_does_not_exist(stores, two, kind, call):
    for owner, other in (two, two[::-1]):
        item = one_each(stores, owner)[kind]
        ask = getattr(stores[kind], call)
        with pytest.raises(NotFound) as theirs:
            ask(other, item.id)
        with pytest.raises(NotFound) as absent:
            ask(other, "a" * 26)
        assert str(theirs.value) == str(absent.value)
        assert stores[kind].get(owner, item.id) == item  # nor was it changed
        ask(owner, item.id)


@pytest.mark.parametrize("kind", CALLS)
def test_lists_hold_ones_own_and_take_no_foreign_cursor(stores, two, kind):
    ann, bob = two
    mine, theirs = one_each(stores, ann)[kind], one_each(stores, bob)[kind]
    later = one_each(stores, ann)[kind]
    assert [item.id for item in stores[kind].page(ann).items] == [later.id, mine.id]
    assert stores[kind].page("nobody").items == []
    assert stores[kind].page(ann, after=later.id).items == [mine]
    for cursor in (theirs.id, "a" * 26, "../x"):
        with pytest.raises(NotFound):
            stores[kind].page(ann, after=cursor)


@pytest.mark.parametrize("kind", CALLS)
def test_what_is_no_id_is_not_found(stores, two, kind):
    one_each(stores, two[0])
    for call in CALLS[kind]:
        for payload in PAYLOADS:
            with pytest.raises(NotFound):
                getattr(stores[kind], call)(two[0], payload)


def test_a_key_made_again_under_an_old_name_owns_nothing_of_it(store, stores):
    keys = Keys(store, bytes(32))
    old, _ = keys.make("ann", ["generate"])
    item = one_each(stores, old.id)["jobs"]
    keys.revoke("ann")
    new, _ = keys.make("ann", ["generate"])
    with pytest.raises(NotFound):
        stores["jobs"].get(new.id, item.id)
    assert stores["jobs"].get(old.id, item.id) == item
