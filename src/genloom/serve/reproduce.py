"""An output made again from its record, and compared with it byte for byte.

A signature holds a random number and a time, so a signed file is never made twice: of a file with
marks, what is compared is the content before the marks, and the answer says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch

from genloom import __version__
from genloom.artifact import CARD, WEIGHTS
from genloom.checkpoint import write_text
from genloom.errors import GenloomError
from genloom.serve.asked import Asked
from genloom.serve.making import software
from genloom.serve.originals import Sent, read
from genloom.serve.store import Record

if TYPE_CHECKING:
    from genloom.serve.engine.pool import Pool
    from genloom.serve.known import Known

NOTE = "models.json"  # in a server's folder: SHA-256 of weights -> where they were served from
Mark = Callable[[bytes, str, Mapping[str, str]], bytes]
WHOLE, CONTENT = "the whole file", "the content before the server's marks"


class CannotReproduce(GenloomError):
    """The output cannot be made again here; the message says why."""

    exit_code = 2


@final
@dataclass(frozen=True)
class Comparison:
    """What came of making an output again.

    Args:
        same: Whether it is equal, byte for byte.
        compared: `WHOLE` or `CONTENT`.
        sha256: Of what was compared, as it was made now.
        recorded: The same of the record.
        content: What was made now, without marks.
    """

    same: bool
    compared: str
    sha256: str
    recorded: str
    content: bytes

    def as_dict(self) -> dict[str, Any]:
        """Without the content."""
        return {name: value for name, value in vars(self).items() if name != "content"}


def _unmarked(content: bytes, media_type: str, told: Mapping[str, str]) -> bytes:
    return content


async def remake(
    pool: Pool, known: Known, record: Record, mark: Mark = _unmarked, sent: Sent | None = None
) -> Comparison:
    """Make the output of a record again and compare it.

    Args:
        pool: Of workers that have the model.
        known: The model.
        record: Of the output.
        mark: Puts the marks on, as in `Maker`; left out, none are.
        sent: The picture that the output was made from: the record has its hash alone.

    Raises:
        CannotReproduce: Other software or settings made it.
        BadInput: The record is of another model or another picture, or cannot be read.
        Unavailable: No worker could do it.
    """
    asked = await asyncio.to_thread(wanted, known, record, sent)
    before = {"int8": "none", **record.origin.software}
    _same(before, {"genloom": __version__, "torch": torch.__version__})
    async with pool.submit(asked.request()) as events:
        done = await events.result()
    told = done.records[0]
    _same(before, dict.fromkeys(before, "none") | software(told, asked))

    def compared() -> Comparison:
        plain = asked.encode(asked.items(done)[0], told)
        return compare(record, plain, mark(plain, record.media_type, told))

    return await asyncio.to_thread(compared)


def wanted(known: Known, record: Record, sent: Sent | None = None) -> Asked:
    """The request of a record; see `remake`.

    Raises:
        BadInput: The record is of another model or another picture, or cannot be read.
        Problem: What was sent is no picture.
    """
    original = None
    if sent is not None and sent.picture is not None and known.edits:
        original = read(known, sent)
    return Asked.of_record(known, record.origin, original)


def compare(record: Record, plain: bytes, whole: bytes) -> Comparison:
    """Compare a file, and where it differs and carries marks, its content.

    Args:
        record: Of the output.
        plain: The content made again, without marks.
        whole: With marks.
    """
    digest = hashlib.sha256(whole).hexdigest()
    unmarked = record.plain_sha256 in (None, record.sha256)
    if digest == record.sha256 or unmarked:
        return Comparison(digest == record.sha256, WHOLE, digest, record.sha256, plain)
    digest, recorded = hashlib.sha256(plain).hexdigest(), str(record.plain_sha256)
    return Comparison(digest == recorded, CONTENT, digest, recorded, plain)


def _same(before: Mapping[str, Any], now: Mapping[str, str]) -> None:
    """Refuse to compare what other software or another number of threads made.

    Raises:
        CannotReproduce: Something differs, and what.
    """
    for name, value in now.items():
        if name in before and str(before[name]) != value:
            raise CannotReproduce(
                f"the output was made with {name} {before[name]}, and here it is {value}: its last "
                "bits may differ. Make it where it was made."
            )


def note_models(folder: Path, models: Iterable[Known]) -> None:
    """Remember in a server's folder where the models that it serves lie, beside earlier ones."""
    path = folder / NOTE
    found = _noted(path)
    found |= {one.hash: {"name": one.name, "folder": str(one.folder.resolve())} for one in models}
    write_text(path, json.dumps(found, indent=1) + "\n")


def _noted(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def folder_of(server: Path, weights: str) -> Path:
    """Where the model with these weights lies, of those that a server serves or has trained.

    Raises:
        CannotReproduce: It is not there any more, or holds other weights now.
    """
    noted = _noted(server / NOTE).get(weights, {}).get("folder")
    trained = sorted((server / "runs").glob("*/model"))
    for folder in ([Path(noted)] if noted else []) + trained:
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if card.get("files", {}).get(WEIGHTS) == weights and (folder / WEIGHTS).is_file():
            return folder
    raise CannotReproduce(
        f"the model with the weights {weights[:12]}... is not where {server} knows models. "
        "Name its folder: --model RUN."
    )
