"""One record for each output: what makes it again, what it is, and whether it may be seen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

from sqlalchemy import RowMapping, delete, exists, insert, select, update

from genloom.errors import BadInput
from genloom.serve.store.blobs import Blobs
from genloom.serve.store.database import Store
from genloom.serve.store.errors import Held, NotFound
from genloom.serve.store.ids import checked, fresh, shown
from genloom.serve.store.rows import Page, found, made, owned, page, plain
from genloom.serve.store.tables import records

LARGEST = 2**16  # bytes of the options, and of the software


@dataclass(frozen=True)
class Origin:
    """What makes an output again.

    Args:
        model: SHA-256 of the model's weights.
        data: Fingerprint of the data that it was trained on.
        recipe: SHA-256 of its recipe.
        seed: Of this sample, in [0, 2**64).
        label: As it was asked for, or None.
        options: Of the sampling, and the prompt where there is one.
        software: Versions, batch and threads, where the last bits depend on them.
    """

    model: str
    data: str
    recipe: str
    seed: int
    label: str | None
    options: Mapping[str, Any]
    software: Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """An output of the server.

    Args:
        id: Of the record.
        owner: Whose key made it.
        origin: What makes it again.
        kind: "image", "text", "points", ...
        media_type: Of its bytes.
        sha256: Of its bytes.
        perceptual: A hash that survives re-encoding, or None.
        blob: Where its bytes are kept, or None.
        created: Seconds since 1970.
        state: "free"; or "held" until a reviewer decides, then "approved" or "rejected".
        held_for: Why it was held, or None.
        decided_by: The reviewer, or None.
        reason: The reviewer's, or None.
        decided: When, or None.
    """

    id: str
    owner: str
    origin: Origin
    kind: str
    media_type: str
    sha256: str
    perceptual: str | None
    blob: str | None
    created: float
    state: str
    held_for: str | None
    decided_by: str | None
    reason: str | None
    decided: float | None


@final
class Records:
    """The outputs of a store.

    Args:
        store: Where the records are kept.
        blobs: Where the bytes are kept.
    """

    def __init__(self, store: Store, blobs: Blobs):
        self.store, self.blobs = store, blobs

    def add(
        self,
        owner: str,
        content: bytes,
        origin: Origin,
        *,
        kind: str,
        media_type: str,
        perceptual: str | None = None,
        held_for: str | None = None,
        keep: bool = True,
    ) -> Record:
        """Record an output.

        Args:
            owner: Whose it is.
            content: Its bytes, as they are given out.
            origin: What makes it again.
            kind: "image", "text", "points", ...
            media_type: Of its bytes.
            perceptual: A hash that survives re-encoding.
            held_for: Why it must be reviewed first; None where it need not.
            keep: Store the bytes, not the record alone; what is held is always stored.

        Raises:
            BadInput: The seed is out of its range, or the options are not JSON of 64 KiB.
        """
        if not 0 <= origin.seed < 2**64:
            raise BadInput(f"seed = {origin.seed}: it must be in [0, 2**64).")
        values = vars(origin) | {
            "seed": str(origin.seed),
            "options": plain(dict(origin.options), "options", LARGEST),
            "software": plain(dict(origin.software), "software", LARGEST),
            "id": fresh(),
            "owner": owner,
            "kind": kind,
            "media_type": media_type,
            "sha256": hashlib.sha256(content).hexdigest(),
            "perceptual": perceptual,
            "created": self.store.clock(),
            "state": "free" if held_for is None else "held",
            "held_for": None if held_for is None else shown(held_for, 1000),
            "blob": self.blobs.put(content) if keep or held_for is not None else None,
        }
        with self.store.writing() as connection:
            added = insert(records).values(values).returning(records)
            return _record(connection.execute(added).mappings().one())

    def get(self, owner: str, record_id: str) -> Record:
        """An owner's record, whatever its state.

        Raises:
            NotFound: There is none, or it is another's; so below.
        """
        with self.store.reading() as connection:
            return _record(owned(connection, records, owner, record_id))

    def page(self, owner: str, *, after: str | None = None, limit: int = 20) -> Page[Record]:
        """An owner's records, newest first; `after` is the id of the last one seen."""
        mine = records.c.owner == owner
        with self.store.reading() as connection:
            return page(connection, records, _record, mine, after=after, limit=limit)

    def find(self, owner: str, sha256: str) -> list[Record]:
        """An owner's records of these very bytes, oldest first."""
        same = (records.c.sha256 == sha256) & (records.c.owner == owner)
        with self.store.reading() as connection:
            query = select(records).where(same).order_by(records.c.place)
            return [_record(row) for row in connection.execute(query).mappings()]

    def known(self, sha256: str) -> bool:
        """Whether these very bytes were made here, by whomever."""
        with self.store.reading() as connection:
            return bool(connection.scalar(select(exists().where(records.c.sha256 == sha256))))

    def content(self, owner: str, record_id: str) -> bytes:
        """The bytes of an owner's output.

        Raises:
            Held: It waits for a reviewer, or was rejected.
            NotFound: There is none, it is another's, or its bytes were not kept.
        """
        record = self.get(owner, record_id)
        if record.state not in ("free", "approved"):
            raise Held(f"the output {record_id} is {record.state}: {_why(record)}")
        return self._bytes(record)

    def _bytes(self, record: Record) -> bytes:
        if record.blob is None:
            raise NotFound("output")
        return self.blobs.get(record.blob)

    def delete(self, owner: str, record_id: str) -> None:
        """Forget an owner's output, its record and its bytes.

        Raises:
            Held: It waits for a reviewer.
        """
        with self.store.writing() as connection:
            record = _record(owned(connection, records, owner, record_id, lock=True))
            if record.state == "held":
                raise Held(f"the output {record_id} waits for a reviewer.")
            connection.execute(delete(records).where(records.c.id == record.id))
        if record.blob is not None:
            with suppress(NotFound):
                self.blobs.delete(record.blob)

    def waiting(self, *, after: str | None = None, limit: int = 20) -> Page[Record]:
        """What waits for a reviewer, of all owners, newest first."""
        held = records.c.state == "held"
        with self.store.reading() as connection:
            return page(connection, records, _record, held, after=after, limit=limit)

    def review(self, record_id: str) -> tuple[Record, bytes]:
        """A held output of any owner and its bytes, for a reviewer.

        Raises:
            NotFound: No output of this id waits.
        """
        waits = (records.c.id == checked(record_id, "output")) & (records.c.state == "held")
        with self.store.reading() as connection:
            record = _record(found(connection.execute(select(records).where(waits)), records))
        return record, self._bytes(record)

    def decide(self, record_id: str, *, approve: bool, by: str, reason: str) -> Record:
        """Approve or reject a held output, once.

        Raises:
            NotFound: No output of this id waits.
        """
        waits = (records.c.id == checked(record_id, "output")) & (records.c.state == "held")
        decision = {
            "state": "approved" if approve else "rejected",
            "decided_by": shown(by),
            "reason": shown(reason, 1000),
            "decided": self.store.clock(),
        }
        with self.store.writing() as connection:
            decided = update(records).where(waits).values(decision).returning(records)
            return _record(found(connection.execute(decided), records))


def _why(record: Record) -> str:
    return record.reason or record.held_for or "no reason was given."


def _record(row: RowMapping) -> Record:
    origin = made(Origin, {**row, "seed": int(row["seed"])})
    return made(Record, {**row, "origin": origin})
