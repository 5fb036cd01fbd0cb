"""Music as documents: MIDI files of a folder, a zip or alone, and chorales as JSON.

A document is the words of a piece, see `music.events`; parts are the folders `train/`, `valid/` and
`test/`, or those of the JSON file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from genloom.data.arrays import inflate
from genloom.data.findings import BROKEN, Damaged, Finding
from genloom.data.source import PART_NAMES, Entry, Source
from genloom.data.trees import open_tree
from genloom.music import chorales, midi
from genloom.music.events import FORM, cut, encode
from genloom.music.notes import Unreadable

MIDI = (".mid", ".midi")
VERSION = 2  # of how MIDI is read: part of the fingerprint


def holds_midi(files: Sequence[Path]) -> bool:
    """Whether some of these files, or of those in a zip archive alone, are MIDI by their names."""
    names = [path.name for path in files]
    if len(files) == 1 and zipfile.is_zipfile(files[0]):
        try:
            with zipfile.ZipFile(files[0]) as archive:
                names = archive.namelist()
        except BROKEN:
            return False  # the reader will say so
    return any(name.lower().endswith(MIDI) for name in names)


def midi_source(path: Path) -> Source:
    """A MIDI file, or all of a folder or of a zip archive; damaged ones are findings."""

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        if path.is_file() and not zipfile.is_zipfile(path):
            yield _entry(path.name, path.read_bytes(), "", findings)
            return
        with open_tree(path) as tree:
            for name in (name for name in tree.names if name.lower().endswith(MIDI)):
                part = PART_NAMES.get(PurePosixPath(name).parts[0].lower(), "")
                try:
                    yield _entry(name, tree.read(name), part, findings)
                except Damaged as damaged:
                    findings.append(damaged.finding)

    return _source("MIDI", entries)


def _entry(name: str, data: bytes, part: str, findings: list[Finding]) -> Entry:
    try:
        score, lost = midi.read(data)
    except Unreadable as error:
        raise Damaged(name, error.code, error.reason) from None
    findings += [Finding(name, "simplified", reason, kept=True) for reason in lost]
    return Entry(name, turns=(("", encode(score)),), part=part)


def chorale_source(path: Path) -> Source:
    """A JSON file of chorales, see `music.chorales`."""

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        try:
            found = chorales.pieces(inflate(path))
        except Unreadable as error:
            raise Damaged(path.name, error.code, error.reason) from None
        span = chorales.span(found)
        for part, pieces in found.items():
            for i, piece in enumerate(pieces, 1):
                words = encode(chorales.score(piece, span))
                yield Entry(f"{part}:{i}", turns=(("", words),), part=PART_NAMES.get(part, ""))

    return _source("chorales of frames", entries)


def _source(form: str, entries: Callable[[list[Finding]], Iterator[Entry]]) -> Source:
    return Source(form, "text", entries, documents=True, words=FORM, cut=cut)
