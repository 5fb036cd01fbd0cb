"""A worker process: it loads models, samples in batches, and answers over one socket.

`python -m genloom.serve.engine.worker FD` is started by the pool with one end of a socket pair.
The first message says which models there are; the process ends when the socket closes.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import torch

from genloom.memory import kept_pages
from genloom.serve.engine.batching import WAIT_S, Batcher, failure
from genloom.serve.engine.faults import WireError
from genloom.serve.engine.marking import TextMark
from genloom.serve.engine.messages import (
    Accepted,
    Cancelled,
    Event,
    Stats,
    read_request,
    write_event,
)
from genloom.serve.engine.shelf import Shelf
from genloom.serve.engine.wire import Frame, Parser, pack

STATS_S = 1.0  # from one report to the next; a step that takes longer delays it


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What a worker is told when it starts.

    Args:
        models: Name -> folder.
        rows: Name -> the most rows of a batch; 32 where it is not named.
        threads: CPU threads of torch. Several workers on one machine want few each: threads that
            wait for a processor slow all of them down.
        wait_s: See `Batcher`.
        idle_s: See `Shelf`.
        budget: See `Shelf`.
        int8: See `Shelf`.
        mark: Put on texts as they are drawn, as `TextMark.message` tells it; None: none.
    """

    models: Mapping[str, str]
    rows: Mapping[str, int] = field(default_factory=dict)
    threads: int = 1
    wait_s: float = WAIT_S
    idle_s: float = 600.0
    budget: int | None = None
    int8: Sequence[str] = ()
    mark: Mapping[str, Any] | None = field(default=None, repr=False)  # it holds a secret

    def message(self) -> dict[str, Any]:
        """The first message to a worker."""
        return {"kind": "options", **asdict(self)}


@final
class Worker:
    """Requests in, events out, until the other side closes the socket.

    Args:
        sock: A blocking stream socket.
        options: See `WorkerOptions`.
        parser: With what has already been read of the stream.
    """

    def __init__(self, sock: socket.socket, options: WorkerOptions, parser: Parser):
        self.sock, self.parser = sock, parser
        folders = {name: Path(folder) for name, folder in options.models.items()}
        shelved = {"idle_s": options.idle_s, "budget": options.budget, "int8": options.int8}
        self.shelf = Shelf(folders, **shelved)
        mark = None if options.mark is None else TextMark.read(options.mark)
        self.batcher = Batcher(self.shelf, rows=options.rows, wait_s=options.wait_s, mark=mark)
        self.shelf.in_use = lambda: self.batcher.in_use
        self.report_at = time.monotonic()

    def run(self, frames: Sequence[Frame] = ()) -> None:
        """Take these messages, then work until the socket closes."""
        for frame in frames:
            self._take(*frame)
        while True:
            self._report()
            with kept_pages():
                while self.batcher.requests:
                    if not self._listen(self.batcher.due_s() or 0.0):
                        return
                    for event in self.batcher.step():
                        self._send(event)
                    self._report()
            if not self._listen(max(0.0, self.report_at - time.monotonic())):
                return

    def _listen(self, wait_s: float) -> bool:
        """Take what has come, waiting at most this long; False when the socket is closed."""
        frames = receive(self.sock, self.parser, wait_s)
        for frame in frames or ():
            self._take(*frame)
        return frames is not None

    def _take(self, message: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        id = message.get("id")
        if not isinstance(id, str) or message.get("kind") not in ("request", "encode", "cancel"):
            raise WireError("a worker is sent requests and cancellations, each with an id.")
        if message["kind"] == "cancel":
            if self.batcher.cancel(id):
                self._send(Cancelled(id))
            return
        try:
            self.batcher.add(read_request(message, tensors))
        # Whatever is wrong with a request or its model, the others must not notice.
        except Exception as error:
            self._send(failure(id, error))
        else:
            self._send(Accepted(id))

    def _send(self, event: Event | Stats) -> None:
        self.sock.sendall(pack(*write_event(event)))

    def _report(self) -> None:
        if time.monotonic() < self.report_at:
            return
        self.report_at = time.monotonic() + STATS_S
        self.shelf.sweep()
        sizes = self.shelf.sizes()
        self._send(Stats(sizes, sum(sizes.values()), resident(), self.batcher.requests))


def receive(sock: socket.socket, parser: Parser, wait_s: float | None) -> list[Frame] | None:
    """The messages that have come, waiting at most this long for the first; None at the end."""
    ready, _, _ = select.select([sock], [], [], wait_s)
    if not ready:
        return []
    data = sock.recv(2**20)
    return parser.feed(data) if data else None


def resident() -> int:
    """Bytes of memory that the process holds now; at most so far, where /proc is absent."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * os.sysconf("SC_PAGESIZE")


def main(fd: int) -> None:
    """Serve the socket of this number until the other side closes it.

    Raises:
        WireError: The other side is not a pool of this version.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the pool decides
    parser = Parser()
    with socket.socket(fileno=fd) as sock:
        frames: list[Frame] | None = []
        while not frames:
            frames = receive(sock, parser, None)
            if frames is None:
                return
        try:
            options = WorkerOptions(**{k: v for k, v in frames[0][0].items() if k != "kind"})
        except TypeError as error:
            raise WireError(f"the first message is not a worker's options: {error}.") from error
        torch.set_num_threads(options.threads)
        try:
            Worker(sock, options, parser).run(frames[1:])
        except (BrokenPipeError, ConnectionResetError):
            return  # the pool is gone; nobody waits for an answer


if __name__ == "__main__":
    main(int(sys.argv[1]))
