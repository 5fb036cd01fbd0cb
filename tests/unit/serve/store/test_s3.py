"""Blobs in an object store, and two servers that share one and a database."""

from __future__ import annotations

import os
from contextlib import ExitStack

import httpx2
import pytest

from genloom.serve.store import Blobs, NotFound, Origin, Records, Store
from genloom.serve.store.records import SMALL
from tests.e2e.server import make_models, serving

from . import postgres, s3

ORIGIN = Origin("m", "d", "r", 1, None, {}, {})


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    with s3.server(tmp_path_factory.mktemp("s3")) as leads, s3.environment(leads):
        yield f"s3://{s3.BUCKET}"


def test_bytes_come_back_and_go(objects):
    blobs, content = Blobs(f"{objects}/one"), os.urandom(6 * 2**20)
    one, two, empty = blobs.put(content), blobs.put(b"other"), blobs.put(b"")
    assert (blobs.get(one), blobs.get(two), blobs.get(empty)) == (content, b"other", b"")
    assert Blobs(f"{objects}/one").get(two) == b"other"
    for _ in range(2):  # S3 does not tell whether there was anything to delete
        blobs.delete(one)
        with pytest.raises(NotFound, match="no such blob"):
            blobs.get(one)
    assert blobs.get(two) == b"other"


def test_prefixes_are_apart(objects):
    one = Blobs(f"{objects}/a").put(b"x")
    with pytest.raises(NotFound):
        Blobs(f"{objects}/b").get(one)


def test_a_bucket_that_is_not_there_is_no_missing_blob(objects):
    with pytest.raises(OSError, match="bucket") as caught:
        Blobs("s3://elsewhere").put(b"x")
    assert not isinstance(caught.value, NotFound)


def test_records_keep_their_large_contents_there(objects, store):
    blobs = Blobs(f"{objects}/records")
    records = Records(store, blobs)
    record = records.add("ann", b"x" * (SMALL + 1), ORIGIN, kind="image", media_type="image/png")
    assert blobs.get(record.blob) == records.content("ann", record.id) == b"x" * (SMALL + 1)
    records.delete("ann", record.id)
    with pytest.raises(NotFound):
        blobs.get(record.blob)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_two_servers_see_the_same_outputs(objects, backend, cache, request, tmp_path):
    if backend == "postgresql":
        database = postgres.database(request.getfixturevalue("socket"), "two_servers")
    else:
        database = f"sqlite:///{tmp_path}/shared.sqlite"
    models = {"digits": make_models(tmp_path)["digits"]}
    more = ["--database", database, "--blobs", f"{objects}/{backend}", "--no-sign"]
    with ExitStack() as stack:
        clients = []
        for name in ("one", "two"):
            server = stack.enter_context(serving(tmp_path / name, models, *more))
            clients.append(stack.enter_context(httpx2.Client(base_url=server.url, timeout=60)))
        for here, there, size in zip(clients, clients[::-1], ("auto", "512x512"), strict=True):
            body = {"prompt": "7", "seed": 3, "size": size, "steps": 2, "response_format": "url"}
            made = here.post("/v1/images/generations", json=body).json()["data"][0]
            path = f"/v1/outputs/{made['id']}"
            assert there.get(path).json() == here.get(path).json()
            content = there.get(f"{path}/content").content
            assert content == here.get(f"{path}/content").content
            assert (len(content) > SMALL) == (size != "auto")
            assert there.delete(path).status_code == 200
            assert here.get(path).status_code == 404
            assert here.get(f"{path}/content").status_code == 404
    with Store(database) as store:
        assert Records(store, Blobs(f"{objects}/{backend}")).page("local").items == []
    left = Blobs(f"{objects}/{backend}")
    assert left._fs.find(left._root) == []
