"""The files that people send and batches write, as the OpenAI interface lists them."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import final

from sqlalchemy import RowMapping, delete, insert

from genloom.serve.store.blobs import Blobs
from genloom.serve.store.database import Store
from genloom.serve.store.errors import NotFound
from genloom.serve.store.ids import shown
from genloom.serve.store.rows import Page, made, owned, page
from genloom.serve.store.tables import files


@dataclass(frozen=True)
class File:
    """A file that was kept.

    Args:
        id: Of the file, and of its bytes.
        owner: Who may see it.
        filename: As it was sent, for people only; it is no path of ours.
        purpose: "batch", "user_data", "vision", ...
        bytes: How many.
        sha256: Of them.
        created: Seconds since 1970.
    """

    id: str
    owner: str
    filename: str
    purpose: str
    bytes: int
    sha256: str
    created: float


@final
class Files:
    """The files of a store.

    Args:
        store: Where the rows are kept.
        blobs: Where the bytes are kept.
    """

    def __init__(self, store: Store, blobs: Blobs):
        self.store, self.blobs = store, blobs

    def add(self, owner: str, filename: str, purpose: str, content: bytes) -> File:
        """Keep a file."""
        values = {
            "owner": owner,
            "filename": shown(filename),
            "purpose": shown(purpose),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "created": self.store.clock(),
            # Bytes first: should we die here, they lie there unseen, and no row lacks its bytes.
            "id": self.blobs.put(content),
        }
        with self.store.writing() as connection:
            connection.execute(insert(files).values(values))
        return made(File, values)

    def get(self, owner: str, file_id: str) -> File:
        """An owner's file.

        Raises:
            NotFound: There is none, or it is another's; so below.
        """
        with self.store.reading() as connection:
            return _file(owned(connection, files, owner, file_id))

    def content(self, owner: str, file_id: str) -> bytes:
        """The bytes of an owner's file."""
        return self.blobs.get(self.get(owner, file_id).id)

    def page(
        self, owner: str, *, purpose: str | None = None, after: str | None = None, limit: int = 20
    ) -> Page[File]:
        """An owner's files, newest first; `after` is the id of the last one seen."""
        which = [files.c.owner == owner]
        if purpose is not None:
            which.append(files.c.purpose == shown(purpose))
        with self.store.reading() as connection:
            return page(connection, files, _file, *which, after=after, limit=limit)

    def delete(self, owner: str, file_id: str) -> None:
        """Forget an owner's file and its bytes."""
        with self.store.writing() as connection:
            row = owned(connection, files, owner, file_id, lock=True)
            connection.execute(delete(files).where(files.c.id == row["id"]))
        with suppress(NotFound):
            self.blobs.delete(row["id"])


def _file(row: RowMapping) -> File:
    return made(File, row)
