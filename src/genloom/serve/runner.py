"""Long work: takes jobs from the queue one after the other and does them.

Samples are made by the pool, in pieces. Training and judging are the command line's own verbs, in
a process of their own, whose run folder tells the progress; a killed training goes on where it was.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, final

from genloom.errors import BadInput, GenloomError
from genloom.serve import media
from genloom.serve.engine.faults import Full, WorkerDied
from genloom.serve.guard import LOCAL
from genloom.serve.known import named
from genloom.serve.making import Asked, Finished, Output, label_of, prompt_of
from genloom.serve.problems import as_problem
from genloom.serve.services import Services
from genloom.serve.store import Job, Key, LeaseLost, TooFast

LEASE_S, BEAT_S, PIECE = 30.0, 1.0, 32
DEATHS = 3  # of workers at one piece, after which the piece counts as their cause
SCOPES = {"sample": "generate", "train": "train", "evaluate": "train", "compare": "train"}
UPLOADS = (".zip", ".npz", ".txt", ".csv", ".parquet", ".gz")
log = logging.getLogger(__name__)


@final
class Runner:
    """Does jobs until it is cancelled.

    Args:
        parts: Of the server.
        adopt: Called with (name, folder) of a model that was trained, to serve it.
        name: Of this worker, for people.
    """

    def __init__(self, parts: Services, adopt: Callable[[str, Path], Any], name: str):
        self.parts, self.adopt, self.name = parts, adopt, name
        self.progress = 0.0

    async def run(self) -> None:
        """Claim and do; look for the jobs of dead workers now and then."""
        jobs, turn = self.parts.jobs, 0
        while True:
            if turn % 20 == 0:
                await asyncio.to_thread(jobs.expired)
            turn += 1
            job = await asyncio.to_thread(jobs.claim, self.name, LEASE_S, list(SCOPES))
            if job is None:
                await asyncio.sleep(0.25)
                continue
            try:
                await self._do(job)
            except LeaseLost as error:  # this process slept, and another has the job by now
                log.warning("%s", error)

    async def _do(self, job: Job) -> None:
        work = asyncio.create_task(self._work(job))
        jobs = self.parts.jobs
        self.progress = 0.0
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=BEAT_S)
                if not work.done() and await asyncio.to_thread(jobs.beat, job, self.progress):
                    work.cancel()
            result = await work
            await asyncio.to_thread(jobs.finish, job, "succeeded", result=result)
        except LeaseLost:
            await self._stop(work)
            raise
        except asyncio.CancelledError:
            await self._stop(work)
            this = asyncio.current_task()
            if this is not None and this.cancelling():  # the server stops, not the owner
                await asyncio.to_thread(jobs.release, job)
                raise
            await asyncio.to_thread(jobs.finish, job, "cancelled")
        except Exception as error:  # one job's failure must not end the next one's
            if not isinstance(error, GenloomError):
                log.exception("job %s failed", job.id)
            told = str(as_problem(error))
            await asyncio.to_thread(jobs.finish, job, "failed", error=told)

    async def _stop(self, work: asyncio.Task[Any]) -> None:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    async def _work(self, job: Job) -> dict[str, Any]:
        if job.kind == "sample":
            return await self._sample(job)
        if job.kind == "train":
            return await self._train(job)
        return await self._judge(job)

    async def _sample(self, job: Job) -> dict[str, Any]:
        body, parts = job.body, self.parts
        known, total = named(parts.models, body.get("model")), int(body["n"])
        first, caller = int(body["seed"]), self._owner(job)
        made: list[str] = []
        for start in range(0, total, PIECE):
            seeds = range(first + start, first + min(start + PIECE, total))
            asked = Asked(
                known=known,
                seeds=tuple(seeds),
                label=label_of(known, body.get("label")),
                options=known.chosen(
                    body.get("options") or {}, most_steps=parts.settings.limits.steps
                ),
                prompt=prompt_of(known, body.get("prompt") or "", parts.settings.limits),
                told=body.get("prompt") or "",
                form=media.media_type(known.items.kind, body.get("format"))[0],
            )
            made += [out.record.id for out in await self._piece(caller, asked) if out.record]
            self.progress = min(start + PIECE, total) / total
        return {"model": known.name, "outputs": made[:10_000], "n": total, "seed": first}

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

    async def _train(self, job: Job) -> dict[str, Any]:
        body, name = job.body, f"{job.body['name']}"
        folder = self.parts.settings.folder / "runs" / name
        source = await asyncio.to_thread(self._source, job)
        words = ["train", "--data", source, "--model", body["family"], "--out", str(folder)]
        words += ["--minutes", str(body["minutes"]), "--quiet", "--json"]
        report = await self._verb(words, folder / "run.json")
        await self.adopt(name, folder)
        return {"model": name, "steps": report["step"], "seconds": report["seconds"]}

    def _source(self, job: Job) -> str:
        """A built-in name, or where an uploaded file was put for reading."""
        data = str(job.body["data"])
        from genloom.data.builtin import BUILTIN

        if data in BUILTIN:
            return data
        file = self.parts.files.get(job.owner, data)
        ending = Path(file.filename).suffix.lower()
        if ending not in UPLOADS:
            raise BadInput(f"data files end in {', '.join(UPLOADS)}, not {ending[:20]!r}.")
        path = self.parts.settings.folder / "uploads" / f"{file.id}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(self.parts.files.content(job.owner, data))
        return str(path)

    async def _judge(self, job: Job) -> dict[str, Any]:
        known = [named(self.parts.models, name) for name in job.body["models"]]
        out = self.parts.settings.folder / "verdicts" / job.id
        words = [job.kind, *(str(one.folder) for one in known), "--out", str(out), "--json"]
        if job.kind == "evaluate" and job.body.get("n"):
            words += ["-n", str(int(job.body["n"]))]
        report = await self._verb(words, None, fine=(0, 20))
        page = out / "report.html"
        if page.is_file():
            content = await asyncio.to_thread(page.read_bytes)
            file = await asyncio.to_thread(
                self.parts.files.add, job.owner, "report.html", "evals", content
            )
            report["report_file"] = file.id
        return report

    async def _verb(
        self, words: list[str], state: Path | None, fine: tuple[int, ...] = (0,)
    ) -> dict[str, Any]:
        """Run `genloom WORDS` and read the JSON that it prints; killed where this is cancelled."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "genloom.serve.attached", *words),
            stdin=asyncio.subprocess.PIPE,  # never written to; it ends with this process
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"NO_COLOR": "1"},
        )
        talk = asyncio.create_task(_said(process))
        try:
            while not talk.done():
                await asyncio.wait({talk}, timeout=0.5)
                if state is not None:
                    self.progress = _share_done(state)
        finally:
            if not talk.done():
                process.send_signal(signal.SIGTERM)
                await asyncio.wait({talk}, timeout=20)
                if not talk.done():
                    process.kill()
                await asyncio.gather(talk, return_exceptions=True)
        out, err = talk.result()
        if process.returncode not in fine:
            lines = err.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
            raise BadInput(lines[-1].removeprefix("genloom: "))
        return json.loads(out)


async def _said(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """What it prints, and what it complains of, until its end; its input stays open."""
    assert process.stdout is not None and process.stderr is not None
    out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
    await process.wait()
    return out, err


def _share_done(path: Path) -> float:
    try:
        state: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return float(state["step"]) / max(1, int(state["total"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
