"""Files of text as documents: lines, paragraphs, whole files, or rows of JSON and CSV.

A document is plain text, or turns of a talk; a row may be a pair of documents that differ in their
last answer (see `turns`). What holds no text, or no pair, is left out and counted.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from genloom.data.arrays import inflate
from genloom.data.findings import Damaged, Finding
from genloom.data.metadata import decode_text
from genloom.data.source import PART_NAMES, Entry, Source
from genloom.data.turns import chosen_columns, is_pair, pair_of, turns_of

Unit = Literal["line", "paragraph", "file"]
ROWS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
PART = ("split", "part", "subset")
Rows = Iterable[tuple[int, Mapping[str, Any]]]


def text_documents(paths: Sequence[Path], unit: Unit) -> Source:
    """UTF-8 files; those that cannot be read are left out where there are others.

    Args:
        paths: The files.
        unit: What a document is: a line, what empty lines part, or a file.
    """

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        for path in paths:
            try:
                text = decode_text(inflate(path), path.name)
            except Damaged as damaged:
                if len(paths) == 1:
                    raise
                findings.append(damaged.finding)
                continue
            part = PART_NAMES.get(path.stem.lower(), "") if len(paths) > 1 else ""
            for i, piece in enumerate(_pieces(text, unit), 1):
                name = path.name if unit == "file" else f"{path.name}:{i}"
                yield Entry(name, turns=(("", piece),), part=part)

    return Source(f"text, each {unit} a document", "text", entries, documents=True, unit=unit)


@dataclass(frozen=True)
class Table:
    """A table of text, not yet read.

    Args:
        name: For messages.
        part: As `Entry.part`, where its rows do not say.
        rows: Reads number and cells of each row, and appends to the findings it is given.
    """

    name: str
    part: str
    rows: Callable[[list[Finding]], Rows]


def table_documents(paths: Sequence[Path], columns: tuple[str, ...]) -> Source:
    """Rows of JSON lines, of a JSON list, or of CSV; see `row_documents`."""
    several = len(paths) > 1
    return row_documents(
        "rows of text",
        [
            Table(
                path.name,
                PART_NAMES.get(path.stem.lower(), "") if several else "",
                partial(_rows, path),
            )
            for path in paths
        ],
        columns,
    )


def row_documents(form: str, tables: Sequence[Table], columns: tuple[str, ...]) -> Source:
    """Rows of tables; those without text where it should be are left out.

    Args:
        form: As `Source.form`.
        tables: Where they are.
        columns: See `turns.chosen_columns`.
    """

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        for table in tables:
            chosen: tuple[str, ...] | None = None
            for line, row in table.rows(findings):
                chosen = chosen or chosen_columns(row, columns, table.name)
                place, paired = f"{table.name}:{line}", is_pair(chosen)
                try:
                    turns = pair_of(row, chosen) if paired else (turns_of(row, chosen), ())
                except ValueError as error:
                    code = "bad_pair" if paired else "bad_document"
                    findings.append(Finding(place, code, str(error)))
                    continue
                own = next((str(row[key]) for key in PART if row.get(key)), table.part)
                part = PART_NAMES.get(own.lower(), "")
                yield Entry(place, turns=turns[0], rejected=turns[1], part=part)

    return Source(form, "text", entries, documents=True, texts=columns)


def _pieces(text: str, unit: Unit) -> list[str]:
    if unit == "file":
        return [text]
    return (
        text.removesuffix("\n").split("\n")
        if unit == "line"
        else re.split(r"\n\s*\n", text.strip("\n"))
    )


def _rows(path: Path, findings: list[Finding]) -> Rows:
    text = decode_text(inflate(path), path.name)
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if suffixes & {".csv", ".tsv"}:
        return _cells(text, "\t" if ".tsv" in suffixes else ",", path.name, findings)
    if text.lstrip()[:1] == "[":
        return _listed(text, path.name)
    return _lines(text, path.name, findings)


def _lines(text: str, name: str, findings: list[Finding]) -> Rows:
    for line, one in enumerate(text.removesuffix("\n").split("\n"), 1):
        if not one.strip():
            findings.append(Finding(f"{name}:{line}", "no_text", "an empty line"))
            continue
        try:
            row = json.loads(one)
        except (ValueError, RecursionError) as error:
            findings.append(Finding(f"{name}:{line}", "bad_json", str(error)[:80]))
            continue
        if isinstance(row, dict):
            yield line, row
        else:
            findings.append(Finding(f"{name}:{line}", "bad_json", f"a {type(row).__name__}"))


def _listed(text: str, name: str) -> Rows:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(name, "bad_json", str(error)[:80]) from None
    for i, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise Damaged(name, "bad_json", f"item {i} is a {type(row).__name__}")
        yield i, row


def _cells(text: str, comma: str, name: str, findings: list[Finding]) -> Rows:
    table = csv.DictReader(io.StringIO(text), delimiter=comma, strict=True)
    try:
        for row in table:
            if None in row or None in row.values():
                reason = f"{len(table.fieldnames or ())} columns"
                findings.append(Finding(f"{name}:{table.line_num}", "ragged_row", reason))
                continue
            yield table.line_num, row
    except csv.Error as error:
        raise Damaged(name, "bad_csv", str(error)) from None
