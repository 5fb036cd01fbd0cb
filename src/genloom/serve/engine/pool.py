"""The pool of workers, for asyncio: requests are queued, handed out, answered, or refused at once.

Every request that was taken ends exactly once, whatever becomes of the worker that held it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from torch import Tensor

from genloom.core import Condition
from genloom.errors import BadInput, GenloomError, nearest
from genloom.serve.engine.answer import Answer, Line
from genloom.serve.engine.faults import Draining, Full, WireError, WorkerDied
from genloom.serve.engine.marking import TextMark
from genloom.serve.engine.messages import (
    FINAL,
    Cancelled,
    Done,
    Encoded,
    Event,
    Stats,
    write_request,
)
from genloom.serve.engine.process import Process
from genloom.serve.engine.request import Encode, Request
from genloom.serve.engine.worker import WorkerOptions

WINDOW = 32  # requests that a worker holds at once: what its death costs, and its batches' supply
LONGEST_PAUSE_S = 5.0  # between two starts of a worker that keeps dying
HOPELESS = 3  # deaths in a row without one sample, after which waiting requests fail
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Slot:
    """The place of one worker: processes come and go in it."""

    process: Process | None = None  # once it has said that it runs
    held: dict[str, Line] = field(default_factory=dict)
    stats: Stats | None = None
    deaths: int = 0  # in a row, without a sample between them
    cold: set[str] = field(default_factory=set)  # samples that it has yet to make to be ready

    @property
    def warm(self) -> bool:
        """Whether its worker runs, and has made a sample of each model asked for."""
        return self.process is not None and not self.cold


@final
class Pool:
    """Workers that serve the same models; `async with` starts and ends them.

    Args:
        models: Name -> folder of an artifact or a run.
        workers: Processes.
        queue: Requests that may wait or run at once; one more is refused.
        rows: Name -> the most rows of a batch (32).
        threads: CPU threads of each worker.
        wait_s: How long a batch waits for company that it had before; see `Batcher`.
        idle_s: After which an unused model is put away.
        budget: Bytes of weights in each worker.
        int8: Names of models whose weights are packed, see `int8.pack`.
        warm: Names of the models that a worker makes a sample of before it is ready; None: of
            the first one.
        first: Name -> conditions, (1, ...), of that sample, where it needs any.
        stall_s: After which a worker that is silent within a step is taken for dead.
        mark: Put on texts as they are drawn; None: none.

    Raises:
        BadInput: No model, or a name that is not one of them.
    """

    def __init__(
        self,
        models: Mapping[str, str | Path],
        *,
        workers: int = 1,
        queue: int = 64,
        rows: Mapping[str, int] | None = None,
        threads: int = 1,
        wait_s: float = 0.002,
        idle_s: float = 600.0,
        budget: int | None = None,
        int8: Sequence[str] = (),
        warm: Sequence[str] | None = None,
        first: Mapping[str, Condition] | None = None,
        stall_s: float = 300.0,
        mark: TextMark | None = None,
    ):
        if not models:
            raise BadInput("there is no model to serve: name at least one.")
        self.options = WorkerOptions(
            models={name: str(folder) for name, folder in models.items()},
            rows=dict(rows or {}),
            threads=threads,
            wait_s=wait_s,
            idle_s=idle_s,
            budget=budget,
            int8=list(int8),
            mark=None if mark is None else mark.message(),
        )
        for name in (*(warm or ()), *self.options.rows):
            if name not in models:
                raise BadInput(f"there is no model {name!r}{nearest(name, models)}")
        self.warm = list(models)[:1] if warm is None else list(warm)
        self.first = dict(first or {})
        self.queue, self.stall_s = queue, stall_s
        self.rejected = self.deaths = 0
        self._slots = [Slot() for _ in range(workers)]
        self._lines: dict[str, Line] = {}  # every request that was taken and has not ended
        self._waiting: deque[Line] = deque()
        self._keepers: list[asyncio.Task[None]] = []
        self._draining = False
        self._quiet = asyncio.Event()  # nothing waits, nothing runs
        self._quiet.set()
        self._ready = asyncio.Event()

    async def __aenter__(self) -> Pool:
        self._keepers = [asyncio.create_task(self._keep(slot)) for slot in self._slots]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._draining = True
        for line in list(self._lines.values()):
            self._end(line, Draining("the server has stopped."))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    @property
    def ready(self) -> bool:
        """Whether a worker has made a real sample, lives, and requests are taken."""
        return not self._draining and any(slot.warm for slot in self._slots)

    async def until_ready(self) -> None:
        """Wait until `ready` is true for the first time, or again after a death."""
        while not self.ready:
            self._ready.clear()
            await self._ready.wait()

    async def encode(self, model: str, items: Tensor) -> Tensor:
        """The codes of items, (n, *items.shape) -> float32 (n, D).

        Raises:
            GenloomError: As for `submit`, and `BadInput` where the model has no codes.
        """
        async with self.submit(Encode(model=model, items=items)) as answer:
            async for event in answer:
                if isinstance(event, Encoded):
                    return event.values
        raise Draining("the server has stopped.")

    def submit(self, request: Request | Encode) -> Answer:
        """Take a request; its answer comes as the workers get to it.

        Raises:
            Full: Too many requests wait already.
            Draining: The server is stopping.
            BadInput: There is no such model, or the id is that of a request under way.
        """
        if self._draining:
            raise Draining("the server is stopping and takes no more requests.")
        if request.model not in self.options.models:
            known = self.options.models
            raise BadInput(f"there is no model {request.model!r}{nearest(request.model, known)}")
        if request.id in self._lines:
            raise BadInput(f"a request with the id {request.id!r} is under way: ids are unique.")
        if len(self._lines) >= self.queue:
            self.rejected += 1
            raise Full(f"{len(self._lines)} requests wait or run already: come back later.")
        line = self._lines[request.id] = Line(request)
        self._quiet.clear()
        self._waiting.append(line)
        self._hand_out()
        return Answer(line, self._leave)

    async def drain(self, timeout_s: float) -> bool:
        """Take no more, let what was taken end; False if the time was too short for it.

        What has not ended by then fails with Draining.
        """
        self._draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._quiet.wait()
        left = list(self._lines.values())
        for line in left:
            line.put(Draining(f"the server stopped before the end of {timeout_s:g} s."))
            self._leave(line)
        return not left

    def stats(self) -> dict[str, Any]:
        """Figures for whoever operates the server; counts are of requests."""
        return {
            "ready": self.ready,
            "waiting": len(self._waiting),
            "running": sum(len(slot.held) for slot in self._slots),
            "queue": self.queue,
            "rejected": self.rejected,
            "deaths": self.deaths,
            "workers": [
                {"pid": slot.process.pid, "warm": slot.warm, **asdict(slot.stats)}
                for slot in self._slots
                if slot.process and slot.stats
            ],
        }

    def _hand_out(self) -> None:
        """Give what waits to the workers that hold least."""
        free = [slot for slot in self._slots if slot.process]
        while self._waiting and free:
            slot = min(free, key=lambda slot: len(slot.held))
            if len(slot.held) >= WINDOW:
                return
            self._give(slot, self._waiting.popleft())

    def _give(self, slot: Slot, line: Line) -> None:
        assert slot.process is not None
        try:
            slot.process.send(*write_request(line.request))
        except WireError as error:
            self._end(line, BadInput(str(error)))  # too large, or what JSON cannot say
        else:
            slot.held[line.request.id] = line

    def _leave(self, line: Line) -> None:
        """Nobody listens to this line any more; what holds it is told."""
        line.left = True
        for slot in self._slots:
            if line.request.id in slot.held and slot.process:
                slot.process.send({"kind": "cancel", "id": line.request.id})
                return  # its place is free when the worker says so
        with suppress(ValueError):
            self._waiting.remove(line)
        self._end(line, Cancelled(line.request.id))

    def _end(self, line: Line, news: Event | GenloomError) -> None:
        line.put(news)
        self._lines.pop(line.request.id, None)
        if not self._lines:
            self._quiet.set()

    async def _keep(self, slot: Slot) -> None:
        """Keep a worker running in this slot, whatever happens to it."""
        while True:
            process = None
            try:
                process = await Process.start(self.options)
                async for event in process.events(self.stall_s):
                    self._hear(slot, process, event)
            except OSError as error:
                log.error("no worker can be started: %s", error)
            finally:
                if process:
                    await process.end(at_once=not self._draining)
            self._lose(slot)
            pause = min(LONGEST_PAUSE_S, 0.1 * 2 ** min(slot.deaths, 10))
            log.error("a worker has died; another one is started in %g s", pause)
            await asyncio.sleep(pause)

    def _hear(self, slot: Slot, process: Process, event: Event | Stats) -> None:
        if isinstance(event, Stats):
            slot.stats = event
            if slot.process is None:  # the first report: it runs
                slot.process = process
                samples = [
                    Request(model=name, seeds=(0,), condition=self.first.get(name, {}))
                    for name in self.warm
                ]
                slot.cold = {request.id for request in samples}
                for request in samples:
                    self._give(slot, Line(request))
                self._hand_out()
                self._ready.set()
            return
        line = slot.held.get(event.id)
        if line is None:
            return
        if not isinstance(event, FINAL):
            line.put(event)
            return
        del slot.held[event.id]
        self._end(line, event)
        if isinstance(event, Done | Encoded):
            slot.deaths = 0
            slot.cold.discard(event.id)
            self._ready.set()
        elif event.id in slot.cold:
            log.error("no sample of %s can be made: %s", line.request.model, event)
        self._hand_out()

    def _lose(self, slot: Slot) -> None:
        """The worker of this slot is gone, and with it what it held."""
        held = list(slot.held.values())
        slot.held.clear()
        slot.process = slot.stats = None
        slot.deaths, self.deaths = slot.deaths + 1, self.deaths + 1
        for line in held:
            self._end(line, WorkerDied("the worker died during this request: send it again."))
        if all(slot.deaths >= HOPELESS for slot in self._slots):
            while self._waiting:
                self._end(self._waiting.popleft(), WorkerDied("no worker stays alive."))
