"""Files of text as documents: lines, paragraphs, whole files, or rows of JSON and CSV.

A document is plain text, or turns of a talk: a row with `messages` has those, one with `prompt` and
`completion` has two. One with `chosen` and `rejected` is a pair of documents that differ in their
last answer. What holds no text, or no pair, is left out and counted.
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
from genloom.errors import BadInput, nearest
from genloom.lexicon import ASKED, ROLES, Turns

Unit = Literal["line", "paragraph", "file"]
ROWS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_TEXT = ("text", "content", "document", "sentence", "smiles", "paragraphs")
_PAIR = (("prompt", "completion"), ("question", "answer"), ("source", "target"))
CHOICE = ("chosen", "rejected")
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
        columns: See `chosen_columns`.
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


def chosen_columns(row: Mapping[str, Any], columns: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Where the text of a table lies.

    Args:
        row: One of it; its names alone count.
        columns: What somebody asked for: one, two of a prompt and its completion, `CHOICE`, or
            three of a prompt, the chosen and the rejected answer. Empty: those that are called so.
        name: Of the table.

    Raises:
        BadInput: There are no such columns.
    """
    if missing := [column for column in columns if column not in row]:
        raise BadInput(f"{name} has no column {missing[0]!r}{nearest(missing[0], row)}")
    if len(columns) > 3:
        raise BadInput(
            f"{name}: text is one column, a prompt and its completion, or a prompt with a chosen "
            f"and a rejected answer: {columns}."
        )
    if columns:
        return columns
    if "messages" in row:
        return ("messages",)
    for pair in _PAIR:
        if all(column in row for column in pair):
            return pair
    for column in (*_TEXT, *(row if len(row) == 1 else ())):
        if column in row:
            return (column,)
    if any(column in row for column in CHOICE):
        return ("prompt", *CHOICE) if "prompt" in row else CHOICE
    raise BadInput(
        f"{name} has no column of text ({', '.join(map(str, row))}). Name it: data.text_column."
    )


def turns_of(row: Mapping[str, Any], columns: tuple[str, ...]) -> Turns:
    """The document of a row.

    Raises:
        ValueError: It is none, and why.
    """
    if columns == ("messages",):
        return _messages(row.get("messages"))
    texts = [_string(row.get(column), column) for column in columns]
    return tuple(zip(ROLES[1:], texts)) if len(texts) == 2 else (("", texts[0]),)


def is_pair(columns: tuple[str, ...]) -> bool:
    """Whether columns are those of a chosen and a rejected answer."""
    return columns == CHOICE or len(columns) == 3


def pair_of(row: Mapping[str, Any], columns: tuple[str, ...]) -> tuple[Turns, Turns]:
    """The chosen and the rejected document of a row: one prompt, and two answers to it.

    A cell is a text or a list of messages. Without a column of prompts the two talks share all
    but their last turn, or the answers are plain text; with one, an answer may repeat it.

    Raises:
        ValueError: It is no such pair, and why.
    """
    *asked, _, _ = columns
    if not asked and "prompt" in row:
        raise ValueError(f"it has a prompt: name the columns prompt, {', '.join(columns)}")
    prompt = _told(row, asked[0], ROLES[1]) if asked else ()
    chosen, rejected = (_answered(prompt, row, column) for column in columns[-2:])
    if chosen[:-1] != rejected[:-1]:
        raise ValueError(f"the prompts of {' and '.join(columns[-2:])} differ")
    if chosen == rejected:
        raise ValueError(f"{' and '.join(columns[-2:])} are the same")
    return chosen, rejected


def _answered(prompt: Turns, row: Mapping[str, Any], column: str) -> Turns:
    """The prompt and the answer of a column, which is the last turn."""
    found = _told(row, column, ASKED if prompt else "")
    role, text = found[-1]
    if role not in ("", ASKED):
        raise ValueError(f"{column} ends with the {role}, not with the {ASKED}")
    if not text.strip():
        raise ValueError(f"{column} holds no text")
    if len(found) == 1:
        return (*prompt, *found)
    if prompt and found[: len(prompt)] != prompt:
        raise ValueError(f"{column} does not begin with the prompt")
    return found


def _told(row: Mapping[str, Any], column: str, role: str) -> Turns:
    """The turns of a cell: those of its messages, or a text that one of this role says."""
    cell = row.get(column)
    if cell is None:
        raise ValueError(f"there is no {column}")
    if isinstance(cell, list):
        return _messages(cell, column)
    return ((role, _string(cell, column)),)


def _messages(found: Any, column: str = "messages") -> Turns:
    if not isinstance(found, list) or not found:
        raise ValueError(f"{column} is no list of {{role, content}}")
    turns = []
    for one in found:
        role, text = (one.get("role"), one.get("content")) if isinstance(one, dict) else (None, "")
        if role not in ROLES:
            raise ValueError(f"role {str(role)[:40]!r} is none of {', '.join(ROLES)}")
        turns.append((role, _string(text, "content")))
    return tuple(turns)


def _string(value: Any, column: str) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise ValueError(f"{column} is {type(value).__name__}, not text")
    return value.replace("\r\n", "\n").replace("\r", "\n")


def _pieces(text: str, unit: Unit) -> list[str]:
    if unit == "file":
        return [text]
    return text.split("\n") if unit == "line" else re.split(r"\n\s*\n", text.strip("\n"))


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
