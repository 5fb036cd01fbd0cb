"""The pool, with real worker processes: nobody gets another's answer, and nobody gets none."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import torch

from genloom import artifact
from genloom.errors import BadInput
from genloom.safety.marks.tokens import Green
from genloom.serve.engine.answer import Answer
from genloom.serve.engine.faults import Draining, Full, ModelUnavailable, WorkerDied
from genloom.serve.engine.marking import TextMark
from genloom.serve.engine.messages import Accepted, Done, NewTokens, Preview
from genloom.serve.engine.pool import Pool
from genloom.serve.engine.request import Request
from tests.unit.serve.engine.made import stored


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pool")
    return {name: stored(folder, name) for name in ("vae", "flow", "autoregressive", "gan")}


def within(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine; one that hangs fails."""

    async def limited() -> None:
        async with asyncio.timeout(seconds):
            await work()

    asyncio.run(limited())


def long(model: str = "flow") -> Request:
    return Request(model=model, seeds=(1,), options={"steps": 1000})


async def begun(answer: Answer) -> None:
    """Wait until a worker has taken the request."""
    assert isinstance(await anext(answer), Accepted)


def mixed() -> list[Request]:
    """Sixteen requests of four families: other seeds, options, prompts, numbers of samples."""
    return [
        *(Request(model="flow", seeds=(k, k + 1), options={"steps": 2 + k % 3}) for k in range(6)),
        *(Request(model="vae", seeds=(k,), options={"temperature": 0.5 + k % 2}) for k in range(4)),
        *(Request(model="gan", seeds=tuple(range(k)), label=k) for k in (1, 2, 5)),
        *(Request(model="autoregressive", seeds=(k,), prompt=(k, 1)[: k % 3]) for k in range(3)),
    ]


def test_sixteen_at_once_are_what_they_are_one_by_one(folders):
    async def work() -> None:
        async with Pool(folders, workers=2) as pool:
            await pool.until_ready()
            while pool.stats()["running"]:  # the first sample of the other worker counts too
                await asyncio.sleep(0.01)
            requests = mixed()
            alone = [await pool.submit(r).result() for r in requests]
            again = mixed()
            together = await asyncio.gather(*(pool.submit(r).result() for r in again))
            for request, a, b in zip(again, alone, together, strict=True):
                assert b.id == request.id and len(b.items) == len(request.seeds)
                assert torch.equal(a.items, b.items)
                assert a.records == b.records
                assert [r["seed"] for r in b.records] == [str(s) for s in request.seeds]
            assert pool.stats()["running"] == pool.stats()["waiting"] == 0

    within(120, work)


def test_a_request_is_answered_by_its_events_and_one_end(folders):
    async def work() -> None:
        async with Pool(folders) as pool:
            assert not pool.ready
            answer = pool.submit(
                Request(model="flow", seeds=(1,), options={"steps": 4}, previews=3)
            )
            events = [event async for event in answer]
            assert [type(e) for e in events] == [Accepted, Preview, Preview, Preview, Done]
            with pytest.raises(StopAsyncIteration):
                await anext(answer)
            spoken = pool.submit(Request(model="autoregressive", seeds=(1,), tokens=True))
            kinds = [type(event) async for event in spoken]
            assert kinds == [Accepted, *[NewTokens] * (len(kinds) - 2), Done] and len(kinds) > 10
            for wrong in (Request(model="flow", seeds=(1,), label=99), long("vae")):
                with pytest.raises(BadInput):
                    await pool.submit(wrong).result()
            for wrong in (Request(model="fluw", seeds=(1,)),):
                with pytest.raises(BadInput, match="did you mean 'flow'"):
                    pool.submit(wrong)
            await pool.until_ready()
            assert pool.ready
            (worker,) = pool.stats()["workers"]
            assert worker["warm"] and worker["rss"] > 50e6 and worker["pid"] != os.getpid()

    within(60, work)


def test_items_are_encoded_as_the_model_does(folders):
    items = torch.arange(2 * 64).to(torch.uint8).view(2, 1, 8, 8)
    there = artifact.load(folders["vae"])

    async def work() -> None:
        async with Pool(folders) as pool:
            codes = await pool.encode("vae", items)
            filled = there.codec.encode(items[[0, 1, 1, 1]])
            with torch.inference_mode():
                assert torch.equal(codes, there.model.encode(filled, {})[:2])  # pyright: ignore
            with pytest.raises(BadInput, match="no code for a datum"):
                await pool.encode("flow", items)
            with pytest.raises(BadInput, match="it must be"):
                await pool.encode("vae", items[:, :, :4])

    within(60, work)


def test_a_mark_reaches_the_workers_and_stays_out_of_what_is_printed(folders):
    async def work() -> None:
        mark = TextMark(Green(b"a secret of the house"))
        async with Pool(folders, mark=mark) as pool:
            assert b"a secret".hex() not in repr(pool.options)
            done = await pool.submit(Request(model="autoregressive", seeds=(1,))).result()
            assert "watermark" not in done.records[0]  # pixels

    within(60, work)


def test_a_killed_worker_is_a_typed_error_and_another_one_works(folders):
    async def work() -> None:
        async with Pool(folders) as pool:
            await pool.until_ready()
            before = await pool.submit(Request(model="vae", seeds=(1,))).result()
            running = pool.submit(long())
            await begun(running)
            (worker,) = pool.stats()["workers"]
            os.kill(worker["pid"], signal.SIGKILL)
            with pytest.raises(WorkerDied) as caught:
                await running.result()
            assert caught.value.retry_after_s > 0
            died = time.monotonic()
            assert not pool.ready
            after = await pool.submit(Request(model="vae", seeds=(1,))).result()
            assert torch.equal(after.items, before.items)
            await pool.until_ready()
            assert time.monotonic() - died < 10
            assert pool.stats()["deaths"] == 1
            assert pool.stats()["workers"][0]["pid"] != worker["pid"]

    within(60, work)


def test_a_worker_that_hangs_is_taken_for_dead(folders):
    async def work() -> None:
        async with Pool(folders, stall_s=3.0) as pool:
            await pool.until_ready()
            running = pool.submit(long())
            await begun(running)
            os.kill(pool.stats()["workers"][0]["pid"], signal.SIGSTOP)
            with pytest.raises(WorkerDied):
                await running.result()
            await pool.submit(Request(model="vae", seeds=(1,))).result()

    within(60, work)


def test_whoever_stops_listening_cancels(folders):
    async def work() -> None:
        async with Pool(folders, queue=4) as pool:
            await pool.until_ready()

            async def left() -> None:
                async with pool.submit(long()) as answer:
                    await begun(answer)

            async def dropped() -> None:
                async for _ in pool.submit(long()):
                    break

            async def waiting() -> None:
                await pool.submit(long()).result()

            async def asked() -> None:
                answer = pool.submit(long())
                await begun(answer)
                answer.cancel()
                assert [event async for event in answer] == []

            await left()
            await dropped()
            await asked()
            task = asyncio.create_task(waiting())
            await asyncio.sleep(0.05)
            task.cancel()
            begin = time.monotonic()
            while pool.stats()["running"]:
                await asyncio.sleep(0.01)
            assert time.monotonic() - begin < 1.0
            assert await pool.drain(0.0)

    within(60, work)


def test_a_full_queue_refuses_at_once_and_takes_again(folders):
    async def work() -> None:
        async with Pool(folders, queue=2) as pool:
            await pool.until_ready()
            first, second = pool.submit(long()), pool.submit(Request(model="vae", seeds=(1,)))
            with pytest.raises(Full) as caught:
                pool.submit(Request(model="vae", seeds=(2,)))
            assert caught.value.retry_after_s > 0 and pool.stats()["rejected"] == 1
            await second.result()
            third = await pool.submit(Request(model="vae", seeds=(3,))).result()
            assert len(third.items) == 1
            first.cancel()

    within(60, work)


def test_more_than_a_worker_holds_waits_and_can_be_cancelled(folders, monkeypatch):
    monkeypatch.setattr("genloom.serve.engine.pool.WINDOW", 1)

    async def work() -> None:
        async with Pool(folders) as pool:
            await pool.until_ready()
            first = pool.submit(long())
            second, third = (pool.submit(Request(model="vae", seeds=(k,))) for k in (1, 2))
            assert (pool.stats()["running"], pool.stats()["waiting"]) == (1, 2)
            second.cancel()
            assert pool.stats()["waiting"] == 1
            assert [event async for event in second] == []
            os.kill(pool.stats()["workers"][0]["pid"], signal.SIGKILL)
            with pytest.raises(WorkerDied):
                await first.result()
            assert len((await third.result()).items) == 1

    within(60, work)


def test_drain_lets_what_was_taken_end_and_takes_no_more(folders):
    async def work() -> None:
        async with Pool(folders) as pool:
            await pool.until_ready()
            answers = [pool.submit(Request(model="flow", seeds=(k,))) for k in range(3)]
            drained = asyncio.create_task(pool.drain(30.0))
            await asyncio.sleep(0)
            assert not pool.ready
            with pytest.raises(Draining):
                pool.submit(Request(model="vae", seeds=(1,)))
            assert all([len((await answer.result()).items) == 1 for answer in answers])
            assert await drained

    within(60, work)


def test_what_does_not_end_in_time_fails_with_its_reason(folders):
    async def work() -> None:
        async with Pool(folders) as pool:
            await pool.until_ready()
            drawn_out, cut_off = pool.submit(long()), pool.submit(long())
            await begun(drawn_out)
            assert not await pool.drain(0.1)
            with pytest.raises(Draining):
                await drawn_out.result()
            pid = pool.stats()["workers"][0]["pid"]
        with pytest.raises(Draining):
            await cut_off.result()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    within(60, work)


def test_leaving_without_a_drain_ends_every_request_and_process(folders):
    async def work() -> None:
        async with Pool(folders, workers=2) as pool:
            await pool.until_ready()
            answer = pool.submit(long())
            await begun(answer)
            pids = [worker["pid"] for worker in pool.stats()["workers"]]
        with pytest.raises(Draining):
            await answer.result()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    within(60, work)


def test_a_model_that_cannot_be_loaded_is_not_ready_and_not_fatal(folders, tmp_path):
    async def work() -> None:
        async with Pool({"gone": tmp_path / "secret", "vae": folders["vae"]}) as pool:
            with pytest.raises(ModelUnavailable) as caught:
                await pool.submit(Request(model="gone", seeds=(1,))).result()
            assert "secret" not in str(caught.value)
            assert len((await pool.submit(Request(model="vae", seeds=(1,))).result()).items) == 1
            assert not pool.ready

    within(60, work)


def test_workers_that_never_start_fail_what_waits(folders, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    monkeypatch.setattr("genloom.serve.engine.pool.LONGEST_PAUSE_S", 0.05)

    async def work() -> None:
        async with Pool(folders) as pool:
            with pytest.raises(WorkerDied, match="no worker stays alive"):
                await pool.submit(Request(model="vae", seeds=(1,))).result()
            assert pool.stats()["deaths"] >= 3

    within(30, work)


def test_a_pool_needs_models_that_exist(folders):
    with pytest.raises(BadInput, match="no model to serve"):
        Pool({})
    with pytest.raises(BadInput, match="did you mean 'vae'"):
        Pool(folders, warm=["vea"])
