"""Tables that lie beside pictures and give them labels and captions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from genloom.data.findings import Damaged, Finding
from genloom.data.source import PART_NAMES
from genloom.data.trees import Tree
from genloom.errors import BadInput, nearest

NAMES = frozenset(
    f"{stem}.{ending}" for stem in ("metadata", "captions", "labels") for ending in ("jsonl", "csv")
)
_FILE = ("file_name", "filename", "file", "path", "image")
_LABEL = ("label", "class", "category", "target")
_PART = ("split", "part", "subset")
_CAPTION = ("text", "caption", "prompt", "description", "title", "name")


@dataclass(frozen=True)
class Row:
    """What a table says about one file; several captions are lines."""

    label: str | None
    caption: str
    part: str = ""


def decode_text(data: bytes, name: str) -> str:
    """UTF-8 without NUL; a byte order mark is dropped and line ends become LF.

    Raises:
        Damaged: It is something else.
    """
    if b"\0" in data:
        raise Damaged(name, "nul", f"at byte {data.index(0)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Damaged(name, "not_utf8", f"at byte {error.start}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_tables(
    tree: Tree,
    images: list[str],
    findings: list[Finding],
    *,
    tables: frozenset[str] = NAMES,
    columns: tuple[str, ...] = (),
) -> dict[str, Row]:
    """File name -> row, from every table in the tree.

    File names are relative to the table's folder; a bare name that is unique below it will do.

    Args:
        tree: Where the tables lie.
        images: Files that they may speak of.
        findings: Grows by what is wrong with them.
        tables: What they are called.
        columns: Of the captions; empty: the first that is called like one.

    Raises:
        BadInput: A table lacks one of the columns.
    """
    found: dict[str, Row] = {}
    for table in (name for name in tree.names if PurePosixPath(name).name in tables):
        try:
            rows = list(_rows(decode_text(tree.read(table), table), table, findings))
        except Damaged as damaged:
            findings.append(damaged.finding)
            continue
        found |= _match(table, rows, images, findings, columns)
    return found


def _match(
    table: str,
    rows: list[tuple[int, Mapping[str, Any]]],
    images: list[str],
    findings: list[Finding],
    columns: tuple[str, ...],
) -> dict[str, Row]:
    if not rows:
        return {}
    keys = list(rows[0][1])
    file_key = _column(keys, _FILE)
    if file_key is None:
        reason = f"no column of {', '.join(_FILE)}; there are {', '.join(map(str, keys))[:80]}"
        findings.append(Finding(table, "missing_column", reason))
        return {}
    label_key, part_key = _column(keys, _LABEL), _column(keys, _PART)
    caption_keys = _caption_columns(table, keys, columns)
    base = PurePosixPath(table).parent
    known, bare = set(images), _bare_names(images, base)
    found: dict[str, Row] = {}
    for line, row in rows:
        wanted = str(row.get(file_key, ""))
        name = (base / wanted).as_posix()
        name = name if name in known else bare.get(wanted)
        if not name:
            findings.append(Finding(table, "missing_file", f"line {line}: {wanted[:80]!r}"))
            continue
        label = row.get(label_key) if label_key else None
        captions = [str(row.get(key) or "") for key in caption_keys]
        part = PART_NAMES.get(str(row.get(part_key, "")).lower(), "") if part_key else ""
        label = None if label is None else str(label)
        found[name] = Row(label, _lines(captions) if columns else "".join(captions), part)
    return found


def _caption_columns(table: str, keys: list[str], columns: tuple[str, ...]) -> list[str]:
    """Those that are asked for, or the one that is called like one."""
    if missing := [column for column in columns if column not in keys]:
        raise BadInput(f"{table} has no column {missing[0]!r}{nearest(missing[0], map(str, keys))}")
    usual = _column(keys, _CAPTION)
    return list(columns) or ([usual] if usual else [])


def _lines(captions: list[str]) -> str:
    """Several captions, one a line."""
    return "\n".join(line for line in (" ".join(text.split()) for text in captions) if line)


def _bare_names(images: list[str], base: PurePosixPath) -> dict[str, str | None]:
    """Bare name -> full name below base; None where two files share it."""
    prefix = "" if base.as_posix() == "." else f"{base.as_posix()}/"
    found: dict[str, str | None] = {}
    for name in images:
        if name.startswith(prefix):
            bare = PurePosixPath(name).name
            found[bare] = None if bare in found else name
    return found


def _column(keys: list[str], wanted: tuple[str, ...]) -> str | None:
    """The first of the wanted columns; `caption_en` will do for `caption`."""
    lower = {str(key).lower(): key for key in keys}
    exact = (lower[name] for name in wanted if name in lower)
    suffixed = (
        lower[key]
        for name in wanted
        if name in _CAPTION
        for key in lower
        if key.startswith(f"{name}_")
    )
    return next(exact, None) or next(suffixed, None)


def _rows(
    text: str, table: str, findings: list[Finding]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if table.endswith(".jsonl"):
        for line, content in enumerate(text.split("\n"), 1):
            if not content.strip():
                continue
            try:
                row = json.loads(content)
            except (json.JSONDecodeError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield line, row
            else:
                findings.append(Finding(table, "bad_json", f"line {line}: {content[:60]!r}"))
        return
    reader = csv.DictReader(io.StringIO(text))
    try:
        for row in reader:
            if None in row or None in row.values():
                reason = f"line {reader.line_num}: not {len(reader.fieldnames or ())} cells"
                findings.append(Finding(table, "ragged_row", reason))
            else:
                yield reader.line_num, row
    except csv.Error as error:
        findings.append(Finding(table, "bad_csv", f"line {reader.line_num}: {error}"))
