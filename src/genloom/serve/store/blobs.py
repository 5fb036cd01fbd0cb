"""Bytes by generated id, in a folder or an object store; no name from outside becomes a path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import final

import fsspec

from genloom.errors import BadInput
from genloom.serve.store.errors import NotFound
from genloom.serve.store.ids import checked, fresh

WHOLE = ("memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Kinds of store in which an object appears whole or not at all."""


@final
class Blobs:
    """A place for bytes. Whose they are is told by the rows that hold their ids.

    Args:
        url: A folder, or an object store such as `s3://bucket/prefix`.

    Raises:
        BadInput: The kind of store may show half-written objects, or is unknown.
        MissingExtra: Its driver is not installed.
    """

    def __init__(self, url: str | Path):
        text = str(url)
        kind = text.partition("://")[0] if "://" in text else "file"
        if kind not in ("file", *WHOLE) or "::" in text:
            raise BadInput(f"{text} cannot keep blobs: use a folder, or {', '.join(WHOLE)}://.")
        try:
            self._fs, self._root = fsspec.core.url_to_fs(text)
        except ImportError as error:
            raise BadInput(f"{kind}:// needs a driver: {error}") from error
        self._local = kind == "file"
        if self._local:
            Path(self._root).mkdir(parents=True, exist_ok=True, mode=0o700)

    def _path(self, blob_id: str) -> str:
        """Where a blob lies: one of 1024 folders, so that none has a million entries."""
        return f"{self._root}/{checked(blob_id, 'blob')[:2]}/{blob_id}"

    def put(self, content: bytes) -> str:
        """Keep bytes under a new id; a reader finds all of them or nothing, whatever happens."""
        blob_id = fresh()
        path = self._path(blob_id)
        if self._local:
            _write(Path(path), content)
        else:
            self._fs.pipe_file(path, content)
        return blob_id

    def get(self, blob_id: str) -> bytes:
        """The bytes of an id.

        Raises:
            NotFound: There are none.
        """
        try:
            return self._fs.cat_file(self._path(blob_id))
        except FileNotFoundError:
            raise NotFound("blob") from None

    def delete(self, blob_id: str) -> None:
        """Remove the bytes of an id.

        Raises:
            NotFound: There are none, as far as the store tells: S3 does not.
        """
        try:
            self._fs.rm_file(self._path(blob_id))
        except FileNotFoundError:
            raise NotFound("blob") from None


def _write(path: Path, content: bytes) -> None:
    """Write a file aside, have it reach the disk, and give it its name."""
    path.parent.mkdir(exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}")
    try:
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    finally:
        aside.unlink(missing_ok=True)
