"""Models that jobs have trained: who serves them, from when on, and what is not served."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from genloom.serve import adoption
from genloom.serve.adoption import Adoption
from genloom.serve.store import Change

DONE = Change("runs/mine", True, 5.0)


class Pool:
    """Workers that become ready when they are told to."""

    def __init__(self, log, name):
        self.log, self.name, self.warm = log, name, asyncio.Event()

    async def __aenter__(self):
        self.log.append(f"{self.name} starts")

    async def __aexit__(self, *_):
        self.log.append(f"{self.name} ends")

    async def until_ready(self):
        await self.warm.wait()
        self.log.append(f"{self.name} is ready")

    async def drain(self, seconds):
        self.log.append(f"{self.name} drains")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """(adoption, log, the new pool, what was brought); its folders hold one finished run."""
    log, brought, changes = [], [], [DONE]
    monkeypatch.setattr(adoption, "learn", lambda name, folder: f"known {name}")
    folders = SimpleNamespace(
        changed=lambda since: [one for one in changes if one.changed >= since],
        bring=lambda name, *parts: brought.append(name) or tmp_path,
    )
    old, new = Pool(log, "old"), Pool(log, "new")
    parts = SimpleNamespace(
        pool=old, maker=SimpleNamespace(pool=old), models={}, folders=folders, policy=None
    )
    return Adoption(parts, lambda known: new), log, new, brought, changes


def test_the_old_workers_serve_until_the_new_ones_are_ready(place):
    adopting, log, new, *_ = place

    async def work():
        looking = asyncio.create_task(adopting.look())
        await asyncio.sleep(0.1)
        assert adopting.parts.pool.name == "old" and adopting.parts.models == {}
        new.warm.set()
        await looking

    asyncio.run(work())
    assert log == ["new starts", "new is ready", "old drains", "old ends"]
    assert adopting.parts.pool is adopting.parts.maker.pool is new
    assert adopting.parts.models == {"mine": "known mine"}


def test_workers_that_never_are_ready_do_not_hold_the_others_up(place, monkeypatch):
    adopting, log, *_ = place
    monkeypatch.setattr(adoption, "WARM_S", 0.05)
    asyncio.run(adopting.look())
    assert log == ["new starts", "old drains", "old ends"]


def test_each_change_is_followed_once_and_what_goes_on_is_left_alone(place):
    adopting, _, new, brought, changes = place
    new.warm.set()
    verdict = Change("verdicts/abc", False, 6.0)
    changes += [Change("runs/unfinished", False, 6.0), Change("batches/b", False, 6.0), verdict]
    for _ in range(3):
        asyncio.run(adopting.look())
    assert brought == ["runs/mine", "verdicts/abc"] and list(adopting.parts.models) == ["mine"]
    changes[-1] = Change("verdicts/abc", False, 7.0)
    asyncio.run(adopting.look())
    assert brought == ["runs/mine", "verdicts/abc", "verdicts/abc"]


def test_an_index_looks_away_from_a_new_model_that_it_cannot_judge(place, caplog, monkeypatch):
    adopting, _, new, *_ = place
    monkeypatch.setattr(adoption, "learn", lambda name, folder: SimpleNamespace(items=name))
    fit = SimpleNamespace(fit=lambda models: [f"it does not look at {models}."])
    adopting.parts.policy = fit
    new.warm.set()
    asyncio.run(adopting.adopt("mine"))
    assert caplog.messages == ["it does not look at {'mine': 'mine'}."]
