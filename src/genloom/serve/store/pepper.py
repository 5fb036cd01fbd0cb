"""The server's own secret, which the hash of every API key is keyed with."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from pathlib import Path

from genloom.errors import BadInput
from genloom.serve.store.ids import fresh


def pepper(path: str | Path, *, served: Collection[str | Path] = ()) -> bytes:
    """The server's own part of the hash of every key, made at the first call.

    Args:
        path: Of the file; only its owner may read it.
        served: Folders that the server gives files from.

    Raises:
        BadInput: It lies within a served folder, others may read it, or it is not ours.
    """
    path = Path(path).absolute()
    for folder in served:
        if path.resolve().is_relative_to(Path(folder).resolve()):
            raise BadInput(f"{path} lies in {folder}, which is served. Keep it elsewhere.")
    if not path.exists():
        _write_secret(path, secrets.token_bytes(32))
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise BadInput(f"{path} has mode {mode:o}: others may read it. Run: chmod 600 {path}")
    content = path.read_bytes()
    if len(content) != 32:
        raise BadInput(f"{path} has {len(content)} bytes, not the 32 of a pepper of genloom.")
    return content


def _write_secret(path: Path, content: bytes) -> None:
    """Write a file whole; where two processes do so at once, the first one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{fresh()}")
    handle = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    finally:
        aside.unlink()
