"""Folders that all processes of a server see: each has a copy of its own, the store has the newest.

Work that goes on in files (a training, a verdict, a batch) is one process's at a time. It keeps its
folder now and then; whoever takes the work over, or only looks, brings it. Where all processes
share a disk, the copies are one folder, and the store knows whose it is and whether it is done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, final

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from genloom.checkpoint import write_text
from genloom.serve.store.blobs import Blobs
from genloom.serve.store.database import Store
from genloom.serve.store.errors import LeaseLost, NotFound
from genloom.serve.store.tables import folders

COPY = ".copy.json"  # in a folder: which version it is a copy of, and of which files
TRIES = 5  # a checkpoint may give way to the next one while it is read


@dataclass(frozen=True)
class Change:
    """A folder that was kept.

    Args:
        name: "kind/NAME".
        done: Whether nothing more will come.
        changed: When, in seconds since 1970.
    """

    name: str
    done: bool
    changed: float


@dataclass
class _Copy:
    """What a process has of a folder: path -> [blob, bytes, time of its last change in ns]."""

    version: int = 0
    files: dict[str, list[Any]] = field(default_factory=dict)


@final
class Folders:
    """The folders of a store.

    Args:
        store: Where it is kept whose they are, and which files they have.
        blobs: Where the files are kept; None where all processes share `root`.
        root: Of this process's copies.
    """

    def __init__(self, store: Store, blobs: Blobs | None, root: Path):
        self.store, self.blobs, self.root = store, blobs, root
        self._lock = Lock()

    def path(self, name: str) -> Path:
        """Where this process's copy lies."""
        return self.root / name

    def reserve(self, name: str, owner: str) -> bool:
        """Give a name to an owner; False where it has one."""
        with self.store.writing(lock="folders") as connection:
            row = _row(connection, name)
            if row is None:
                values = {"id": name, "owner": owner, "created": self.store.clock()}
                values |= {"version": 0, "files": {}, "done": False, "changed": values["created"]}
                connection.execute(insert(folders).values(values))
        return row is None

    def owner(self, name: str) -> str | None:
        """Whose a folder is; None where there is none."""
        with self.store.reading() as connection:
            row = _row(connection, name)
        return None if row is None else row["owner"]

    def holds(self, name: str, path: str) -> bool:
        """Whether a file was among those of a folder when it was kept."""
        with self.store.reading() as connection:
            row = _row(connection, name)
        return row is not None and path in row["files"]

    def changed(self, since: float) -> list[Change]:
        """The folders that were kept at that time or later, in that order."""
        which = folders.c.version > 0, folders.c.changed >= since
        with self.store.reading() as connection:
            rows = connection.execute(select(folders).where(*which).order_by(folders.c.changed))
            return [Change(row.id, row.done, row.changed) for row in rows]

    def keep(self, name: str, *, done: bool = False) -> None:
        """Make this process's copy the newest.

        Raises:
            NotFound: Nobody has reserved the name.
            LeaseLost: Another process kept it since this one brought it.
        """
        with self._lock:
            copy = _read(self.path(name))
            files = self._sent(self.path(name), copy)
            try:
                before = self._swapped(name, copy.version, files, done)
            except BaseException:
                self._forget(_blobs(files) - _blobs(copy.files))
                raise
            if before is not None:
                _write(self.path(name), _Copy(copy.version + 1, files))
                self._forget(set(before.values()) - _blobs(files))

    def bring(self, name: str, *parts: str) -> Path:
        """Make this process's copy the newest one there is, or some parts of it; where it lies.

        What this process changed since it kept the folder stays, if nobody kept it after.

        Args:
            name: Of the folder.
            parts: Beginnings of the paths that are needed; none for all.

        Raises:
            NotFound: There is no such folder.
        """
        for attempt in range(TRIES):
            with self._lock, self.store.reading() as connection:
                row = _row(connection, name)
                if row is None:
                    raise NotFound("folder")
                try:
                    self._fetched(self.path(name), row, parts)
                    break
                except NotFound:  # a newer version has taken its place
                    if attempt == TRIES - 1:
                        raise
        return self.path(name)

    def drop(self, name: str) -> None:
        """Forget a folder, and this process's copy."""
        with self.store.writing(lock="folders") as connection:
            row = _row(connection, name)
            connection.execute(delete(folders).where(folders.c.id == name))
        if row is not None:
            self._forget(set(row["files"].values()))
        shutil.rmtree(self.path(name), ignore_errors=True)

    def _sent(self, here: Path, copy: _Copy) -> dict[str, list[Any]]:
        """Every file of a folder, with its blob; those that are new or have changed are sent."""
        if self.blobs is None:
            return {path: [""] for path in _listed(here)}
        sent: dict[tuple[Any, ...], str] = {
            (path, *stamp): blob for path, (blob, *stamp) in copy.files.items()
        }
        for attempt in range(TRIES):
            files: dict[str, list[Any]] = {}
            try:
                for path in _listed(here):
                    about = (here / path).stat()
                    key = (path, about.st_size, about.st_mtime_ns)
                    if key not in sent:
                        sent[key] = self.blobs.put((here / path).read_bytes())
                    files[path] = [sent[key], *key[1:]]
                break
            except FileNotFoundError:
                if attempt == TRIES - 1:
                    raise
        self._forget(set(sent.values()) - _blobs(files) - _blobs(copy.files))
        return files

    def _swapped(
        self, name: str, version: int, files: Mapping[str, list[Any]], done: bool
    ) -> dict[str, str] | None:
        """Write the row; the files that it had, or None where nothing is new."""
        now = {path: blob for path, (blob, *_) in files.items()}
        with self.store.writing(lock="folders") as connection:
            row = _row(connection, name)
            if row is None:
                raise NotFound("folder")
            if row["version"] != version:
                raise LeaseLost(f"{name} was taken on by another process.")
            if version and row["files"] == now and row["done"] == done:
                return None
            values = {"version": version + 1, "files": now, "done": done}
            values["changed"] = self.store.clock()
            connection.execute(update(folders).where(folders.c.id == name).values(values))
        return row["files"]

    def _fetched(self, here: Path, row: RowMapping, parts: tuple[str, ...]) -> None:
        if self.blobs is None:
            return
        copy = _read(here)
        if copy.version != row["version"] and not parts:
            for path in set(_listed(here)) - set(row["files"]):
                (here / path).unlink()
        held = {path: one for path, one in copy.files.items() if one[0] == row["files"].get(path)}
        for path, blob in row["files"].items():
            if path not in held and (not parts or path.startswith(parts)):
                target = here / path
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                aside = target.with_name(f".{target.name}.brought")
                aside.write_bytes(self.blobs.get(blob))
                aside.rename(target)
                about = target.stat()
                held[path] = [blob, about.st_size, about.st_mtime_ns]
        if copy.version != row["version"] or held != copy.files:
            here.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(here, _Copy(row["version"], held))

    def _forget(self, blobs: set[str]) -> None:
        for blob in blobs if self.blobs is not None else ():
            with suppress(NotFound):
                self.blobs.delete(blob)  # pyright: ignore[reportOptionalMemberAccess]


def _row(connection: Connection, name: str) -> RowMapping | None:
    query = select(folders).where(folders.c.id == name)
    return connection.execute(query).mappings().one_or_none()


def _listed(here: Path) -> list[str]:
    """Paths of the files in a folder; hidden ones are locks, or not written to their end."""
    found = (path.relative_to(here) for path in here.rglob("*") if path.is_file())
    return sorted(
        path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)
    )


def _blobs(files: Mapping[str, list[Any]]) -> set[str]:
    return {one[0] for one in files.values()}


def _read(here: Path) -> _Copy:
    try:
        return _Copy(**json.loads((here / COPY).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return _Copy()


def _write(here: Path, copy: _Copy) -> None:
    here.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(here / COPY, json.dumps({"version": copy.version, "files": copy.files}))
