"""Documents as molecules: each is read by RDKit, made plain by rule, and written in one form.

The first word of a document is its SMILES; what follows on the line is a name. Each rule counts:

- What RDKit cannot read is left out (`no_molecule`), and so are talks and several lines.
- Of a salt the part with the most atoms is kept (`salt`).
- Charges are neutralised where RDKit's Uncharger can (`neutralised`), else kept (`charged`).
- Isotopes and stereochemistry are kept; hydrogen that a SMILES writes out is not.
- Of molecules that are the same afterwards one is kept (`duplicate`); where the files have parts,
  one of each part, and of these the one that is held out (`leak`).
- What SELFIES cannot write (`no_selfies`) or what is too long for a row (`too_long`) is left out.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from genloom.data.documents import ROWS
from genloom.data.findings import Finding
from genloom.data.source import Entry, Source
from genloom.data.tables import has_pictures
from genloom.data.trees import Folder
from genloom.data.turns import chosen_columns
from genloom.errors import BadInput, MissingExtra
from genloom.molecules import chemistry
from genloom.words import words_of

FORMS = SMILES, SELFIES = "smiles", "selfies"
VERSION = 1  # of the rules above: part of the fingerprint
ENDINGS = (".smi", ".smi.gz", ".smi.xz")
_PARQUET = ".parquet"
_TABLES = (_PARQUET, *(f"{end}{packed}" for end in ROWS for packed in ("", ".gz", ".xz")))
_HEAD = 2**16  # bytes of a table that hold its first row
_KNOWN = 2**18  # documents that a second reading need not ask RDKit for

Told = tuple[str, tuple[tuple[str, str], ...]]
"""A text, "" where the document is left out, and (code, reason) of each rule that was applied."""


def molecules(source: Source, form: str | None, longest: int) -> Source:
    """The documents of a source as molecules; other sources and forms are left as they are.

    Args:
        source: Of SMILES.
        form: How they are to be written: "smiles" or "selfies".
        longest: Words of the longest that are kept.

    Raises:
        BadInput: RDKit or selfies is not installed. Reading it: the documents are pairs.
    """
    if form not in FORMS or not source.documents:
        return source
    try:
        release = _release(form)
    except MissingExtra as missing:
        raise BadInput(f"{missing}; or read plain text: data.tokenizer = letters.") from missing

    told = lru_cache(_KNOWN)(lambda text: _told(text, form, longest))

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        first: dict[tuple[str, str], str] = {}
        for entry in source.entries(findings):
            if entry.rejected:
                raise BadInput(
                    f"{entry.name} is a pair, which is no molecule: data.tokenizer = letters."
                )
            text, applied = ("", _TALK) if len(entry.turns) != 1 else told(entry.turns[0][1])
            notes = [Finding(entry.name, *found, kept=bool(text)) for found in applied]
            if text and (same := first.setdefault((entry.part, text), entry.name)) != entry.name:
                findings.append(Finding(entry.name, "duplicate", f"is the molecule of {same}"))
                continue
            findings += notes
            if text:
                yield replace(entry, turns=(("", text),))

    notes = [*source.notes, f"molecules as {form}, canonical by {release}"]
    return replace(
        source, form=f"molecules, {source.form}", entries=entries, words=form, notes=notes
    )


_TALK = (("bad_document", "a talk is no molecule"),)


def _release(form: str) -> str:
    """The release that canonical forms depend on."""
    chemistry.rdkit()
    from rdkit import rdBase

    if form == SELFIES:
        chemistry.selfies()
    return f"RDKit {rdBase.rdkitVersion}"


def _told(text: str, form: str, longest: int) -> Told:
    """What becomes of a document, by the rules of this file."""
    words = text.split()
    if not words:
        return "", (("no_text", "nothing but white space"),)
    found = None if "\n" in text.strip() else chemistry.plain(words[0])
    if found is None:
        return "", (("no_molecule", repr(text[:60])),)
    written = found.smiles if form == SMILES else chemistry.to_selfies(found.smiles)
    if not written:
        return "", (("no_selfies", found.smiles[:60]),)
    if (length := len(words_of(written, form))) > longest:
        return "", (("too_long", f"{length} words, more than {longest}"),)
    applied = {"salt": found.salt, "neutralised": found.neutralised, "charged": found.charged}
    return written, tuple((code, words[0][:60]) for code, needed in applied.items() if needed)


def usual_form(path: Path, columns: tuple[str, ...]) -> str | None:
    """How documents are read where nobody says: as "smiles", or as any text.

    SMILES are files *.smi, and tables whose text is a column called smiles, in any case; of a
    folder, where it holds nothing else.

    Args:
        path: A file or a folder.
        columns: Of the text, where somebody named them; see `turns.chosen_columns`.
    """
    files = [path / name for name in Folder(path).names] if path.is_dir() else [path]
    names = [file.name.lower() for file in files]
    if names and all(name.endswith(ENDINGS) for name in names):
        return SMILES
    if not names or not all(name.endswith(_TABLES) for name in names):
        return None
    row = _first_row(files[0])
    try:
        chosen = chosen_columns(row, columns, files[0].name) if row else ()
    except BadInput:
        return None  # the reader will say so
    return SMILES if [column.lower() for column in chosen] == [SMILES] else None


def _first_row(path: Path) -> Mapping[str, Any] | None:
    """The first row of a table, if its first bytes hold it; of Parquet, its columns."""
    if path.suffix.lower() == _PARQUET:
        return dict.fromkeys(_columns(path))
    text = _head(path).decode("utf-8-sig", "replace")
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if suffixes & {".csv", ".tsv"}:
        comma = "\t" if ".tsv" in suffixes else ","
        names = next(csv.reader(text.splitlines()[:1], delimiter=comma), [])
        return dict.fromkeys(names)
    start = text.find("{")
    try:
        return json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except (ValueError, RecursionError):
        return None


def _columns(path: Path) -> list[str]:
    """Of a Parquet file of text that has one called smiles; none of others."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _HEAD))
        if SMILES.encode() not in file.read().lower():
            return []  # not worth an import
    try:
        import pyarrow.parquet as pq

        names = pq.read_schema(path).names
    except (ImportError, OSError, ValueError):
        return []  # the reader will say so
    return [] if has_pictures(names) else names


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        magic = file.read(2)
    openers: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}
    try:
        with openers.get(magic, open)(path, "rb") as stream:
            return stream.read(_HEAD)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return b""  # the reader will say so
