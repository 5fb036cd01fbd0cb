"""Batches over requests: those that can sample together do, and all batches advance in turn.

Requests for one model with equal options and prompts of one length share a batch, and each gets
its own rows back. Every call of `step` advances one batch by one iteration of the model's
`sample_steps`, so that a short request does not wait for the end of a long one. Synchronous, and
without a thread, a process or a file.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor

from genloom.artifact import Artifact
from genloom.errors import BadInput, GenloomError
from genloom.serve.engine.crowd import Batch, Job, admit
from genloom.serve.engine.messages import Event, Failed, NewTokens, Preview, Request

ROWS = 32
WAIT_S = 0.002
BUSY_S = 0.1  # how long a request that came too late for a batch waits for that one's end
log = logging.getLogger(__name__)


@final
class Batcher:
    """Carries out requests, some at a time, in the thread of whoever calls `step`.

    Args:
        models: Name -> artifact; looked up once for each request.
        rows: The most that a batch holds, for models that are not named here: 32.
        wait_s: How long a request waits for company, at most; where a batch that it came too late
            for runs, up to 0.1 s more. Two batches of one row in turn take as long as one after
            the other, and those that come meanwhile share the second.
        batches: How many run at once; more requests than fit wait, and share batches later.
        clock: Seconds.
    """

    def __init__(
        self,
        models: Mapping[str, Artifact],
        *,
        rows: Mapping[str, int] | None = None,
        wait_s: float = WAIT_S,
        batches: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.models, self.rows = models, dict(rows or {})
        self.wait_s, self.batches, self.clock = wait_s, batches, clock
        self._waiting: dict[tuple[Any, ...], deque[Job]] = {}
        self._running: deque[Batch] = deque()

    def add(self, request: Request) -> None:
        """Take a request.

        Raises:
            BadInput: The model cannot carry it out; nothing else is touched.
        """
        if any(job.request.id == request.id for job in self._jobs()):
            raise BadInput(f"a request with the id {request.id!r} is under way: ids are unique.")
        limit = self.rows.get(request.model, ROWS)
        job = admit(request, self.models[request.model], limit, self.clock())
        self._waiting.setdefault(job.company, deque()).append(job)

    def cancel(self, id: str) -> bool:
        """Forget a request; False if there is none of this id.

        A batch that nobody waits for any more ends here, and its memory is free. Elsewhere the
        rows go along unseen until the batch ends: they are part of a computation of the others.
        """
        found = next((job for job in self._jobs() if job.request.id == id), None)
        if found is None:
            return False
        found.live = False
        self._waiting = {
            company: left
            for company, jobs in self._waiting.items()
            if (left := deque(job for job in jobs if job.live))
        }
        self._running = deque(batch for batch in self._running if batch.live)
        return True

    def step(self) -> list[Event]:
        """Start the batches that are due, advance one of them, and give what is new."""
        self._start()
        if not self._running:
            return []
        batch = self._running.popleft()
        try:
            with torch.inference_mode():
                x = next(batch.steps, None)
                events = self._end(batch) if x is None else self._news(batch, x)
        # A model may fail in any way on what one request asks; the others must not notice.
        except Exception as error:
            return self._apart(batch, error)
        if x is not None and batch.live:
            self._running.append(batch)
        return events

    def due_s(self) -> float | None:
        """Seconds until `step` has something to do; None while there is no request."""
        if self._running:
            return 0.0
        times = [jobs[0].since + self.wait_s for jobs in self._waiting.values()]
        return max(0.0, min(times) - self.clock()) if times else None

    @property
    def requests(self) -> int:
        """How many wait or run."""
        return len(self._jobs())

    @property
    def in_use(self) -> set[str]:
        """Names of the models that requests need."""
        return {job.request.model for job in self._jobs()}

    def _jobs(self) -> list[Job]:
        waiting = [job for jobs in self._waiting.values() for job in jobs]
        return waiting + [job for batch in self._running for job in batch.jobs if job.live]

    def _start(self) -> None:
        now = self.clock()
        for company in sorted(self._waiting, key=lambda key: self._waiting[key][0].since):
            jobs = self._waiting[company]
            limit = self.rows.get(jobs[0].request.model, ROWS)
            while jobs and len(self._running) < self.batches:
                wait_s = self.wait_s + BUSY_S * self._busy(company)
                if sum(job.rows for job in jobs) < limit and now - jobs[0].since < wait_s:
                    break
                taken, room = [], limit
                while jobs and jobs[0].rows <= room:
                    taken.append(jobs.popleft())
                    room -= taken[-1].rows
                self._running.append(Batch(taken))
            if not jobs:
                del self._waiting[company]

    def _busy(self, company: tuple[Any, ...]) -> bool:
        return any(batch.jobs[0].company == company for batch in self._running)

    def _news(self, batch: Batch, x: Tensor) -> list[Event]:
        batch.index, batch.x = batch.index + 1, x
        events: list[Event] = []
        for job, part in batch.parts():
            if batch.index <= job.told:
                continue  # told before its batch was begun again
            id, position = job.request.id, batch.known + batch.index - 1
            if job.request.tokens:
                drawn = x[part].flatten(1)[:, position : position + 1]
                events.append(NewTokens(id, position, drawn))
            if shown(batch.index, batch.total, job.request.previews):
                items = job.artifact.codec.decode(x[part].cpu())
                events.append(Preview(id, batch.index, items))
        for job, _ in batch.parts():  # only now: an error above brings all of them here again
            job.told = max(job.told, batch.index)
        return events

    def _end(self, batch: Batch) -> list[Event]:
        assert batch.x is not None, "sample_steps yields at least once"
        return [job.done(batch.x[part]) for job, part in batch.parts()]

    def _apart(self, batch: Batch, error: Exception) -> list[Event]:
        """Begin again with each request on its own; one that was alone has failed."""
        jobs = [job for job, _ in batch.parts()]
        if len(jobs) == 1:
            return [failure(jobs[0].request.id, error)]
        self._running.extend(Batch([job]) for job in jobs)
        return []


def shown(step: int, total: int, previews: int) -> bool:
    """Whether a preview is due after a step, for previews at even distances; never of the last."""
    parts = previews + 1
    return step < total and step * parts // total > (step - 1) * parts // total


def failure(id: str, error: Exception) -> Failed:
    """The event of an error: genloom's own messages are for the caller, others for the log."""
    if isinstance(error, GenloomError):
        return Failed(id, type(error).__name__, str(error))
    log.error("request %s failed", id, exc_info=error)
    return Failed(id, type(error).__name__, "sampling failed; the server's log says why.")
