"""Requests share computations where they can, and all computations advance in turn.

Samples that a model makes as a whole are made in batches: requests for one model with equal options
share one, and each gets its own rows back. Models that draw token by token have one batch without
an end, see `rolling`. Every call of `step` advances one of them by one iteration, so that a short
request does not wait for the end of a long one. Synchronous, and without a thread, a process or a
file.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch

from genloom.artifact import Artifact
from genloom.errors import BadInput, GenloomError
from genloom.serve.engine.admission import Draws, admit
from genloom.serve.engine.crowd import Batch, Job
from genloom.serve.engine.marking import TextMark
from genloom.serve.engine.messages import Event, Failed
from genloom.serve.engine.request import Encode, Request
from genloom.serve.engine.rolling import Rolling

ROWS = 32
WAIT_S = 0.002
SHARE = 0.25  # of the time that the last batch took: worth waiting for its company to come again
AGAIN_S = 0.1  # the longest such wait
LATE_S = 10.0  # how long a request that came too late for a batch waits for that one's end
COMPANIES = 256  # that are remembered
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Met:
    """What is known of a company: how many jobs of it there were, and until when to wait for them.

    Args:
        jobs: Those of its last batch, and those that had come meanwhile.
        until: In seconds of the clock.
    """

    jobs: int
    until: float


@final
class Batcher:
    """Carries out requests, some at a time, in the thread of whoever calls `step`.

    Args:
        models: Name -> artifact; looked up once for each request.
        rows: The most that a batch holds, for models that are not named here: 32.
        wait_s: How long a batch waits, at most, for as many requests as its last one had, where a
            quarter of the time that one took is less. A request that nobody is known to join
            starts at once. One that came too late for a batch waits for its end, up to 10 s: two
            batches in turn take as long as one after the other, a step costs four rows where there
            is but one, and those that come meanwhile share the second.
        batches: How many run at once; more requests than fit wait, and share batches later.
        mark: Put on texts as they are drawn.
        clock: Seconds.
    """

    def __init__(
        self,
        models: Mapping[str, Artifact],
        *,
        rows: Mapping[str, int] | None = None,
        wait_s: float = WAIT_S,
        batches: int = 8,
        mark: TextMark | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.models, self.rows, self.mark = models, dict(rows or {}), mark
        self.wait_s, self.batches, self.clock = wait_s, batches, clock
        self._waiting: dict[tuple[Any, ...], deque[Job]] = {}
        self._running: deque[Batch | Rolling] = deque()
        self._met: dict[tuple[Any, ...], Met] = {}

    def add(self, request: Request | Encode) -> None:
        """Take a request.

        Raises:
            BadInput: The model cannot carry it out; nothing else is touched.
        """
        if any(job.request.id == request.id for job in self._jobs()):
            raise BadInput(f"a request with the id {request.id!r} is under way: ids are unique.")
        limit = self.rows.get(request.model, ROWS)
        job = admit(request, self.models[request.model], limit, self.clock())
        if isinstance(job.artifact.model, Draws):
            self._roll(job, limit)
        else:
            self._waiting.setdefault(job.company, deque()).append(job)

    def cancel(self, id: str) -> bool:
        """Forget a request; False if there is none of this id.

        A batch that nobody waits for any more ends here, and its memory is free. Elsewhere the
        rows go along unseen until the batch ends: they are part of a computation of the others.
        Where tokens are drawn, the rows are free with the next one.
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
        self._running = deque(one for one in self._running if one.live)
        return True

    def step(self) -> list[Event]:
        """Start the batches that are due, advance one of them, and give what is new."""
        self._start()
        if not self._running:
            return []
        one = self._running.popleft()
        try:
            with torch.inference_mode():
                events = one.step()
        # A model may fail in any way on what one request asks; the others must not notice.
        except Exception as error:
            return self._apart(one, error)
        if one.live and not one.over:
            self._running.append(one)
        elif isinstance(one, Batch):
            self._remember(one)
        return events

    def due_s(self) -> float | None:
        """Seconds until `step` has something to do; None while there is no request."""
        if self._running:
            return 0.0
        times = [self._until(company) for company in self._waiting]
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
        return waiting + [job for one in self._running for job in one.jobs if job.live]

    def _roll(self, job: Job, limit: int) -> None:
        """Let a job wait for its place among those that draw tokens of its model."""
        for one in self._running:
            if isinstance(one, Rolling) and one.open and one.artifact is job.artifact:
                one.waiting.append(job)
                return
        text = job.artifact.items.kind == "text"
        bias = self.mark if self.mark is not None and text else None
        self._running.append(Rolling([job], limit, bias=bias))

    def _start(self) -> None:
        now = self.clock()
        for company in sorted(self._waiting, key=lambda key: self._waiting[key][0].since):
            jobs = self._waiting[company]
            limit = self.rows.get(jobs[0].request.model, ROWS)
            while jobs and len(self._running) < self.batches:
                if sum(job.rows for job in jobs) < limit and now < self._until(company):
                    break
                taken, room = [], limit
                while jobs and jobs[0].rows <= room:
                    taken.append(jobs.popleft())
                    room -= taken[-1].rows
                self._running.append(Batch(taken, now))
            if not jobs:
                del self._waiting[company]

    def _until(self, company: tuple[Any, ...]) -> float:
        """When those of a company that wait begin, if nobody else comes."""
        jobs, met = self._waiting[company], self._met.get(company)
        if any(isinstance(one, Batch) and one.company == company for one in self._running):
            return jobs[0].since + LATE_S
        return jobs[0].since if met is None or len(jobs) >= met.jobs else met.until

    def _remember(self, batch: Batch) -> None:
        """Expect those that were together, and those that came meanwhile, to come again."""
        now, company = self.clock(), batch.company
        took = now - batch.since
        jobs = len(batch.jobs) + len(self._waiting.get(company, ()))
        self._met.pop(company, None)
        self._met[company] = Met(jobs, now + min(max(self.wait_s, SHARE * took), AGAIN_S))
        if len(self._met) > COMPANIES:
            del self._met[next(iter(self._met))]

    def _apart(self, one: Batch | Rolling, error: Exception) -> list[Event]:
        """Begin again with each request on its own; one that was alone has failed."""
        jobs = [job for job in one.begun if job.live]
        if len(jobs) == 1:
            self._running.extend(one.rest())
            return [failure(jobs[0].request.id, error)]
        self._running.extend(one.apart())
        return []


def failure(id: str, error: Exception) -> Failed:
    """The event of an error: genloom's own messages are for the caller, others for the log."""
    if isinstance(error, GenloomError):
        return Failed(id, type(error).__name__, str(error))
    log.error("request %s failed", id, exc_info=error)
    return Failed(id, type(error).__name__, "sampling failed; the server's log says why.")
