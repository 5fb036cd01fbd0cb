"""One worker process as the server sees it: its start, what is sent, what it says, its end."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, final

from torch import Tensor

from genloom.serve.engine.faults import WireError
from genloom.serve.engine.messages import Event, Stats, read_event
from genloom.serve.engine.wire import Parser, pack
from genloom.serve.engine.worker import WorkerOptions

START_S = 60.0  # to import torch on a busy machine
END_S = 5.0  # from the closed socket to the signal
log = logging.getLogger(__name__)


@final
class Process:
    """A running worker; made by `start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ):
        self.process, self.pid = process, process.pid
        self._reader, self._writer = reader, writer

    @classmethod
    async def start(cls, options: WorkerOptions) -> Process:
        """Start a worker and tell it what it serves.

        Raises:
            OSError: The system starts no further process.
        """
        ours, theirs = socket.socketpair()  # of the Unix family: nobody else can reach it
        with theirs:
            try:
                # -P: the working folder is no place to import from.
                command = [sys.executable, "-P", "-m", "genloom.serve.engine.worker"]
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                )
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=2**20)
        made = cls(process, reader, writer)
        made.send(options.message())
        return made

    def send(self, message: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
        """Send a message; one to a worker that has ended is lost, and `events` will say so.

        Raises:
            WireError: It cannot be packed.
        """
        frame = pack(message, tensors)
        if not self._writer.is_closing():
            self._writer.write(frame)

    async def events(self, stall_s: float) -> AsyncIterator[Event | Stats]:
        """What the worker says, until its end.

        Args:
            stall_s: It reports every second between two steps; one that is silent for longer than
                this hangs, and the iteration ends.
        """
        parser, patience = Parser(), START_S
        while True:
            try:
                async with asyncio.timeout(patience):
                    data = await self._reader.read(2**20)
                frames = parser.feed(data)
                events = [read_event(*frame) for frame in frames]
            except TimeoutError:
                log.error("worker %d said nothing for %g s", self.pid, patience)
                return
            except (OSError, WireError) as error:
                log.error("the connection to worker %d failed: %s", self.pid, error)
                return
            if not data:
                return
            for event in events:
                patience = stall_s
                yield event

    async def end(self, *, at_once: bool = False) -> None:
        """Close the socket, at which a worker ends by itself; one that does not is killed."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        if not at_once:
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await self.process.wait()
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
