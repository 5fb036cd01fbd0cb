"""One record for each output: what makes it again, what it is, and whether it may be seen.

All outputs of a request are recorded in one transaction. Small contents lie in the database, beside
their records, where one write keeps both; larger ones are blobs, written before their records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, final

from sqlalchemy import delete, exists, insert, select, update

from genloom.errors import BadInput
from genloom.serve.store.blobs import Blobs
from genloom.serve.store.database import Store
from genloom.serve.store.errors import Held, NotFound
from genloom.serve.store.ids import checked, fresh, shown
from genloom.serve.store.output import Made, Origin, Record
from genloom.serve.store.rows import Page, found, made, owned, page, plain
from genloom.serve.store.tables import contents, records

LARGEST = 2**16  # bytes of the options, and of the software
SMALL = 2**15  # bytes of a content that is kept in the database


@final
class Records:
    """The outputs of a store.

    After a power cut the last moments' records may be missing, whole ones all the same: they are
    written as `Store.writing` does what need not be lasting.

    Args:
        store: Where the records are kept.
        blobs: Where the bytes of the larger ones are kept.
    """

    def __init__(self, store: Store, blobs: Blobs):
        self.store, self.blobs = store, blobs

    def add(
        self, owner: str, content: bytes, origin: Origin, *, kind: str, media_type: str, **more: Any
    ) -> Record:
        """Record one output; see `Made` for the arguments, and `add_all`."""
        made = Made(content=content, origin=origin, kind=kind, media_type=media_type, **more)
        return self.add_all(owner, [made])[0]

    def add_all(self, owner: str, outputs: Sequence[Made]) -> list[Record]:
        """Record the outputs of a request, all of them or none.

        Raises:
            BadInput: A seed is out of its range, or options are not JSON of 64 KiB.
        """
        if not outputs:
            return []
        rows = [self._row(owner, output) for output in outputs]
        inside: list[dict[str, Any]] = []
        for row, output in zip(rows, outputs, strict=True):
            if not output.keep and output.held_for is None:
                continue
            if len(output.content) <= SMALL:
                inside.append({"output": row["id"], "content": output.content})
            else:
                row["blob"] = self.blobs.put(output.content)
        with self.store.writing(lasting=False) as connection:
            connection.execute(insert(records), rows)
            if inside:
                connection.execute(insert(contents), inside)
        return [_record(row) for row in rows]

    def _row(self, owner: str, output: Made) -> dict[str, Any]:
        origin = output.origin
        if not 0 <= origin.seed < 2**64:
            raise BadInput(f"seed = {origin.seed}: it must be in [0, 2**64).")
        held_for = output.held_for
        return vars(origin) | {
            "seed": str(origin.seed),
            "options": plain(dict(origin.options), "options", LARGEST),
            "software": plain(dict(origin.software), "software", LARGEST),
            "id": fresh(),
            "owner": owner,
            "kind": output.kind,
            "media_type": output.media_type,
            "sha256": hashlib.sha256(output.content).hexdigest(),
            "perceptual": output.perceptual,
            "blob": None,
            "created": self.store.clock(),
            "state": "free" if held_for is None else "held",
            "held_for": None if held_for is None else shown(held_for, 1000),
            "decided_by": None,
            "reason": None,
            "decided": None,
            "plain_sha256": output.plain_sha256,
            "report": output.report,
            "licence": output.licence,
            "gate": output.gate,
        }

    def get(self, owner: str, record_id: str) -> Record:
        """An owner's record, whatever its state.

        Raises:
            NotFound: There is none, or it is another's; so below.
        """
        with self.store.reading() as connection:
            return _record(owned(connection, records, owner, record_id))

    def look(self, record_id: str) -> Record:
        """A record of any owner, for whoever runs the server.

        Raises:
            NotFound: There is none.
        """
        this = records.c.id == checked(record_id, "output")
        with self.store.reading() as connection:
            return _record(found(connection.execute(select(records).where(this)), records))

    def page(
        self, owner: str, *, model: str | None = None, after: str | None = None, limit: int = 20
    ) -> Page[Record]:
        """An owner's records, of the model of a hash or of all, newest first.

        `after` is the id of the last one seen.
        """
        which = [records.c.owner == owner]
        if model is not None:
            which.append(records.c.model == shown(model))
        with self.store.reading() as connection:
            return page(connection, records, _record, *which, after=after, limit=limit)

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
        return self.stored(record)

    def stored(self, record: Record) -> bytes:
        """The bytes of a record, whatever its state.

        Raises:
            NotFound: They were not kept, or are gone.
        """
        if record.blob is not None:
            return self.blobs.get(record.blob)
        this = select(contents.c.content).where(contents.c.output == record.id)
        with self.store.reading() as connection:
            content = connection.scalar(this)
        if content is None:
            raise NotFound("output")
        return content

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
        return record, self.stored(record)

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


def _record(row: Mapping[Any, Any]) -> Record:
    origin = made(Origin, {**row, "seed": int(row["seed"])})
    return made(Record, {**row, "origin": origin})
