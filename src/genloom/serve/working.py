"""What a job of each kind does with the command line's verbs; samples are made in `runner`."""

from __future__ import annotations

import asyncio
import fcntl
import json
import re
import shutil
import time
import tomllib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from genloom import runs
from genloom.artifact import RECIPE
from genloom.data.builtin import BUILTIN
from genloom.data.documents import ROWS
from genloom.errors import BadInput
from genloom.health import RULES
from genloom.serve import trainings, verdicts
from genloom.serve.commands import verb
from genloom.serve.known import Known, named
from genloom.serve.orders import setting_words
from genloom.serve.services import Services
from genloom.serve.store import Folders, Job

ENDED = (0, *sorted({rule.error.exit_code for rule in RULES.values()}))  # a model, and an alarm
UPLOADS = (".zip", ".npz", ".txt", ".parquet", ".gz", ".mid", ".midi", *ROWS, ".smi")
ENDINGS = (*UPLOADS, *(f"{end}.gz" for end in (*ROWS, ".smi")))  # what a file's reader goes by
UPLOADED = "uploads"  # within the server's folder
UPLOAD = rf"{UPLOADED}/[a-z2-7]{{26}}(\.[a-z]+){{1,2}}"  # as a recipe names it
KEEP_S = 5.0  # between copies of what is in work
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
        result: Of what is done so far; the owner is told it where the work ends early.
    """

    parts: Services
    job: Job
    progress: float = 0.0
    result: Mapping[str, Any] | None = None

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
        ending = ending_of(file.filename)
        path = self.fetched(f"{UPLOADED}/{file.id}{ending}")
        names = str(self.folder / path), path, Path(path).name
        return path, dict.fromkeys(names, file.filename)

    def fetched(self, path: str) -> str:
        """An upload's path within the server's folder, with the file there, on any machine."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not target.exists():
            aside = target.with_name(f".{target.name}.{self.job.id}")
            aside.write_bytes(self.parts.blobs.get(target.name.partition(".")[0]))
            aside.rename(target)
        return path


def ending_of(filename: str) -> str:
    """How a data file's name ends, by which it is read.

    Raises:
        BadInput: As no data file does.
    """
    name = Path(filename.lower())
    found = [end for end in ENDINGS if name.name.endswith(end)]
    if not found:
        raise BadInput(f"data files end in {', '.join(UPLOADS)}, not {name.suffix[:20]!r}.")
    return max(found, key=len)


@dataclass
class Kept:
    """A folder in which work goes on, see `kept`."""

    folders: Folders
    name: str
    path: Path
    kept: float = -KEEP_S

    def look(self) -> None:
        """Keep it, if it is a while since it was kept.

        Raises:
            LeaseLost: Another process has taken the work on.
        """
        if time.monotonic() > self.kept + KEEP_S:
            self.folders.keep(self.name)
            self.kept = time.monotonic()

    async def soon(self) -> None:
        """`look`, from a coroutine."""
        await asyncio.to_thread(self.look)


@asynccontextmanager
async def kept(folders: Folders, name: str, owner: str) -> AsyncGenerator[Kept]:
    """A folder as whoever worked in it last has left it; it is kept at the end, however it ends.

    Raises:
        BadInput: It is another's.
    """
    await asyncio.to_thread(folders.reserve, name, owner)
    if await asyncio.to_thread(folders.owner, name) != owner:
        raise BadInput(f"the name {name.partition('/')[2]!r} is taken.")
    path = await asyncio.to_thread(folders.bring, name)
    try:
        yield Kept(folders, name, path)
    finally:
        await asyncio.to_thread(folders.keep, name)


async def train(work: Work, adopt: Callable[[str], Awaitable[None]]) -> dict[str, Any]:
    """Begin a run, or go on with it where it stopped, and serve its model."""
    model, folders = str(work.job.body["name"]), work.parts.folders
    source, hide = await asyncio.to_thread(work.source)
    async with kept(folders, trainings.name_of(model), work.job.owner) as run:
        report = await _trained(work, run, source, hide | {str(run.path): model})
    await asyncio.to_thread(partial(folders.keep, run.name, done=True))
    await adopt(model)
    return {"model": model, "steps": report["step"], "seconds": report["seconds"]}


async def _trained(work: Work, run: Kept, source: str, hide: Mapping[str, str]) -> dict[str, Any]:
    if (run.path / trainings.STATE).exists():
        words = ["train", "--resume", str(run.path)]
        await asyncio.to_thread(_await_free, run.path)
    else:
        family = work.job.body["family"]
        words = ["train", "--data", source, "--model", family, "--out", str(run.path)]
        words += setting_words(work.job.body)

    def look() -> None:
        work.progress = trainings.share_done(run.path)
        run.look()

    words += ["--quiet", "--json"]
    return await verb(words, look=look, fine=ENDED, hide=hide, at=work.folder)


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
    at = await asyncio.to_thread(_beside_data, work, known)
    async with kept(parts.folders, verdicts.name_of(job.id), job.owner) as out:
        words = [job.kind, *(str(one.folder.absolute()) for one in known)]
        words += ["--out", str(out.path), "--json"]
        if job.body.get("n"):
            words += ["-n", str(int(job.body["n"]))]
        report = await verb(words, fine=(0, 20), at=at)
        return await asyncio.to_thread(_told, work, out.path, known, report)


def _beside_data(work: Work, known: Sequence[Known]) -> Path | None:
    """Where the data of models are found by their recipes; what was uploaded is there then."""
    found = None
    for one in known:
        recipe = runs.home(one.folder) / RECIPE
        if not recipe.is_file():
            continue
        data = tomllib.loads(recipe.read_text(encoding="utf-8")).get("data", {})
        source = str(data.get("source", ""))
        if re.fullmatch(UPLOAD, source):
            work.fetched(source)
            found = work.folder
    return found


def _told(work: Work, out: Path, known: list[Known], report: dict[str, Any]) -> dict[str, Any]:
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
    return surveyed(await verb(words, fine=(0, 2), hide=hide, at=work.folder))


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
        return await verb(words, hide=hide, at=work.folder)
    finally:
        shutil.rmtree(room, ignore_errors=True)
