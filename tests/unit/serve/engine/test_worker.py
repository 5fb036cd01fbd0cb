"""The worker's loop, in this process, over a real pair of sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from genloom import artifact
from genloom.serve.engine.faults import WireError
from genloom.serve.engine.messages import (
    Accepted,
    Cancelled,
    Done,
    Event,
    Failed,
    Preview,
    Stats,
    read_event,
    write_request,
)
from genloom.serve.engine.request import Request
from genloom.serve.engine.wire import Parser, pack
from genloom.serve.engine.worker import Worker, WorkerOptions, main, receive, resident
from tests.unit.serve.engine.made import stored


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("worker"), "flow")


class Side:
    """The other end of a worker's socket."""

    def __init__(self, sock: socket.socket):
        self.sock, self.parser = sock, Parser()

    def send(self, message, tensors=None) -> None:
        self.sock.sendall(pack(message, tensors))

    def events(self) -> Iterator[Event | Stats]:
        end = time.monotonic() + 15.0
        while (frames := receive(self.sock, self.parser, 5.0)) is not None:
            assert frames and time.monotonic() < end, "the worker does not answer"
            yield from (read_event(*frame) for frame in frames)


@pytest.fixture
def side(folder) -> Iterator[Side]:
    """A worker that serves a flow, and a model whose folder is absent."""
    ours, theirs = socket.socketpair()
    options = WorkerOptions(models={"flow": str(folder), "gone": "/nowhere"})
    worker = Worker(theirs, options, Parser())
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    yield Side(ours)
    ours.close()
    thread.join(10)
    theirs.close()
    assert not thread.is_alive()


def answer(side: Side, id: str) -> list[Event]:
    """The events of a request, to its last one."""
    found = []
    for event in side.events():
        if not isinstance(event, Stats) and event.id == id:
            found.append(event)
            if isinstance(event, Done | Failed | Cancelled):
                return found
    raise AssertionError("the worker has closed the connection")


def test_it_reports_accepts_and_answers(side, folder):
    first = next(side.events())
    assert isinstance(first, Stats) and first.models == {} and first.rss > 50e6
    request = Request(model="flow", seeds=(5,), label=3, options={"steps": 3}, previews=1)
    side.send(*write_request(request))
    accepted, preview, done = answer(side, request.id)
    assert isinstance(accepted, Accepted) and isinstance(done, Done)
    assert isinstance(preview, Preview) and preview.step == 2
    expected = artifact.load(folder).sample(4, seed=5, label=3, steps=3)[:1]
    assert torch.equal(done.items, expected)
    assert done.records[0]["model"] == artifact.load(folder).hash
    later = next(e for e in side.events() if isinstance(e, Stats))
    assert later.bytes == later.models["flow"] > 0


@pytest.mark.parametrize(
    ("model", "more", "error"),
    [
        ("flow", {"options": {"steps": 0}}, "BadInput"),
        ("flwo", {}, "BadInput"),
        ("gone", {}, "ModelUnavailable"),
    ],
)
def test_a_wrong_request_fails_and_the_worker_goes_on(side, model, more, error):
    wrong, good = Request(model=model, seeds=(1,), **more), Request(model="flow", seeds=(1,))
    side.send(*write_request(wrong))
    (failed,) = answer(side, wrong.id)
    assert isinstance(failed, Failed) and failed.error == error
    assert "/nowhere" not in failed.message
    side.send({"kind": "request", "id": "x", "model": "flow"})
    (malformed,) = answer(side, "x")
    assert isinstance(malformed, Failed) and malformed.error == "WireError"
    side.send(*write_request(good))
    assert isinstance(answer(side, good.id)[-1], Done)


def test_it_reads_between_steps(side):
    """A cancellation is noticed long before the end, and so is a new request."""
    long = Request(model="flow", seeds=(1,), options={"steps": 1000})
    short = Request(model="flow", seeds=(1,), options={"steps": 1})
    side.send(*write_request(long))
    assert isinstance(next(e for e in side.events() if not isinstance(e, Stats)), Accepted)
    side.send(*write_request(short))
    assert isinstance(answer(side, short.id)[-1], Done)
    side.send({"kind": "cancel", "id": long.id})
    begun = time.monotonic()
    assert answer(side, long.id) == [Cancelled(long.id)]
    assert time.monotonic() - begun < 1.0


def test_the_rss_is_that_of_this_process():
    before = resident()
    block = torch.ones(50_000_000, dtype=torch.uint8)
    assert 30e6 < resident() - before < 200e6
    assert block.sum() == 50_000_000


def test_the_process_ends_with_its_socket_and_wants_options_first(monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    ours, theirs = socket.socketpair()
    ours.close()
    main(theirs.detach())
    ours, theirs = socket.socketpair()
    ours.sendall(pack({"kind": "options", "model": {}}))
    with pytest.raises(WireError, match="not a worker's options"):
        main(theirs.detach())
    ours.close()
