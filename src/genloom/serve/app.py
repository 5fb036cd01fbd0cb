"""The server: its parts made in order, its routes behind one door."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from genloom import __version__
from genloom.errors import BadInput, nearest
from genloom.safety.marks.texts import CONTEXT
from genloom.safety.marks.tokens import Green
from genloom.serve import problems
from genloom.serve.adoption import DRAIN_S, Adoption, trained
from genloom.serve.engine.marking import TextMark
from genloom.serve.engine.pool import Pool
from genloom.serve.figures import Figures
from genloom.serve.gate import Gate
from genloom.serve.guard import Guard
from genloom.serve.known import Known, learn
from genloom.serve.making import Maker
from genloom.serve.marker import Marker
from genloom.serve.routes import ROUTERS
from genloom.serve.runner import Runner
from genloom.serve.services import Services
from genloom.serve.sessions import Sessions
from genloom.serve.settings import Settings
from genloom.serve.store import (
    Batches,
    Blobs,
    Files,
    Folders,
    Jobs,
    Keys,
    Records,
    Store,
    Votes,
    pepper,
)
from genloom.studio import FOLDER

if TYPE_CHECKING:
    from genloom.safety.marks.identity import Identity

KEYLESS_S = 0.2  # after which a key that another process made closes an open server
log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The server as an ASGI app; workers start with it and end with it.

    Raises:
        BadInput: A model is no artifact, the policy has a mistake, or the server would be open.
    """
    settings = replace(settings, folder=settings.folder.absolute())
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = {name: learn(name, folder) for name, folder in settings.models.items()}
    if settings.int8 and not any(one.packs for one in known.values()):
        raise BadInput("--int8 is for models that draw with a transformer: leave it out.")
    parts = _parts(settings, known)
    settings.check(keyed=parts.keys.any())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with _working(parts, app):
            yield

    app = FastAPI(
        title="genloom",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = parts
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/studio", StaticFiles(directory=FOLDER), name="studio")
    problems.explain(app)
    app.add_middleware(
        Guard,  # pyright: ignore[reportArgumentType]
        authenticate=parts.keys.authenticate,
        session=parts.sessions.read,
        keyless=_remembered(lambda: settings.local and not parts.keys.any(), KEYLESS_S),
        hosts=settings.names(),
        max_body=settings.limits.body,
        max_file=settings.limits.file,
        figures=parts.figures,
    )
    return app


def _remembered(ask: Callable[[], bool], seconds: float) -> Callable[[], bool]:
    """An answer that is asked for anew when it is so old."""
    known, until = False, 0.0

    def answer() -> bool:
        nonlocal known, until
        now = time.monotonic()
        if now >= until:
            known, until = ask(), now + seconds
        return known

    return answer


def _parts(settings: Settings, known: dict[str, Known]) -> Services:
    """Everything but the running of it; `known` are the operator's models."""
    folder = settings.folder
    store = Store(settings.database or f"sqlite:///{folder / 'genloom.sqlite'}")
    blobs = Blobs(settings.blobs or folder / "blobs")
    secret = pepper(folder / "secret" / "pepper")
    keys = Keys(store, secret)
    records, files_ = Records(store, blobs), Files(store, blobs)
    folders = Folders(store, None if settings.blobs is None else blobs, folder)
    known = {**trained(folders), **known}
    identity = _identity(settings)
    policy = None
    if settings.policy is not None:
        from genloom.safety.policy import Policy

        policy = Policy.read(settings.policy)
        for name in sorted(policy.models - set(known)):
            raise BadInput(
                f"{settings.policy} names the model {name!r}, which is not served"
                f"{nearest(name, known)}"
            )
        for line in policy.fit({name: one.items for name, one in known.items()}):
            print(f"genloom: {line}", file=sys.stderr)
    pool, figures = _pool(settings, known, identity), Figures()
    return Services(
        settings=settings,
        models=known,
        store=store,
        blobs=blobs,
        keys=keys,
        records=records,
        files=files_,
        folders=folders,
        jobs=Jobs(store),
        batches=Batches(store),
        votes=Votes(store),
        sessions=Sessions(keys, hashlib.sha256(b"sessions" + secret).digest()),
        pool=pool,
        maker=Maker(
            pool,
            keys,
            records,
            policy,
            Marker(settings.marks, settings.producer, identity),
            Gate.of(settings),
            figures,
        ),
        policy=policy,
        identity=identity,
        figures=figures,
    )


def _pool(settings: Settings, known: Mapping[str, Known], identity: Identity | None) -> Pool:
    mark = None
    if settings.marks.watermark and identity is not None:
        mark = TextMark(Green(identity.secret, context=CONTEXT))
    return Pool(
        {name: one.folder for name, one in known.items()},
        workers=settings.workers,
        queue=settings.limits.waiting,
        rows={name: settings.limits.samples for name in known},
        threads=settings.threads or 1,
        idle_s=settings.idle_s,
        budget=settings.memory,
        int8=[name for name, one in known.items() if settings.int8 and one.packs],
        first={name: one.first() for name, one in known.items()},
        mark=mark,
    )


def _identity(settings: Settings) -> Identity | None:
    if not settings.marks.sign and not settings.marks.watermark:
        return None
    from genloom.safety.marks.identity import Identity

    return Identity.open(settings.folder / "secret" / "identity")


@asynccontextmanager
async def _working(parts: Services, app: FastAPI) -> AsyncGenerator[None]:
    """Workers and the runner of jobs, until the server stops; then what runs may end."""
    await parts.pool.__aenter__()
    adoption = Adoption(parts, lambda known: _pool(parts.settings, known, parts.identity))
    runner = Runner(parts, adoption.adopt, app, socket.gethostname()[:60])
    tasks = [asyncio.create_task(work) for work in (runner.run(), adoption.follow())]
    for task in tasks:
        task.add_done_callback(_tell)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        await parts.pool.drain(DRAIN_S)
        await parts.pool.__aexit__(None, None, None)
        if parts.policy is not None:
            parts.policy.close()
        parts.store.close()


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("jobs are no longer followed", exc_info=task.exception())
