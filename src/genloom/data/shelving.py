"""Write documents as a pack; their source is read several times, and never held as text."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genloom.data.cache import write_array
from genloom.data.findings import Finding
from genloom.data.packing import cut_rows, packed, pair_rows
from genloom.data.reading import LETTERS, check_talks, read_by
from genloom.data.source import PARTS, Entry, Source
from genloom.data.split import digest, parts_of
from genloom.errors import BadInput
from genloom.lexicon import END, ROLES, Letters, Lexicon, Turns, told_of
from genloom.words import Words, words_of

LONGEST = 512  # numbers of a row, where nobody says more


@dataclass
class Seen:
    """What a first reading tells.

    Args:
        digests: Of the documents; of pairs that have several prompts, of these.
        names: Of the documents.
        given: Their parts, as the files say.
        letters: Those of all documents, or the words where they are written in words.
        roles: Those of all documents.
        pairs: How many are pairs.
        findings: What is worth knowing.
    """

    digests: list[bytes] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    letters: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    pairs: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def counted(self) -> str:
        """What is counted, in words."""
        return "pairs of documents" if self.pairs else "documents"


def documents(source: Source, findings: list[Finding]) -> Iterator[Entry]:
    """Those that hold text; the others are findings."""
    for entry in source.entries(findings):
        if any(text.strip() for _, text in entry.turns):
            yield entry
        else:
            findings.append(Finding(entry.name, "no_text", "nothing but white space"))


def survey(source: Source) -> Seen:
    """Read all documents once."""
    seen, first, whole = Seen(), dict[bytes, str](), list[bytes]()
    for entry in documents(source, seen.findings):
        both = [entry.turns, entry.rejected] if entry.rejected else entry.turns
        content = digest(json.dumps(both).encode())
        if content in first:
            reason = f"equals {first[content]}"
            seen.findings.append(Finding(entry.name, "duplicate", reason, kept=True))
        first.setdefault(content, entry.name)
        whole.append(content)
        asked = entry.turns[:-1] if entry.rejected else ()
        seen.digests.append(digest(json.dumps(asked).encode()) if asked else content)
        seen.names.append(entry.name)
        seen.given.append(entry.part)
        seen.pairs += bool(entry.rejected)
        for role, text in (*entry.turns, *entry.rejected):
            seen.letters.update(words_of(text, source.words) if source.words else text)
            seen.roles.update([role] if role else ())
    if len(set(seen.digests)) == 1:
        seen.digests = whole
    return seen


def lexicon_of(
    source: Source,
    seen: Seen,
    parts: list[str],
    reads: str | None,
    vocab: int | None,
    talks: str | None = None,
) -> Lexicon:
    """How the documents become numbers.

    Args:
        source: Of the documents.
        seen: What a first reading told.
        parts: Of the documents.
        reads: "letters", "bytes", "bpe", or a folder with a tokenizer.json; a checkpoint (see
            `hub.causal`) brings its own end and form of talks, and a run its whole lexicon.
        vocab: Pieces of a BPE that is learnt.
        talks: How talks are written for a checkpoint; None: as its tokenizer is made for.

    Raises:
        BadInput: The form of talks is unknown, or they are not read by a checkpoint's tokenizer;
            or a run's lexicon has no such documents.
    """
    marks = (*(ROLES if seen.roles else ()), END)
    check_talks(talks, reads)
    if source.words:
        if reads not in (None, source.words):
            raise BadInput(
                f"tokenizer = {reads!r} reads plain text, and these documents are {source.form} in "
                "words of their own: leave it out."
            )
        return Words(tuple(sorted(seen.letters)), source.words, marks=marks)
    if reads in (None, LETTERS):
        return Letters("".join(sorted(seen.letters)), marks=marks)
    learnt = (entry for entry, part in zip(documents(source, []), parts) if part == "train")
    texts = (text for entry in learnt for _, text in entry.turns)
    found = read_by(reads, texts, vocab, talks, marks)
    if found.end is None or not seen.roles <= set(found.roles):
        what = f"parts of {', '.join(sorted(seen.roles))}" if found.end is not None else "an end"
        raise BadInput(f"{reads} was trained on texts without {what}: choose another tokenizer.")
    return found


def write_documents(
    source: Source,
    name: str,
    folder: Path,
    *,
    length: int | None,
    shares: tuple[float, float],
    seed: int,
    reads: str | None,
    vocab: int | None,
    talks: str | None = None,
) -> dict[str, Any]:
    """Fill a folder with the rows of each part; returns what `data.json` is to say.

    Args:
        source: Of the documents.
        name: Of the data set.
        folder: To be filled.
        length: Numbers of a row; None: as the longest document needs, at most LONGEST.
        shares: Of valid and test, where the files have none.
        seed: Of the split.
        reads: See `lexicon_of`.
        vocab: See `lexicon_of`.
        talks: See `lexicon_of`.

    Raises:
        BadInput: There are too few documents, some of them are pairs and some are not, or no pair
            of a part fits a row.
    """
    seen = survey(source)
    if 0 < seen.pairs < len(seen.names):
        raise BadInput(
            f"{name} has {seen.pairs} pairs of documents and {len(seen.names) - seen.pairs} that "
            "are none: give the tables of one form alone."
        )
    parts, leaks = parts_of(seen.given, seen.digests, seen.names, shares, seed)
    if "train" not in parts:
        found = f"{len(parts)} {seen.counted}"
        raise BadInput(f"{name} has {found}: too few to train on and to hold out.")
    lexicon = lexicon_of(source, seen, parts, reads, vocab, talks)
    ids, starts, cut = _numbered(source, parts, lexicon, length or LONGEST)
    longest = max(int(np.diff(np.array(found)).max(initial=0)) for found in starts.values())
    length = length or min(longest, LONGEST)
    kind = np.dtype(np.uint8 if lexicon.vocab <= 256 else np.int32)
    described: dict[str, Any] = {}
    for part in PARTS:
        begin = np.array(starts[part], np.int64)
        numbers, end = np.array(ids[part], kind), lexicon.mark(END)
        if seen.pairs:
            names = [name for name, own in zip(seen.names, parts) if own == part]
            rows, fits = pair_rows(numbers, begin, length, end)
            if len(fits) and not len(rows):
                said = f"no pair of {name} fits {length} numbers in its {part} part"
                raise BadInput(f"{said}: set a larger data.length.")
            described[part] = _write_pairs(folder, part, rows)
            said = f"with its end one of the two has over {length} numbers"
            leaks += [Finding(n, "too_long", said) for n, fit in zip(names, fits) if not fit]
            continue
        rows = cut_rows(numbers, begin, length, end)
        cut += int((np.diff(begin) - 1 > length).sum())
        described[part] = {"n": len(rows), "sha256": _write(folder / f"{part}.npy", rows)}
        if part == "train":
            _write(folder / "train.packed.npy", packed(rows, end))
    tokens = sum(len(found) for found in ids.values())
    notes = [f"{len(parts)} {seen.counted}, {tokens} numbers in [0, {lexicon.vocab - 1}]"]
    notes += [f"{cut} documents longer than {length} numbers were cut into several"] if cut else []
    return {
        "shape": [length],
        "classes": [],
        "lexicon": told_of(lexicon),
        "parts": described,
        "findings": [finding.as_dict() for finding in (*seen.findings, *leaks)],
        "notes": [*source.notes, *notes],
    }


def _numbered(
    source: Source, parts: Sequence[str], lexicon: Lexicon, most: int
) -> tuple[dict[str, array[int]], dict[str, array[int]], int]:
    """The numbers of each part, where its documents begin, and how many were cut by the source."""
    ids = {part: array("i") for part in PARTS}
    starts = {part: array("q", [0]) for part in PARTS}
    severed = 0
    for entry, part in zip(documents(source, []), parts, strict=True):
        pieces = _pieces(source, entry.turns, most) if part else []
        severed += len(pieces) > 1
        if pieces and entry.rejected:
            pieces.append(entry.rejected)
        for turns in pieces:
            ids[part].extend(lexicon.document(turns))
            starts[part].append(len(ids[part]))
    return ids, starts, severed


def _pieces(source: Source, turns: Turns, length: int) -> list[Turns]:
    """A document, or its parts where the source knows how to cut one that is too long."""
    if source.cut is None:
        return [turns]
    return [((role, piece),) for role, text in turns for piece in source.cut(text, length)]


def _write_pairs(folder: Path, part: str, rows: np.ndarray) -> dict[str, Any]:
    """The chosen documents of a part as its items, and the rejected ones beside them.

    Args:
        folder: Of the pack.
        part: Its name.
        rows: (pairs, 2, length).
    """
    rejected = rows[:, 1].astype(np.int32)  # signed, as all conditions are
    return {
        "n": len(rows),
        "sha256": _write(folder / f"{part}.npy", rows[:, 0]),
        "rejected": _write(folder / f"{part}.rejected.npy", rejected),
    }


def _write(path: Path, rows: np.ndarray) -> str:
    return write_array(path, rows.dtype, rows.shape, (row.tobytes() for row in rows))
