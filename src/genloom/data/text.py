"""A text file as numbers: characters in sorted order, parts that follow each other."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path

import numpy as np

from genloom.data.arrays import inflate
from genloom.data.findings import Damaged
from genloom.data.metadata import decode_text
from genloom.data.source import Source

MAX_ALPHABET = 65536


def text_source(path: Path) -> Source:
    """One UTF-8 file. A byte order mark is dropped, line ends become LF."""

    def read() -> str:
        text = decode_text(inflate(path), path.name)
        if not text:
            raise Damaged(path.name, "empty", "no characters")
        return text

    return Source("text", "text", text=read)


def as_table(head: bytes) -> list[str]:
    """A note, where the first lines of a text are cells by commas, tabs or semicolons.

    Three lines at least and the first 20 at most, with one and the same number of cells above 2.
    """
    whole = head[: head.rfind(b"\n") + 1].decode("utf-8", "replace")
    lines = [line for line in whole.split("\n") if line.strip()][:20]
    with suppress(csv.Error):  # a bare carriage return, say
        for comma in ",\t;" if len(lines) > 2 else "":
            sizes = {len(row) for row in csv.reader(lines, delimiter=comma)}
            if len(sizes) == 1 and min(sizes) > 2:
                return [f"it looks like a table of {min(sizes)} columns; it is read as plain text"]
    return []


def number(text: str) -> tuple[np.ndarray, str]:
    """Ids (N,), uint8 or int32, and the alphabet: id i is its i-th character."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    letters, ids = np.unique(codes, return_inverse=True)
    alphabet = "".join(map(chr, letters))
    return ids.astype(np.uint8 if len(letters) <= 256 else np.int32), alphabet


def cut(n: int, valid: float, test: float) -> dict[str, slice]:
    """Train, then valid, then test, each one piece of n characters."""
    first, second = round(n * (1 - valid - test)), round(n * (1 - test))
    return {"train": slice(0, first), "valid": slice(first, second), "test": slice(second, n)}
