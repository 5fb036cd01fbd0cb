"""Folders that several machines work on in turn: whose they are, and that the newest is kept."""

from __future__ import annotations

import pytest

from genloom.serve.store import Blobs, Folders, LeaseLost, NotFound

RUN = "runs/mine"


@pytest.fixture
def machines(store, tmp_path):
    """Two machines with disks of their own, one database and one store of blobs."""
    blobs = Blobs(tmp_path / "blobs")
    found = [Folders(store, blobs, tmp_path / name) for name in ("a", "b")]
    assert found[0].reserve(RUN, "ann")
    return found


def write(folders, path, text):
    target = folders.path(RUN) / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def texts(folders, name=RUN):
    here = folders.path(name)
    files = (path for path in here.rglob("*") if path.is_file() and path.name[0] != ".")
    return {path.relative_to(here).as_posix(): path.read_text() for path in files}


def blobs_of(tmp_path):
    return [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


def test_a_name_is_its_first_owners(machines):
    a, b = machines
    assert not a.reserve(RUN, "ann") and not b.reserve(RUN, "bob")
    assert b.owner(RUN) == "ann" and b.owner("runs/none") is None
    for folders in machines:
        with pytest.raises(NotFound):
            folders.bring("runs/none")
    with pytest.raises(NotFound):
        a.keep("runs/none")


def test_work_goes_on_where_the_other_machine_left_it(machines, tmp_path, clock):
    a, b = machines
    write(a, "run.json", "1")
    write(a, "checkpoints/step-1/model", "one")
    write(a, ".lock", "")
    a.keep(RUN)
    assert b.holds(RUN, "run.json") and not b.holds(RUN, ".lock")
    b.bring(RUN)
    assert texts(b) == {"run.json": "1", "checkpoints/step-1/model": "one"}
    write(b, "run.json", "22")
    (b.path(RUN) / "checkpoints/step-1/model").unlink()
    write(b, "checkpoints/step-2/model", "two")
    clock.now += 1
    b.keep(RUN, done=True)
    write(a, "run.json", "a machine that was believed dead")
    with pytest.raises(LeaseLost):
        a.keep(RUN)
    a.bring(RUN)
    assert texts(a) == texts(b) == {"run.json": "22", "checkpoints/step-2/model": "two"}
    assert len(blobs_of(tmp_path)) == 2  # nothing that was replaced or refused is left
    a.keep(RUN, done=True)
    assert [(one.name, one.done, one.changed) for one in b.changed(0)] == [(RUN, True, clock.now)]
    assert b.changed(clock.now + 1) == []


def test_what_is_not_kept_yet_stays_while_nobody_else_keeps(machines):
    a, _ = machines
    write(a, "run.json", "1")
    a.keep(RUN)
    write(a, "run.json", "2")
    write(a, "new", "3")
    a.bring(RUN)
    assert texts(a) == {"run.json": "2", "new": "3"}


def test_whoever_only_looks_brings_what_it_needs(machines):
    a, b = machines
    for path in ("run.json", "samples/1.png", "checkpoints/large"):
        write(a, path, path)
    a.keep(RUN)
    b.bring(RUN, "run.json", "samples/")
    assert set(texts(b)) == {"run.json", "samples/1.png"}
    b.bring(RUN)
    assert set(texts(b)) == {"run.json", "samples/1.png", "checkpoints/large"}


def test_only_what_has_changed_is_sent_and_fetched(machines, monkeypatch):
    a, b = machines
    sent, put = [], a.blobs.put
    monkeypatch.setattr(a.blobs, "put", lambda content: sent.append(content) or put(content))
    write(a, "large", "x")
    write(a, "run.json", "1")
    a.keep(RUN)
    write(a, "run.json", "23")
    a.keep(RUN)
    assert sent == [b"x", b"1", b"23"]
    got, get = [], b.blobs.get
    monkeypatch.setattr(b.blobs, "get", lambda blob: got.append(blob) or get(blob))
    b.bring(RUN)
    write(a, "run.json", "456")
    a.keep(RUN)
    b.bring(RUN)
    assert len(got) == 3 and texts(b) == {"large": "x", "run.json": "456"}


def test_a_file_that_gives_way_while_it_is_read_is_looked_for_anew(machines, monkeypatch, tmp_path):
    a, b = machines
    write(a, "checkpoints/step-1/model", "one")
    put = a.blobs.put

    def rotate(content):
        gone = a.path(RUN) / "checkpoints/step-1/other"
        gone.unlink(missing_ok=True)
        write(a, "checkpoints/step-2/model", "two")
        return put(content)

    write(a, "checkpoints/step-1/other", "one more")
    monkeypatch.setattr(a.blobs, "put", rotate)
    a.keep(RUN)
    b.bring(RUN)
    assert set(texts(b)) == {"checkpoints/step-1/model", "checkpoints/step-2/model"}
    assert len(blobs_of(tmp_path)) == 2


def test_a_newer_version_may_come_while_the_old_one_is_fetched(machines, monkeypatch):
    a, b = machines
    write(a, "run.json", "1")
    a.keep(RUN)
    get = b.blobs.get

    def meanwhile(blob):
        monkeypatch.setattr(b.blobs, "get", get)
        write(a, "run.json", "22")
        a.keep(RUN)
        return get(blob)

    monkeypatch.setattr(b.blobs, "get", meanwhile)
    b.bring(RUN)
    assert texts(b) == {"run.json": "22"}


def test_a_folder_that_is_dropped_leaves_nothing(machines, tmp_path):
    a, b = machines
    write(a, "run.json", "1")
    a.keep(RUN)
    a.drop(RUN)
    assert blobs_of(tmp_path) == [] and not a.path(RUN).exists() and b.owner(RUN) is None


def test_where_a_disk_is_shared_nothing_is_copied(store, tmp_path):
    a, b = (Folders(store, None, tmp_path / "disk") for _ in range(2))
    assert a.reserve(RUN, "ann")
    write(a, "run.json", "1")
    a.keep(RUN)
    write(a, "run.json", "2")
    b.bring(RUN)
    assert texts(b) == {"run.json": "2"} and b.holds(RUN, "run.json")
    b.keep(RUN, done=True)
    assert [one.done for one in a.changed(0)] == [True]
    a.drop(RUN)
    assert not b.path(RUN).exists()
