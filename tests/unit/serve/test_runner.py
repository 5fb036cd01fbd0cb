"""The runner of jobs: lanes, and work that is given the time to end well."""

from __future__ import annotations

import asyncio

from genloom.serve import orders, runner


def test_every_kind_of_job_has_one_lane():
    kinds = [kind for lane in runner.LANES for kind in lane]
    assert sorted(kinds) == sorted([*orders.CHECKS, "batch"])  # which has a route of its own


def test_work_that_is_ending_is_not_cancelled_a_second_time():
    """The owner's wish is read with every beat, and a training takes longer to save."""
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            ended.append("saved")

    async def stop() -> None:
        doing = asyncio.create_task(work())
        await asyncio.sleep(0)
        for _ in range(3):
            runner._cancel(doing)
            await asyncio.sleep(0.01)
        await runner._stop(doing)
        assert doing.cancelled()

    asyncio.run(stop())
    assert ended == ["saved"]
