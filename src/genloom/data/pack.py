"""Decode a source once and write it as a pack: three arrays of items, and what describes them."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from genloom.data.cache import write_array
from genloom.data.decode import conform
from genloom.data.documents import Unit
from genloom.data.find import Wanted
from genloom.data.findings import Finding
from genloom.data.running import write_running
from genloom.data.shelving import write_documents
from genloom.data.source import PARTS, Entry, Source
from genloom.data.split import check_fractions, digest, parts_of
from genloom.data.survey import Survey, shape_of
from genloom.errors import BadInput


@dataclass(frozen=True)
class ImportOptions:
    """How files become items; part of the fingerprint.

    Args:
        size: Resize and crop pictures to size x size; None keeps them.
        channels: 1 makes them grey, 3 RGB; None keeps them (RGB where any is).
        length: Characters, or numbers, of one item of text.
        valid: Share of the validation part, where the files have none.
        test: Share of the test part, where the files have none.
        seed: Of the split.
        pairs: "paired" or "unpaired": the data are two folders, sources and what is made of them.
        caption_column: Columns of tables that captions are taken from, by commas.
        text_column: Columns of tables that documents are taken from, by commas.
        document: What a document of text files is; see `find.Wanted`.
        tokenizer: How texts are read; see `shelving.lexicon_of` and `running`.
        vocab: Pieces of a tokenizer that is learnt.
        talks: How talks are written; see `prompts.PROMPTS`.
    """

    size: int | None = None
    channels: int | None = None
    length: int | None = None
    valid: float = 0.1
    test: float = 0.1
    seed: int = 0
    pairs: str | None = None
    caption_column: str | None = None
    text_column: str | None = None
    document: Unit | None = None
    tokenizer: str | None = None
    vocab: int | None = None
    talks: str | None = None

    @property
    def wanted(self) -> Wanted:
        """What is to be read of the data."""
        return Wanted(_names(self.caption_column), _names(self.text_column), self.document)

    def named(self) -> dict[str, Any]:
        """For the fingerprint; the later options only where they are set, so that old ones stay."""
        old = ("size", "channels", "length", "valid", "test", "seed")
        return {k: v for k, v in asdict(self).items() if k in old or v is not None}

    def check(self, kind: str) -> None:
        """Raises BadInput for a value that no data, or not this kind of data, can have."""
        check_fractions(self.valid, self.test)
        _check_whole("size", self.size, 1, 4096)
        _check_whole("length", self.length, 2, 2**20)
        _check_whole("seed", self.seed, -(2**63), 2**63 - 1)
        if self.channels not in (None, 1, 3):
            raise BadInput(f"channels = {self.channels!r} must be 1 (grey) or 3 (RGB).")
        if kind != "image" and (self.size or self.channels):
            raise BadInput(f"size and channels are for images; this is {kind}.")
        if kind != "text" and self.length:
            raise BadInput(f"length is for text; this is {kind}.")
        _check_whole("vocab", self.vocab, 256, 2**20)
        if self.tokenizer and kind != "text":
            raise BadInput("tokenizer reads documents, or captions: set data.captions=true.")
        if self.talks and (self.tokenizer is None or kind != "text"):
            raise BadInput("talks is for documents that the tokenizer of a checkpoint reads.")
        if self.vocab and self.tokenizer != "bpe":
            raise BadInput("vocab is for tokenizer = 'bpe', which is learnt; leave it out.")


def _names(columns: str | None) -> tuple[str, ...]:
    """Those of a list by commas."""
    return tuple(name.strip() for name in (columns or "").split(",") if name.strip())


def _check_whole(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not (type(value) is int and low <= value <= high):
        raise BadInput(f"{name} = {value!r} must be a whole number in [{low}, {high}].")


NOTHING = np.empty(0, np.uint8)  # the value of an entry whose own lies elsewhere


def write_pack(source: Source, name: str, options: ImportOptions, folder: Path) -> None:
    """Fill a new folder with the pack of a source.

    Raises:
        BadInput: The data cannot be used as asked for.
    """
    options.check(source.kind)
    folder.mkdir()
    write = _write_text if source.kind == "text" else _write_rows
    write = _write_documents if source.documents else write
    description = write(source, name, options, folder)
    description |= {"kind": source.kind, "form": source.form, "name": name}
    description["sizes"] = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    (folder / "data.json").write_text(json.dumps(description), "utf-8")


def _write_text(source: Source, name: str, options: ImportOptions, folder: Path) -> dict[str, Any]:
    return write_running(
        source,
        name,
        folder,
        length=options.length,
        shares=(options.valid, options.test),
        reads=options.tokenizer,
        vocab=options.vocab,
        talks=options.talks,
    )


def _write_documents(
    source: Source, name: str, options: ImportOptions, folder: Path
) -> dict[str, Any]:
    return write_documents(
        source,
        name,
        folder,
        length=options.length,
        shares=(options.valid, options.test),
        seed=options.seed,
        reads=options.tokenizer,
        vocab=options.vocab,
        talks=options.talks,
    )


class _Spool:
    """Decoded items on disk until it is known what all of them have in common."""

    def __init__(self, file: IO[bytes], dtype: np.dtype[Any]):
        self.file, self.dtype = file, dtype
        self.places: list[tuple[int, tuple[int, ...]]] = []
        self.digests: list[bytes] = []

    def add(self, value: np.ndarray) -> None:
        data = value.astype(self.dtype, copy=False).tobytes()
        self.places.append((self.file.tell(), value.shape))
        self.digests.append(digest(data))
        self.file.write(data)

    def get(self, i: int) -> np.ndarray:
        place, shape = self.places[i]
        self.file.seek(place)
        data = self.file.read(int(np.prod(shape)) * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype).reshape(shape)

    def level(self, shape: tuple[int, ...]) -> None:
        """Replace grey pictures among RGB ones by RGB, at the end of the file."""
        for i, (_, own) in enumerate(self.places):
            if own != shape:
                value = conform(self.get(i), shape[0], None)
                data = value.tobytes()
                self.places[i] = (self.file.seek(0, 2), value.shape)
                self.digests[i] = digest(data)
                self.file.write(data)


def _write_rows(source: Source, name: str, options: ImportOptions, folder: Path) -> dict[str, Any]:
    survey, seen = Survey(), list[Entry]()
    dtype = np.dtype(np.float32 if source.kind == "points" else np.uint8)
    with tempfile.TemporaryFile(dir=folder) as file:
        spool = _Spool(file, dtype)
        for entry in survey.read(source):
            value = entry.value
            if source.kind == "image":
                value = conform(value, options.channels, options.size)
            if not spool.places or value.shape[-2:] == spool.places[0][1][-2:]:
                spool.add(value)  # else go on reading: the error names all sizes
            seen.append(replace(entry, value=NOTHING))
        shape = shape_of(survey, name, options.size, options.channels)
        spool.level(shape)
        parts, leaks = divided(seen, spool.digests, name, options)
        described = {}
        for part in PARTS:
            rows = [i for i, e in enumerate(seen) if parts[i] == part and not e.source]
            values = (spool.get(i).tobytes() for i in rows)
            content = write_array(folder / f"{part}.npy", dtype, (len(rows), *shape), values)
            described[part] = {"n": len(rows), "sha256": content}
            _write_words(folder, part, [seen[i] for i in rows], bool(source.classes))
            if options.pairs:
                others = [i for i, e in enumerate(seen) if parts[i] == part and e.source]
                described[part]["sources"] = _write_pairs(
                    folder, part, [seen[i] for i in rows], others, seen, spool, shape
                )
    notes = [*source.notes, *_notes(survey, shape, any(entry.part for entry in seen))]
    return {
        "shape": list(shape),
        "classes": list(source.classes),
        "alphabet": "",
        "parts": described,
        "findings": [finding.as_dict() for finding in (*survey.findings, *leaks)],
        "notes": notes,
    }


def divided(
    seen: list[Entry], digests: list[bytes], name: str, options: ImportOptions
) -> tuple[list[str], list[Finding]]:
    """A part for each entry; "" for those left out because the official test part has them too.

    Args:
        seen: All entries; what their values are does not matter.
        digests: Of their values.
        name: Of the data set.
        options: Of the split, and whether there are pairs.

    Raises:
        BadInput: There is nothing to train on, or a part has items and no source.
    """
    names, given = [entry.name for entry in seen], [entry.part for entry in seen]
    shares = (options.valid, options.test)
    parts, leaks = parts_of(given, _mated(seen, digests), names, shares, options.seed)
    items = Counter(part for part, entry in zip(parts, seen) if not entry.source)
    if not items["train"]:
        raise BadInput(f"{name} has {len(seen)} items: too few to train on and to hold out.")
    sources = {part for part, entry in zip(parts, seen) if entry.source}
    for part in PARTS if options.pairs else ():
        if items[part] and part not in sources:
            raise BadInput(f"the {part} part has {items[part]} items and no source picture.")
    return parts, leaks


def _mated(seen: list[Entry], digests: list[bytes]) -> list[bytes]:
    """What decides the part of each: a source goes where its mate goes."""
    mates = {e.mate: d for e, d in zip(seen, digests) if e.mate and not e.source}
    return [mates.get(e.mate, d) if e.source else d for e, d in zip(seen, digests)]


def _write_pairs(
    folder: Path,
    part: str,
    items: list[Entry],
    others: list[int],
    seen: list[Entry],
    spool: _Spool,
    shape: tuple[int, ...],
) -> str:
    """The sources of a part, and the row of each item's mate among them; sha256 of the sources."""
    rows = {seen[i].mate: row for row, i in enumerate(others) if seen[i].mate}
    mates = np.array([rows.get(e.mate, -1) if e.mate else -1 for e in items], np.int64)
    write_array(folder / f"{part}.mates.npy", mates.dtype, mates.shape, [mates.tobytes()])
    values = (spool.get(i).tobytes() for i in others)
    path = folder / f"{part}.sources.npy"
    return write_array(path, spool.dtype, (len(others), *shape), values)


def _write_words(folder: Path, part: str, entries: list[Entry], labelled: bool) -> None:
    if labelled:
        labels = np.array([entry.label for entry in entries], np.int64)
        write_array(folder / f"{part}.labels.npy", labels.dtype, labels.shape, [labels.tobytes()])
    words = {"names": [entry.name for entry in entries]}
    if any(entry.caption for entry in entries):
        words["captions"] = [entry.caption for entry in entries]
    (folder / f"{part}.words.json").write_text(json.dumps(words), "utf-8")


def _notes(survey: Survey, shape: tuple[int, ...], official: bool) -> list[str]:
    notes = []
    grey = sum(n for own, n in survey.shapes.items() if own[0] == 1 and len(own) == 3)
    if shape[0] == 3 and grey:
        notes.append(f"{grey} grey pictures were repeated over three channels")
    if official:
        notes.append("the files' own parts are used")
    return notes
