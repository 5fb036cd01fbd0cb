"""Long work: takes jobs from the queue and does them, in three lanes.

What the workers do, and what only looks at data, does not stand behind the trainings of others. In
each lane one job is done after the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, final

from starlette.types import ASGIApp

from genloom.errors import GenloomError
from genloom.serve import working
from genloom.serve.asked import Asked
from genloom.serve.asking import asked_for
from genloom.serve.batches import BatchWork
from genloom.serve.engine.faults import Full, WorkerDied
from genloom.serve.guard import LOCAL
from genloom.serve.known import named
from genloom.serve.making import Finished, Output
from genloom.serve.orders import WORDS, sent_files
from genloom.serve.problems import as_problem
from genloom.serve.services import Services
from genloom.serve.store import Job, Key, LeaseLost, TooFast
from genloom.serve.store.holders import gone, holder
from genloom.serve.working import Work, kept

LEASE_S, BEAT_S, PIECE = 30.0, 1.0, 32
IDLE_S, CHECK = 0.25, 20  # between questions for a job; every so many, for jobs of the dead
LISTED = 10_000  # outputs that a result names
DEATHS = 3  # of workers at one piece, after which the piece counts as their cause
LANES = (("train", "evaluate", "compare"), ("sample", "batch"), ("survey", "forecast"))
log = logging.getLogger(__name__)


@final
class Runner:
    """Does jobs until it is cancelled.

    Args:
        parts: Of the server.
        adopt: Called with the name of a model that was trained, to serve it.
        app: The server, which answers the requests of batches.
        host: This machine's name, for people.
    """

    def __init__(
        self,
        parts: Services,
        adopt: Callable[[str], Awaitable[None]],
        app: ASGIApp,
        host: str,
    ):
        self.parts, self.adopt, self.app, self.name = parts, adopt, app, holder(host)

    async def run(self) -> None:
        """Claim and do, in every lane."""
        async with asyncio.TaskGroup() as lanes:
            for kinds in LANES:
                lanes.create_task(self._lane(kinds))

    async def _lane(self, kinds: tuple[str, ...]) -> None:
        """Claim and do; look for the jobs of dead workers now and then."""
        jobs, turn = self.parts.jobs, 0
        while True:
            if turn % CHECK == 0:
                await asyncio.to_thread(jobs.expired, gone)
            turn += 1
            job = await asyncio.to_thread(jobs.claim, self.name, LEASE_S, kinds)
            if job is None:
                await asyncio.sleep(IDLE_S)
                continue
            try:
                await self._do(Work(self.parts, job))
            except LeaseLost as error:  # this process slept, and another has the job by now
                log.warning("%s", error)

    async def _do(self, work: Work) -> None:
        doing = asyncio.create_task(self._work(work))
        jobs, job = self.parts.jobs, work.job
        try:
            while not doing.done():
                await asyncio.wait({doing}, timeout=BEAT_S)
                if not doing.done() and await asyncio.to_thread(jobs.beat, job, work.progress):
                    _cancel(doing)
            result = await doing
            await asyncio.to_thread(jobs.finish, job, "succeeded", result=result)
        except LeaseLost:
            await _stop(doing)
            raise
        except asyncio.CancelledError:
            await _stop(doing)
            this = asyncio.current_task()
            if this is not None and this.cancelling():  # the server stops, not the owner
                await asyncio.to_thread(jobs.release, job)
                raise
            await asyncio.to_thread(jobs.finish, job, "cancelled", result=work.result)
        except Exception as error:  # one job's failure must not end the next one's
            if not isinstance(error, GenloomError):
                log.exception("job %s failed", job.id)
            told = str(as_problem(error))
            await asyncio.to_thread(jobs.finish, job, "failed", result=work.result, error=told)

    async def _work(self, work: Work) -> dict[str, Any]:
        match work.job.kind:
            case "sample":
                return await self._sample(work)
            case "batch":
                return await self._batch(work)
            case "train":
                return await working.train(work, self.adopt)
            case "survey":
                return await working.survey(work)
            case "forecast":
                return await working.forecast(work)
            case _:
                return await working.judge(work)

    async def _sample(self, work: Work) -> dict[str, Any]:
        body, parts = work.job.body, self.parts
        known, total = named(parts.models, body.get("model")), int(body["n"])
        first, caller = int(body["seed"]), self._owner(work.job)
        words = {name: body[name] for name in WORDS if name in body}
        sent = await asyncio.to_thread(sent_files, parts, work.job.owner, body)
        made: list[str] = []
        result = {"model": known.name, "outputs": made, "n": total, "seed": first}
        for start in range(0, total, PIECE):
            seeds = range(first + start, first + min(start + PIECE, total))
            ask = partial(asked_for, known, parts.settings.limits, seeds, **words, sent=sent)
            piece = await asyncio.to_thread(ask)
            found = [out.record.id for out in await self._piece(caller, piece) if out.record]
            made += found[: LISTED - len(made)]
            work.progress, work.result = min(start + PIECE, total) / total, result
        return result

    async def _batch(self, work: Work) -> dict[str, Any]:
        parts, batch = self.parts, work.job.body["batch"]
        async with kept(parts.folders, f"batches/{batch}", work.job.owner) as folder:

            async def told(share: float) -> None:
                work.progress = share
                await folder.soon()

            carrying = BatchWork(self.app, parts.batches, parts.files, folder.path, told)
            result = await carrying.run(self._owner(work.job), batch)
        await asyncio.to_thread(parts.folders.drop, folder.name)
        return result

    async def _piece(self, caller: Key, asked: Asked) -> list[Output]:
        """The outputs of one piece; what only hinders it for now is waited for.

        Raises:
            WorkerDied: Again and again.
            Problem: See `Maker.make`.
        """
        deaths = 0
        while True:
            try:
                async with aclosing(self.parts.maker.make(caller, asked)) as events:
                    async for event in events:
                        if isinstance(event, Finished):
                            return event.outputs
            except (Full, TooFast) as error:
                await asyncio.sleep(error.retry_after_s)
            except WorkerDied:
                deaths += 1
                if deaths == DEATHS:
                    raise
                await asyncio.sleep(1)

    def _owner(self, job: Job) -> Key:
        if job.owner == LOCAL.id:
            return LOCAL
        return next(key for key in self.parts.keys.all() if key.id == job.owner)


def _cancel(doing: asyncio.Task[Any]) -> None:
    """Cancel it once: a second time would break off what it does to end well."""
    if not doing.cancelling():
        doing.cancel()


async def _stop(doing: asyncio.Task[Any]) -> None:
    _cancel(doing)
    await asyncio.gather(doing, return_exceptions=True)
