"""What a job of each kind does with the command line's verbs; samples are made in `runner`."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genloom.data.builtin import BUILTIN
from genloom.errors import BadInput
from genloom.health import RULES
from genloom.serve import trainings, verdicts
from genloom.serve.commands import verb
from genloom.serve.known import named
from genloom.serve.orders import setting_words
from genloom.serve.services import Services
from genloom.serve.store import Job

ENDED = (0, *sorted({rule.error.exit_code for rule in RULES.values()}))  # a model, and an alarm
UPLOADS = (".zip", ".npz", ".txt", ".csv", ".parquet", ".gz")
FINDINGS, SHAPES, CLASSES = 200, 50, 1000  # of a survey, that its owner is told
LETTERS = 300  # of a path in a finding
FREE_S = 60.0  # until a training that lost its server has saved and ended
LARGEST = 900_000  # characters of a report in a job's result; the page has all of it


@dataclass
class Work:
    """A job in hand.

    Args:
        parts: Of the server.
        job: As it was claimed.
        progress: In [0, 1]; the work raises it.
    """

    parts: Services
    job: Job
    progress: float = 0.0

    @property
    def folder(self) -> Path:
        """The server's."""
        return self.parts.settings.folder

    def source(self) -> tuple[str, dict[str, str]]:
        """Where the job's data are, by name or by path; and what an owner reads for that path.

        Raises:
            BadInput: A file with an ending that no data have.
            NotFound: There is no such file, or it is another's.
        """
        job, data = self.job, str(self.job.body["data"])
        if data in BUILTIN:
            return data, {}
        file = self.parts.files.get(job.owner, data)
        ending = Path(file.filename).suffix.lower()
        if ending not in UPLOADS:
            raise BadInput(f"data files end in {', '.join(UPLOADS)}, not {ending[:20]!r}.")
        path = self.folder / "uploads" / f"{file.id}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            aside = path.with_name(f".{path.name}.{job.id}")
            aside.write_bytes(self.parts.files.content(job.owner, data))
            aside.rename(path)
        return str(path), {str(path): file.filename, path.name: file.filename}


async def train(work: Work, adopt: Callable[[str, Path], Awaitable[None]]) -> dict[str, Any]:
    """Begin a run, or go on with it where it stopped, and serve its model."""
    body, name = work.job.body, str(work.job.body["name"])
    run = work.folder / "runs" / name
    own = await asyncio.to_thread(trainings.reserve, work.folder, name, work.job.owner)
    if not own and await asyncio.to_thread(trainings.owner_of, run) != work.job.owner:
        raise BadInput(f"the name {name!r} is taken.")
    source, hide = await asyncio.to_thread(work.source)
    if (run / trainings.STATE).exists():
        words = ["train", "--resume", str(run)]
        await asyncio.to_thread(_await_free, run)
    else:
        words = ["train", "--data", source, "--model", body["family"], "--out", str(run)]
        words += setting_words(body)

    def look() -> None:
        work.progress = trainings.share_done(run)

    report = await verb(
        [*words, "--quiet", "--json"], look=look, fine=ENDED, hide=hide | {str(run): name}
    )
    await adopt(name, run)
    return {"model": name, "steps": report["step"], "seconds": report["seconds"]}


def _await_free(run: Path) -> None:
    """Wait for a training that outlived its server: it ends as soon as it has saved."""
    until = time.monotonic() + FREE_S
    with (run / ".lock").open("w") as file:
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > until:
                    raise BadInput("the run is being trained by another process.") from None
                time.sleep(0.1)


async def judge(work: Work) -> dict[str, Any]:
    """Evaluate a model, or compare several; the page is kept as a file of the owner."""
    job, parts = work.job, work.parts
    known = [named(parts.models, name) for name in job.body["models"]]
    out = verdicts.folder_of(work.folder, job.id)
    words = [job.kind, *(str(one.folder) for one in known), "--out", str(out), "--json"]
    if job.body.get("n"):
        words += ["-n", str(int(job.body["n"]))]
    report = await verb(words, fine=(0, 20))
    return await asyncio.to_thread(_told, work, out, known, report)


def _told(work: Work, out: Path, known: list[Any], report: dict[str, Any]) -> dict[str, Any]:
    verdicts.keep_pairs(out, known, report)
    told = verdicts.plain(report)
    page = (out / "report.html").read_bytes()
    file = work.parts.files.add(work.job.owner, "report.html", "evals", page)
    if len(json.dumps(told)) > LARGEST:
        told.pop("pictures", None)
    return told | {"report_file": file.id}


async def survey(work: Work) -> dict[str, Any]:
    """What data hold, and what is wrong with them."""
    source, hide = await asyncio.to_thread(work.source)
    words = ["data", "check", source, "--json"]
    for name in ("size", "channels", "length"):
        if work.job.body.get(name) is not None:
            words += [f"--{name}", str(work.job.body[name])]
    return surveyed(await verb(words, fine=(0, 2), hide=hide))


def surveyed(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report of `genloom data check` as its owner reads it: what could be long is cut."""
    shapes = dict(list(report["shapes"].items())[:SHAPES])
    first = next(iter(shapes), "")
    kept = {key: value for key, value in report.items() if key not in ("source", "quarantine")}
    return kept | {
        "read": report["n"],
        "quarantined": len(report["quarantine"]),
        "findings": [
            {**found, "file": found["path"][:LETTERS], "path": found["path"][:LETTERS]}
            for found in sorted(report["findings"], key=lambda found: found["kept"])[:FINDINGS]
        ],
        "shape": [int(size) for size in first.split("x")] if first else [],
        "shapes": shapes,
        "classes": [
            {"name": name[:LETTERS], "count": count}
            for name, count in list(report["classes"].items())[:CLASSES]
        ],
        "splits": report["parts"],
    }


async def forecast(work: Work) -> dict[str, Any]:
    """The rehearsal of a training alone: how long, and how large."""
    source, hide = await asyncio.to_thread(work.source)
    room = work.folder / "rehearsals" / work.job.id
    room.mkdir(parents=True, exist_ok=True)
    words = ["train", "--forecast", "--data", source, "--model", work.job.body["family"]]
    words += [*setting_words(work.job.body), "--out", str(room / "run"), "--quiet", "--json"]
    try:
        return await verb(words, hide=hide)
    finally:
        shutil.rmtree(room, ignore_errors=True)
