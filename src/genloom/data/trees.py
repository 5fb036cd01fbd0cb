"""A folder and a zip archive, read in the same way; an archive is never unpacked to disk."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from genloom.data.decode import MAX_BYTES
from genloom.data.findings import BROKEN, Damaged, one_line

MAX_MEMBERS = 500_000
MAX_RATIO = 100
RATIO_FLOOR = 2**24
"""A stream that unpacks to no more bytes than this is harmless, whatever its ratio."""


class Tree(Protocol):
    """Files by name, with / between folders."""

    names: list[str]
    empty: list[str]
    """Folders without a file."""

    def read(self, name: str) -> bytes:
        """The whole file. Raises Damaged where that is impossible or too much."""
        ...

    def head(self, name: str, n: int) -> bytes:
        """Its first n bytes."""
        ...


def hidden(name: str) -> bool:
    """Whether a file is the business of a desktop or an editor."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


class Folder:
    """A folder with all that lies below it; links to folders are not followed."""

    def __init__(self, root: Path):
        self.root, self.names, self.empty = root, [], []
        for folder, folders, files in os.walk(root):
            base = Path(folder).relative_to(root)
            if not files and not folders and folder != str(root):
                self.empty.append(base.as_posix())
            self.names += [(base / file).as_posix() for file in files]
        self.names = sorted(name for name in self.names if not hidden(name))

    def read(self, name: str) -> bytes:
        """The whole file."""
        path = self.root / name
        if not path.is_file():
            raise Damaged(name, "unsupported", "not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise Damaged(name, "too_big", f"{path.stat().st_size} bytes, at most {MAX_BYTES}")
        return path.read_bytes()

    def head(self, name: str, n: int) -> bytes:
        """Its first n bytes; none of what is not a regular file."""
        path = self.root / name
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(n)


class Archive:
    """A zip archive whose members have been looked at before any is read."""

    def __init__(self, file: zipfile.ZipFile, path: Path):
        inspect_zip(file, path)
        self.file, self.empty = file, []
        members = [info for info in file.infolist() if not info.is_dir()]
        self.infos = {info.filename: info for info in members if not hidden(info.filename)}
        self.names = sorted(self.infos)

    def read(self, name: str) -> bytes:
        """The whole member."""
        if self.infos[name].file_size > MAX_BYTES:
            raise Damaged(name, "too_big", f"{self.infos[name].file_size} bytes")
        return self.head(name, self.infos[name].file_size + 1)

    def head(self, name: str, n: int) -> bytes:
        """Its first n bytes."""
        try:
            with self.file.open(self.infos[name]) as member:
                return member.read(n)
        except BROKEN as error:
            raise Damaged(name, "corrupt", one_line(error)) from None


def inspect_zip(file: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive that could harm whoever unpacks it.

    Raises:
        Damaged: Links, absolute or parent paths, encryption, too many members, or a ratio.
    """
    infos = file.infolist()
    if len(infos) > MAX_MEMBERS:
        raise Damaged(path.name, "zip_members", f"{len(infos)}, at most {MAX_MEMBERS}")
    for info in infos:
        raw = info.orig_filename.replace("\\", "/")
        if raw.startswith("/") or ".." in raw.split("/") or PureWindowsPath(raw).drive:
            raise Damaged(path.name, "zip_path", f"member {info.filename!r}")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise Damaged(path.name, "zip_link", f"member {info.filename!r}")
        if info.flag_bits & 1:
            raise Damaged(path.name, "encrypted", f"member {info.filename!r}")
        check_ratio(path.name, info.file_size, info.compress_size)
    check_ratio(path.name, sum(info.file_size for info in infos), path.stat().st_size)


def check_ratio(name: str, unpacked: int, packed: int) -> None:
    """Refuse what unpacks to more than `MAX_RATIO` times its size."""
    if unpacked > RATIO_FLOOR and unpacked > MAX_RATIO * max(packed, 1):
        ratio = unpacked // max(packed, 1)
        raise Damaged(name, "zip_ratio", f"{ratio} times its size, at most {MAX_RATIO}")


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """A folder or a zip archive as a tree.

    Raises:
        Damaged: The archive cannot be read, or should not be.
    """
    if path.is_dir():
        yield Folder(path)
        return
    with open_zip(path) as file:
        yield Archive(file, path)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file, or `Damaged` with its name."""
    try:
        file = zipfile.ZipFile(path)
    except BROKEN as error:
        raise Damaged(path.name, "corrupt", one_line(error)) from None
    with file:
        yield file
