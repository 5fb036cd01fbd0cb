"""A file of requests: each answered once and under its own name, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from genloom.serve.batches import BatchWork
from genloom.serve.guard import LOCAL
from genloom.serve.store import Batches, Blobs, Files, Store

URL = "/v1/completions"


class Doubler:
    """An app that doubles numbers, refuses negative ones, and is busy now and then."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.busy = 0  # turns away the next so many
        self.dies_at: int | None = None

    async def __call__(self, scope, receive, send) -> None:
        number = json.loads((await receive())["body"])["number"]
        if number == self.dies_at:
            raise asyncio.CancelledError
        self.asked.append(number)
        await asyncio.sleep(0.001 * (number % 3))  # answers come in another order
        status = 200 if number >= 0 else 400
        if self.busy:
            self.busy, status = self.busy - 1, 429
        body = json.dumps({"path": scope["path"], "double": 2 * number}).encode()
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": body})


def line(number, **other):
    row = {"custom_id": f"n{number}", "method": "POST", "url": URL, "body": {"number": number}}
    return json.dumps(row | other)


@pytest.fixture
def place(tmp_path: Path):
    with Store(tmp_path / "store.db") as store:
        yield Place(store, tmp_path)


class Place:
    """A store with a batch that can be worked on."""

    def __init__(self, store: Store, folder: Path):
        self.batches, self.files = Batches(store), Files(store, Blobs(folder / "blobs"))
        self.app, self.spool, self.shares = Doubler(), folder / "spool", []

    async def told(self, share: float) -> None:
        self.shares.append(share)

    def add(self, *rows: str) -> str:
        content = "\n".join(rows).encode()
        file = self.files.add(LOCAL.id, "in.jsonl", "batch", content)
        return self.batches.add(LOCAL.id, file.id, URL, {}).id

    def work(self, id: str):
        work = BatchWork(self.app, self.batches, self.files, self.spool, self.told)
        asyncio.run(work.run(LOCAL, id))
        return self.batches.get(LOCAL.id, id)

    def rows(self, file: str | None):
        assert file is not None
        content = self.files.content(LOCAL.id, file).decode()
        return [json.loads(row) for row in content.splitlines()]


def test_every_request_is_answered_in_order_under_its_own_name(place):
    batch = place.work(place.add(*(line(n) for n in range(40)), "", line(-1), line(-2)))
    assert (batch.status, batch.total, batch.completed, batch.failed) == ("completed", 42, 40, 2)
    rows = place.rows(batch.output_file)
    assert [row["custom_id"] for row in rows] == [f"n{n}" for n in range(40)]
    assert [row["response"]["body"]["double"] for row in rows] == [2 * n for n in range(40)]
    assert {row["response"]["body"]["path"] for row in rows} == {URL}
    wrong = place.rows(batch.error_file)
    assert [row["response"]["status_code"] for row in wrong] == [400, 400]
    assert place.shares[-1] == 1 and place.shares == sorted(place.shares)
    assert list(place.spool.iterdir()) == []


def test_a_full_queue_is_waited_for(place):
    place.app.busy = 3
    batch = place.work(place.add(line(1), line(2)))
    assert (batch.status, batch.completed) == ("completed", 2) and len(place.app.asked) == 5


def test_what_was_answered_before_a_kill_is_not_asked_again(place):
    id = place.add(*(line(n) for n in range(40)))
    place.app.dies_at = 20  # in the second piece of sixteen
    with pytest.raises(asyncio.CancelledError):
        place.work(id)
    spool = place.spool / "answers.jsonl"
    with spool.open("ab") as file:
        file.write(b'{"custom_id": "n39", "resp')  # a write that the kill cut short
    before, place.app.asked, place.app.dies_at = place.app.asked, [], None
    batch = place.work(id)
    assert (batch.status, batch.completed) == ("completed", 40)
    assert not set(range(16)) & set(place.app.asked) and set(range(16)) <= set(before)
    assert len(place.rows(batch.output_file)) == 40


def test_a_cancelled_batch_files_what_it_has(place):
    id = place.add(*(line(n) for n in range(40)))
    app = place.app

    async def cancel(share):
        if share < 0.5:
            place.batches.cancel(LOCAL.id, id)

    work = BatchWork(app, place.batches, place.files, place.spool, cancel)
    asyncio.run(work.run(LOCAL, id))
    batch = place.batches.get(LOCAL.id, id)
    assert batch.status == "cancelled" and len(place.rows(batch.output_file)) == 16
    asyncio.run(work.run(LOCAL, id))  # a job that comes again finds it ended
    assert len(app.asked) == 16


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["{"], "line 1 is not JSON"),
        ([line(1), "[]"], "line 2 is not"),
        ([line(1, url="/v1/keys")], "url must be"),
        ([line(1, method="DELETE")], "method"),
        ([line(1, custom_id="")], "custom_id"),
        ([line(1), line(1)], "one custom_id"),
        ([line(1, body={"stream": True})], "streams nothing"),
        ([""], "0 requests"),
    ],
)
def test_a_file_that_is_no_batch_is_refused_and_says_why(place, rows, says):
    batch = place.work(place.add(*rows))
    assert batch.status == "failed" and says in batch.errors["data"][0]["message"]
    assert place.app.asked == []
