"""What jobs leave behind, from its end on: every process of the server serves and knows it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import final

from genloom.errors import BadInput
from genloom.serve import trainings, verdicts
from genloom.serve.engine.pool import Pool
from genloom.serve.known import Known, learn
from genloom.serve.services import Services
from genloom.serve.store import Change, Folders

LOOK_S = 1.0  # between looks for what other processes have finished
OVERLAP_S = 60.0  # that the clocks of two machines may differ by
MODEL = ("model/", "recipe.toml", "run.json", "verdict.json")  # what others need of a run
DRAIN_S = 30.0
WARM_S = 60.0  # until new workers have made a sample
log = logging.getLogger(__name__)


def trained(folders: Folders) -> dict[str, Known]:
    """Models that jobs have trained; one that is damaged is left out."""
    found = {}
    for change in folders.changed(0):
        name = _model(change)
        if name is not None:
            try:
                found[name] = learn(name, folders.bring(change.name, *MODEL))
            except BadInput as error:
                log.error("%s is not served: %s", name, error)
    return found


def _model(change: Change) -> str | None:
    """The model that a change finished; None for another change."""
    kind, _, name = change.name.partition("/")
    return name if change.done and trainings.name_of(name) == f"{kind}/{name}" else None


@final
class Adoption:
    """Follows what all processes finish.

    Args:
        parts: Of the server; its models and its pool change when one is adopted.
        make_pool: Gives the workers that know these models.
    """

    def __init__(self, parts: Services, make_pool: Callable[[Mapping[str, Known]], Pool]):
        self.parts, self.make_pool = parts, make_pool
        self._seen: dict[str, float] = {}
        self._since = 0.0
        self._lock = asyncio.Lock()

    async def follow(self) -> None:
        """Look every second, until this is cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Serve the models, and have the verdicts, that were finished since the last look."""
        for change in await asyncio.to_thread(self.parts.folders.changed, self._since):
            self._since = max(self._since, change.changed - OVERLAP_S)
            if self._seen.get(change.name) == change.changed:
                continue
            self._seen[change.name] = change.changed
            name = _model(change)
            if name is not None:
                await self.adopt(name)
            elif change.name.startswith(verdicts.name_of("")):
                await asyncio.to_thread(self.parts.folders.bring, change.name)

    async def adopt(self, name: str) -> None:
        """Serve one model more: new workers that know it take the place of the old ones."""
        parts = self.parts
        async with self._lock:
            folder = await asyncio.to_thread(parts.folders.bring, trainings.name_of(name), *MODEL)
            if name in parts.models:
                return
            try:
                known = {**parts.models, name: await asyncio.to_thread(learn, name, folder)}
            except BadInput as error:
                return log.error("%s is not served: %s", name, error)
            if parts.policy is not None:
                for line in parts.policy.fit({name: one.items for name, one in known.items()}):
                    log.warning("%s", line)
            pool = self.make_pool(known)
            await pool.__aenter__()
            with suppress(TimeoutError):  # the server is as ready as before all the while
                await asyncio.wait_for(pool.until_ready(), WARM_S)
            before, parts.pool = parts.pool, pool
            parts.maker.pool, parts.models = pool, known
            await before.drain(DRAIN_S)
            await before.__aexit__(None, None, None)
