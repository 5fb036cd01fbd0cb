"""Many clients in a process of their own: an order a line comes in, its figures a line go out.

Nothing but HTTP is imported here, and the process is nice, so that the clients take little from the
servers that they ask. Every answer is checked for its whole length or size.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import sys
import time
from typing import Any

import httpx2

NICE, SETTLE_S = 5, 0.3  # how nice; how long what will be given up has been under way


class Crowd:
    """What can be asked of one server.

    Args:
        order: "url", "path", "kind" ("text", "png" or "pictures"), "bodies", "clients".
        client: To send with.
    """

    def __init__(self, order: dict[str, Any], client: httpx2.AsyncClient):
        self.order, self.client = order, client
        self.path, self.kind = order["path"], order["kind"]

    async def whole(self) -> dict[str, Any]:
        """All bodies, each client one after the other: wall time, and each latency."""
        bodies = iter(self.order["bodies"])
        latencies: list[float] = []

        async def one() -> None:
            for body in bodies:
                latencies.append(await self.ask(body))

        start = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(self.order["clients"])))
        return {"wall_s": time.perf_counter() - start, "latency_s": latencies}

    async def first(self) -> dict[str, Any]:
        """One body after the other: from a request to the first that a reader sees of it."""
        return {"first_s": [await self.ask_first(body) for body in self.order["bodies"]]}

    async def freed(self) -> dict[str, Any]:
        """Give up long requests, then time a short one; and time it once more, alone."""
        short = self.order["short"]
        calm = [await self.ask(short) for _ in range(3)]
        long = [asyncio.create_task(self.ask_first(body, on=True)) for body in self.order["bodies"]]
        await asyncio.sleep(SETTLE_S)
        under_way = [task.cancel() for task in long]
        assert any(under_way), "all that was to be given up is done: nothing is measured"
        await asyncio.gather(*long, return_exceptions=True)
        return {"after_s": await self.ask(short), "calm_s": sorted(calm)[1]}

    async def ask(self, body: dict[str, Any]) -> float:
        """Seconds of one request."""
        start = time.perf_counter()
        answer = await self.client.post(self.path, json=body)
        answer.raise_for_status()
        self.check(body, answer)
        return time.perf_counter() - start

    async def ask_first(self, body: dict[str, Any], *, on: bool = False) -> float:
        """Seconds until the first piece; the whole is read where `on`, else given up."""
        start, first = time.perf_counter(), 0.0
        if self.kind == "png":
            return await self.ask(body)
        more = {"stream": True} | ({"partial_images": 3} if self.kind == "pictures" else {})
        async with self.client.stream("POST", self.path, json=body | more) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if not first and shows(line):
                    first = time.perf_counter() - start
                    if not on:
                        break
        assert first, "the stream ended and showed nothing"
        return first

    def check(self, body: dict[str, Any], answer: httpx2.Response) -> None:
        """The answer is all that was asked for."""
        if self.kind == "text":
            told = answer.json()
            letters = len(told["choices"][0]["text"])
            assert letters == told["usage"]["completion_tokens"] == body["max_tokens"], told
        else:
            png = answer.content
            if self.kind == "pictures":
                png = base64.b64decode(answer.json()["data"][0]["b64_json"])
            assert png[:8] == b"\x89PNG\r\n\x1a\n", png[:100]
            assert struct.unpack(">II", png[16:24]) == (32, 32), "not 32 x 32 pixels"


def shows(line: str) -> bool:
    """Whether a line of a stream has text or a picture in it."""
    if not line.startswith("data: {"):
        return False
    told = json.loads(line.removeprefix("data: "))
    assert "error" not in told, told
    return bool(told.get("b64_json") or any(one.get("text") for one in told.get("choices", ())))


async def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """One order."""
    limits = httpx2.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx2.AsyncClient(base_url=order["url"], timeout=300, limits=limits) as client:
        crowd = Crowd(order, client)
        ways = {"whole": crowd.whole, "first": crowd.first, "freed": crowd.freed}
        return await ways[order["what"]]()


def main() -> None:
    os.nice(NICE)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(carry_out(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
