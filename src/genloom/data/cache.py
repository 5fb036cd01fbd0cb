"""Packed data sets on disk: one folder each, named by content and options, memory-mapped.

`data.json` says what it holds; `train.npy`, `valid.npy` and `test.npy` hold the items and
`*.labels.npy` the labels. A pack is written aside and renamed, so it is whole or not there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from genloom.errors import BadInput, DiskFull

FORMAT = 1
"""Of packs and of the rules that made them; raise it when either changes."""


def root(cache: str | os.PathLike[str] | None = None) -> Path:
    """The folder of all packs: the argument, or GENLOOM_CACHE, or ~/.cache/genloom."""
    named = cache or os.environ.get("GENLOOM_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "genloom"


def hash_files(files: Sequence[Path], base: Path, store: Path) -> str:
    """sha256 over names and content. Files of known size and time are not read again."""
    stats = [(f.relative_to(base).as_posix(), f.stat()) for f in files if f.is_file()]
    seen = [[str(base.resolve())], *([name, s.st_size, s.st_mtime_ns] for name, s in stats)]
    note = store / "known" / hashlib.sha256(json.dumps(seen).encode()).hexdigest()
    if note.is_file() and len(known := note.read_text("ascii", "replace")) == 64:
        return known
    whole = hashlib.sha256()
    for name, _ in stats:
        with (base / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
    write_aside(note, lambda path: path.write_text(whole.hexdigest()))
    return whole.hexdigest()


def key(content: str, options: Mapping[str, Any]) -> str:
    """The fingerprint of a data set: its content and what was asked for."""
    named = json.dumps({"content": content, "format": FORMAT, **options}, sort_keys=True)
    return hashlib.sha256(named.encode()).hexdigest()


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file or folder beside its place, then rename it; the first writer wins.

    Raises:
        BadInput: The cache folder cannot be written.
        DiskFull: No space left; nothing stays behind.
    """
    aside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".aside-", dir=path.parent))
        write(aside / path.name)
        if not path.exists():
            os.rename(aside / path.name, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"No space left in {path.parent} for the packed data; set GENLOOM_CACHE."
            raise DiskFull(message) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            message = f"{path.parent} cannot be written; set GENLOOM_CACHE to a folder that can be."
            raise BadInput(message) from None
        if not path.exists():  # else another process was faster, with the same content
            raise
    finally:
        if aside:
            shutil.rmtree(aside, ignore_errors=True)


def write_array(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], rows: Iterable[bytes]
) -> str:
    """Write a .npy file row by row; returns the sha256 of its values."""
    content = hashlib.sha256()
    with path.open("wb") as file:
        _header(file, dtype, shape)
        for row in rows:
            content.update(row)
            file.write(row)
    return content.hexdigest()


def _header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    named = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, named)


def map_array(path: Path) -> np.ndarray:
    """A .npy file as memory-mapped pages; writing to them never reaches the file."""
    empty = np.load(path, mmap_mode="r", allow_pickle=False).size == 0
    return np.load(path, mmap_mode=None if empty else "c", allow_pickle=False)


def read_description(pack: Path) -> dict[str, Any] | None:
    """data.json of a pack, or None where there is no whole pack."""
    try:
        description = json.loads((pack / "data.json").read_text("utf-8"))
        whole = all((pack / n).stat().st_size == s for n, s in description["sizes"].items())
    except (OSError, ValueError, KeyError):
        return None
    return description if whole else None
