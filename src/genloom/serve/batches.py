"""Files of requests, answered through the server's own routes; one job of the queue for each.

What was answered is written to a spool at once: a server that was killed goes on after it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, final

from starlette.types import ASGIApp

from genloom.errors import BadInput
from genloom.serve.inside import ask
from genloom.serve.store import Batch, Batches, Files, Key
from genloom.serve.store.batches import NEXT

ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/generations",
    "/v1/images/generations",
    "/v1/moderations",
)
MOST_LINES = 10_000
AT_ONCE = 16
PATIENCE = 100  # tries of a request that a full queue or a dying worker turned away
LONGEST_ID = 200


@final
class BatchWork:
    """Carries out one batch.

    Args:
        app: The server, which is asked.
        batches: Where its state is kept.
        files: Where its requests lie, and its answers will.
        spool: The batch's own folder, for answers until it ends.
        told: Called with the share that is done, as soon as the spool has it.
    """

    def __init__(
        self,
        app: ASGIApp,
        batches: Batches,
        files: Files,
        spool: Path,
        told: Callable[[float], Awaitable[None]],
    ):
        self.app, self.batches, self.files, self.spool = app, batches, files, spool
        self.told = told

    async def run(self, caller: Key, batch_id: str) -> dict[str, Any]:
        """Answer what is not answered yet, then file the answers."""
        batch = await asyncio.to_thread(self.batches.get, caller.id, batch_id)
        if batch.status not in NEXT:
            return {"batch": batch_id, "status": batch.status}
        try:
            lines = await asyncio.to_thread(self._lines, caller, batch)
        except BadInput as error:
            told = {"object": "list", "data": [{"code": "invalid_file", "message": str(error)}]}
            self.batches.move(batch_id, "failed", errors=told)
            return {"batch": batch_id, "status": "failed"}
        if batch.status == "validating":
            batch = self.batches.move(batch_id, "in_progress", total=len(lines))
        path = self.spool / "answers.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        answers = {answer["custom_id"]: answer for answer in _read(path)}
        left = [line for line in lines if line["custom_id"] not in answers]
        with path.open("a", encoding="utf-8") as out:
            for start in range(0, len(left), AT_ONCE):
                batch = self._count(batch, answers)
                if batch.status != "in_progress" or time.time() > batch.expires:
                    break
                some = left[start : start + AT_ONCE]
                for answer in await asyncio.gather(*(self._one(caller, batch, x) for x in some)):
                    answers[answer["custom_id"]] = answer
                    out.write(json.dumps(answer) + "\n")
                out.flush()
                await self.told(len(answers) / len(lines))
        return await asyncio.to_thread(self._end, caller, batch, lines, answers, path)

    def _lines(self, caller: Key, batch: Batch) -> list[dict[str, Any]]:
        """The requests of the file.

        Raises:
            BadInput: A line is not a request; it is named.
        """
        content = self.files.content(caller.id, batch.input_file)
        try:
            rows = content.decode().splitlines()
        except UnicodeDecodeError as error:
            raise BadInput(f"the file is not UTF-8: {error}.") from error
        rows = [row for row in rows if row.strip()]
        if not 1 <= len(rows) <= MOST_LINES:
            raise BadInput(f"the file has {len(rows)} requests: it must have 1 to {MOST_LINES}.")
        found = [_request(row, i + 1, batch.endpoint) for i, row in enumerate(rows)]
        if len({line["custom_id"] for line in found}) < len(found):
            raise BadInput("two requests have one custom_id: answers could not be told apart.")
        return found

    async def _one(self, caller: Key, batch: Batch, line: dict[str, Any]) -> dict[str, Any]:
        request_id = f"batch-{batch.id[:16]}"
        for tries in range(PATIENCE):
            status, body = await ask(self.app, caller, line["url"], line["body"], request_id)
            if status not in (429, 503):
                break
            await asyncio.sleep(min(5.0, 0.1 * 2**tries))
        response = {"status_code": status, "request_id": request_id, "body": body}
        id = f"batch_req_{line['custom_id']}"
        return {"id": id, "custom_id": line["custom_id"], "response": response, "error": None}

    def _count(self, batch: Batch, answers: dict[str, Any]) -> Batch:
        """Note what is done; the batch as it stands now."""
        good = sum(_good(answer) for answer in answers.values())
        return self.batches.count(batch.id, completed=good, failed=len(answers) - good)

    def _end(
        self, caller: Key, batch: Batch, lines: Any, answers: dict[str, Any], path: Path
    ) -> dict[str, Any]:
        batch = self._count(batch, answers)
        if batch.status == "in_progress":
            late = len(answers) < len(lines)
            batch = self.batches.move(batch.id, "expired" if late else "finalizing")
        ordered = [answers[line["custom_id"]] for line in lines if line["custom_id"] in answers]
        found = {
            "output_file": self._file(caller, batch, "output", [a for a in ordered if _good(a)]),
            "error_file": self._file(caller, batch, "error", [a for a in ordered if not _good(a)]),
        }
        last = {"cancelling": "cancelled", "finalizing": "completed"}
        if batch.status in last:
            batch = self.batches.move(batch.id, last[batch.status], **found)
        path.unlink(missing_ok=True)
        return {"batch": batch.id, "status": batch.status, **found}

    def _file(self, caller: Key, batch: Batch, what: str, answers: list[Any]) -> str | None:
        if not answers:
            return None
        content = "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
        name = f"batch_{batch.id[:16]}_{what}.jsonl"
        return self.files.add(caller.id, name, "batch_output", content.encode()).id


def _good(answer: dict[str, Any]) -> bool:
    return answer["response"]["status_code"] < 400


def _request(row: str, number: int, endpoint: str) -> dict[str, Any]:
    try:
        line = json.loads(row)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"line {number} is not JSON: {error}.") from error
    if not isinstance(line, dict) or not isinstance(line.get("body"), dict):
        raise BadInput(f'line {number} is not {{"custom_id", "method", "url", "body"}}.')
    id = line.get("custom_id")
    if not isinstance(id, str) or not 1 <= len(id) <= LONGEST_ID:
        raise BadInput(f"line {number}: custom_id is a text of 1 to {LONGEST_ID} characters.")
    if line.get("method") != "POST" or line.get("url") != endpoint:
        raise BadInput(f"line {number}: method and url must be POST and {endpoint}.")
    if line["body"].get("stream"):
        raise BadInput(f"line {number}: a batch streams nothing. Leave stream out.")
    return line


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The answers of a spool; a last line that a kill cut short is left out, and cut off."""
    if not path.exists():
        return
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with path.open("r+b") as file:
            file.truncate(end)
    for row in whole[:end].splitlines():
        yield json.loads(row)
