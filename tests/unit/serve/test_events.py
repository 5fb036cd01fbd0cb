"""Events of several sources as one: all of them come, and none outlives the first failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from genloom.serve.events import merged


def test_events_come_as_they_are_there_and_each_source_keeps_its_order():
    async def found() -> list[str]:
        turn = asyncio.Event()

        async def slow() -> AsyncGenerator[str]:
            await turn.wait()
            yield "slow"

        async def fast() -> AsyncGenerator[str]:
            yield "first"
            yield "second"
            turn.set()

        return [event async for event in merged([slow(), fast()])]

    assert asyncio.run(found()) == ["first", "second", "slow"]


@pytest.mark.parametrize("fails", [True, False])
def test_a_failure_or_an_end_closes_all_sources(fails):
    closed: list[str] = []

    async def source(name: str) -> AsyncGenerator[str]:
        try:
            yield name
            if name == "b" and fails:
                raise ValueError(name)
            await asyncio.sleep(60)
        finally:
            closed.append(name)

    async def read() -> None:
        events = merged([source("a"), source("b")])
        assert await anext(events) in ("a", "b")
        if fails:
            with pytest.raises(ValueError, match="b"):
                while True:
                    await anext(events)
        else:
            await events.aclose()  # though the other one waits for nobody
        assert sorted(closed) == ["a", "b"]

    asyncio.run(read())
