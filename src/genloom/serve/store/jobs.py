"""A durable queue of jobs: oldest first, each with one worker, which must give signs of life.

A worker that claims a job gets a lease, a random word that only this claim has. Whatever it says
later is accepted while the job still has that lease, so that a worker thought dead cannot finish
a job that another has begun again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, final

from sqlalchemy import ColumnElement, RowMapping, case, delete, false, func, insert, select, update

from genloom.errors import BadInput
from genloom.serve.store.database import Store
from genloom.serve.store.errors import LeaseLost, QueueFull
from genloom.serve.store.ids import fresh, shown
from genloom.serve.store.rows import Page, made, owned, page, plain
from genloom.serve.store.tables import jobs

STATES = ("queued", "running", "succeeded", "failed", "cancelled")
FINAL = STATES[2:]
LARGEST = 2**20  # bytes of a body or a result; files are blobs
RETRY_S = 5.0  # when a full queue is asked again


@dataclass(frozen=True)
class Job:
    """A job as it was when it was read.

    Args:
        id: Of the job.
        owner: Who may see it.
        kind: What a worker must know to do it, such as "generate".
        body: What to do.
        state: "queued", "running", "succeeded", "failed" or "cancelled".
        progress: In [0, 1].
        attempts: How often a worker has begun it.
        cancelling: The owner wants it to stop; the worker has not yet said that it did.
        worker: Who has it, or had it last.
        lease: Of the claim that runs; None unless it is running.
        created: Seconds since 1970, like the times below.
        started: When it was last begun, or None.
        finished: When it ended, or None.
        result: What a worker gave, or None.
        error: Why it failed, or None.
    """

    id: str
    owner: str
    kind: str
    body: Mapping[str, Any]
    state: str
    progress: float
    attempts: int
    cancelling: bool
    worker: str | None
    lease: str | None
    created: float
    started: float | None
    finished: float | None
    result: Mapping[str, Any] | None
    error: str | None


@final
class Jobs:
    """The queue of a store.

    Args:
        store: Where it is kept.
        most: Jobs that may wait.
        attempts: Times that a job is begun before it counts as the cause of its workers' deaths.
    """

    def __init__(self, store: Store, *, most: int = 1000, attempts: int = 3):
        self.store, self.most, self.attempts = store, most, attempts

    def add(self, owner: str, kind: str, body: Mapping[str, Any]) -> Job:
        """Put a job at the end of the queue.

        Raises:
            QueueFull: As many wait as may wait.
            BadInput: The body is not JSON, or longer than a mebibyte.
        """
        values = {
            "id": fresh(),
            "owner": owner,
            "kind": kind,
            "body": plain(dict(body), "the body of a job", LARGEST),
            "state": "queued",
            "progress": 0.0,
            "attempts": 0,
            "cancelling": False,
            "created": self.store.clock(),
        }
        with self.store.writing(lock="jobs") as connection:
            waiting = connection.scalar(select(func.count()).where(jobs.c.state == "queued"))
            if (waiting or 0) >= self.most:
                raise QueueFull(f"{waiting} jobs wait, as many as may.", RETRY_S)
            row = connection.execute(insert(jobs).values(values).returning(jobs)).mappings().one()
        return _job(row)

    def claim(self, worker: str, lease_s: float, kinds: Collection[str] = ()) -> Job | None:
        """Take the oldest job that waits, or None where none does.

        Args:
            worker: A name for people.
            lease_s: Seconds within which `beat` must follow, and again after each beat.
            kinds: Those that this worker does; empty for all.
        """
        if not lease_s > 0:
            raise BadInput(f"lease_s = {lease_s}: it must be above 0.")
        now = self.store.clock()
        waits = [jobs.c.state == "queued", *([jobs.c.kind.in_(kinds)] if kinds else [])]
        oldest = select(jobs.c.place).where(*waits).order_by(jobs.c.place).limit(1)
        taken = {
            "state": "running",
            "attempts": jobs.c.attempts + 1,
            "worker": worker,
            "lease": fresh(),
            "lease_s": lease_s,
            "lease_until": now + lease_s,
            "started": now,
        }
        with self.store.writing() as connection:
            # What another worker is claiming at this moment is passed over, not waited for.
            place = connection.scalar(oldest.with_for_update(skip_locked=True))
            if place is None:
                return None
            claimed = update(jobs).where(jobs.c.place == place).values(taken).returning(jobs)
            return _job(connection.execute(claimed).mappings().one())

    def beat(self, job: Job, progress: float) -> bool:
        """Say that a claimed job goes on; True where its owner wants it to stop.

        It is written to the disk, which takes milliseconds: once a second is often enough.

        Raises:
            LeaseLost: The job is no longer this claim's; stop.
        """
        until = self.store.clock() + jobs.c.lease_s
        return self._report(job, progress=min(max(progress, 0), 1), lease_until=until).cancelling

    def finish(
        self,
        job: Job,
        state: str = "succeeded",
        *,
        result: Mapping[str, Any] | None = None,
        error: str | None = None,
    ) -> Job:
        """End a claimed job, once.

        Args:
            job: As it was claimed.
            state: "succeeded", "failed" or "cancelled".
            result: JSON for the owner.
            error: One line for the owner.

        Raises:
            LeaseLost: The job is no longer this claim's; nothing has changed.
            BadInput: The state is not a final one, or the result is not JSON of a mebibyte.
        """
        if state not in FINAL:
            raise BadInput(f"a job does not end as {state!r} but as {', '.join(FINAL)}.")
        given = {
            "state": state,
            "result": None if result is None else plain(dict(result), "a result", LARGEST),
            "error": None if error is None else shown(error, 1000),
            "finished": self.store.clock(),
            "progress": 1.0 if state == "succeeded" else jobs.c.progress,
        }
        return self._report(job, **given, **_FREE)

    def release(self, job: Job) -> Job:
        """Put a claimed job back at its place, as if it had not been begun; for an orderly stop.

        Where its owner is cancelling it, it ends as cancelled.

        Raises:
            LeaseLost: The job is no longer this claim's.
        """
        return self._report(job, attempts=jobs.c.attempts - 1, **self._back(false()))

    def _report(self, job: Job, **values: Any) -> Job:
        if job.lease is None:  # in SQL it would be equal to that of every job that waits
            raise LeaseLost(f"the job {job.id} was {job.state}, not running.")
        mine = (jobs.c.id == job.id) & (jobs.c.lease == job.lease)
        with self.store.writing() as connection:
            told = update(jobs).where(mine).values(values).returning(jobs)
            row = connection.execute(told).mappings().one_or_none()
        if row is None:
            raise LeaseLost(f"the job {job.id} is no longer {job.worker}'s.")
        return _job(row)

    def expired(self, gone: Callable[[str], bool] | None = None) -> list[Job]:
        """Take the jobs of silent or dead workers from them; call it every few seconds.

        They go back to their place in the queue, unless their owner was cancelling them or they
        have been begun too often.

        Args:
            gone: Whether the worker of a name is known to be dead, so that its lease need not run
                out. No worker of that name may ever claim a job again.
        """
        dead = [name for name in self._workers() if gone(name)] if gone else []
        late = (jobs.c.lease_until < self.store.clock()) | jobs.c.worker.in_(dead)
        silent = (jobs.c.state == "running") & late
        back = self._back(jobs.c.attempts >= self.attempts)
        with self.store.writing() as connection:
            taken = update(jobs).where(silent).values(back).returning(jobs)
            return [_job(row) for row in connection.execute(taken).mappings()]

    def _workers(self) -> list[str]:
        """Names of those that have jobs."""
        running = select(jobs.c.worker).where(jobs.c.state == "running").distinct()
        with self.store.reading() as connection:
            return [name for name in connection.scalars(running) if name is not None]

    def _back(self, deadly: ColumnElement[bool]) -> dict[str, Any]:
        """What puts a running job back at its place, or ends it where its owner is cancelling it.

        All in one statement, so that no cancelling gets lost between two.
        """
        ends = jobs.c.cancelling | deadly
        died = f"its worker died {self.attempts} times while doing it."
        return _FREE | {
            "state": case((jobs.c.cancelling, "cancelled"), (deadly, "failed"), else_="queued"),
            "error": case((jobs.c.cancelling, None), (deadly, died), else_=None),
            "finished": case((ends, self.store.clock()), else_=None),
            "progress": case((ends, jobs.c.progress), else_=0.0),
        }

    def get(self, owner: str, job_id: str) -> Job:
        """An owner's job.

        Raises:
            NotFound: There is none, or it is another's; so below.
        """
        with self.store.reading() as connection:
            return _job(owned(connection, jobs, owner, job_id))

    def page(self, owner: str, *, after: str | None = None, limit: int = 20) -> Page[Job]:
        """An owner's jobs, newest first; `after` is the id of the last one seen."""
        mine = jobs.c.owner == owner
        with self.store.reading() as connection:
            return page(connection, jobs, _job, mine, after=after, limit=limit)

    def ahead(self, owner: str, job_id: str, kinds: Collection[str] = ()) -> int:
        """How many jobs (of these kinds) wait before an owner's job; 0 where it waits no more."""
        with self.store.reading() as connection:
            row = owned(connection, jobs, owner, job_id)
            waits = [jobs.c.state == "queued", jobs.c.place < row["place"]]
            waits += [jobs.c.kind.in_(kinds)] if kinds else []
            count = connection.scalar(select(func.count()).where(*waits))
        return count or 0 if row["state"] == "queued" else 0

    def counts(self) -> dict[str, int]:
        """State -> number of jobs, of all owners; for whoever operates the server."""
        query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        with self.store.reading() as connection:
            found = {state: count for state, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in STATES}

    def cancel(self, owner: str, job_id: str) -> Job:
        """Cancel an owner's job: at once if it waits; at its worker's next beat if it runs."""
        with self.store.writing() as connection:
            row = owned(connection, jobs, owner, job_id, lock=True)
            changes: dict[str, Any] = {}
            if row["state"] == "queued":
                changes = {"state": "cancelled", "finished": self.store.clock()}
            elif row["state"] == "running":
                changes = {"cancelling": True}
            if not changes:
                return _job(row)
            changed = update(jobs).where(jobs.c.place == row["place"]).values(changes)
            return _job(connection.execute(changed.returning(jobs)).mappings().one())

    def delete(self, owner: str, job_id: str) -> None:
        """Forget an owner's job that does not run.

        Raises:
            BadInput: It runs.
        """
        with self.store.writing() as connection:
            row = owned(connection, jobs, owner, job_id, lock=True)
            if row["state"] == "running":
                raise BadInput(f"the job {job_id} is running. Cancel it first.")
            connection.execute(delete(jobs).where(jobs.c.place == row["place"]))


def _job(row: RowMapping) -> Job:
    return made(Job, row)


_FREE = {"lease": None, "lease_until": None, "cancelling": False}
