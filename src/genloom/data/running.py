"""Write one running text as a pack: three parts that follow each other, an array of numbers each.

A part is read by itself, so no token reaches over the border of two; what is learnt of a text is
learnt from the training part. A stretch of `STRETCH` characters is read at a time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from genloom.data import molecules
from genloom.data.cache import write_array
from genloom.data.reading import LETTERS, check_talks, read_by
from genloom.data.source import Source
from genloom.data.text import cut, number
from genloom.errors import BadInput
from genloom.lexicon import Lexicon, told_of

USUAL_LENGTH = 128
STRETCH = 2**20


def write_running(
    source: Source,
    name: str,
    folder: Path,
    *,
    length: int | None,
    shares: tuple[float, float],
    reads: str | None,
    vocab: int | None,
    talks: str | None,
) -> dict[str, Any]:
    """Fill a folder with the numbers of each part; returns what `data.json` is to say.

    Args:
        source: Of a text.
        name: Of the data set.
        folder: To be filled.
        length: Numbers of an item; None: USUAL_LENGTH.
        shares: Of valid and test, in characters.
        reads: "letters" or None, or see `reading.read_by`.
        vocab: See `reading.read_by`.
        talks: See `reading.read_by`.

    Raises:
        BadInput: A part is too short, or the text cannot be read so.
    """
    if reads in molecules.FORMS:
        raise BadInput(
            f"tokenizer = {reads!r} is for documents, and {name} is one running text. "
            "Set document = 'line', 'paragraph' or 'file'."
        )
    check_talks(talks, reads)
    text, length = source.text(), length or USUAL_LENGTH
    pieces, counted = cut(len(text), *shares), "characters"
    if reads in (None, LETTERS):
        ids, alphabet = number(text)
        numbers, told = {part: ids[piece] for part, piece in pieces.items()}, {"alphabet": alphabet}
        note = f"{len(ids)} characters, {len(alphabet)} distinct"
    else:
        lexicon = read_by(reads, stretches(text[pieces["train"]]), vocab, talks)
        numbers = {part: _numbered(text[piece], lexicon) for part, piece in pieces.items()}
        told, counted = {"lexicon": told_of(lexicon), "running": True}, "tokens"
        tokens = sum(map(len, numbers.values()))
        note = f"{len(text)} characters, {tokens} numbers in [0, {lexicon.vocab - 1}]"
    parts: dict[str, Any] = {}
    for part, own in numbers.items():
        wanted = 2 * length - 1 if part == "train" else length
        if len(own) < wanted and (part == "train" or len(own)):
            raise BadInput(
                f"{name}: the {part} part has {len(own)} {counted}, and length = {length} "
                f"needs {wanted}. Set a smaller length."
            )
        content = write_array(folder / f"{part}.npy", own.dtype, own.shape, [own.tobytes()])
        parts[part] = {"n": len(own) // length, "sha256": content}
    return {
        "shape": [length],
        "classes": [],
        **told,
        "parts": parts,
        "findings": [],
        "notes": [*source.notes, note],
    }


def stretches(text: str) -> Iterator[str]:
    """What a text is read by, one after the other: each ends with a line if one ends in it."""
    first = 0
    while first < len(text):
        last = first + STRETCH
        if last < len(text):
            last = text.rfind("\n", first, last) + 1 or last
        yield text[first:last]
        first = last


def _numbered(text: str, lexicon: Lexicon) -> np.ndarray:
    """The numbers of a text, without marks, (N,): of a type that holds the vocabulary's size."""
    ids = array("i")
    for stretch in stretches(text):
        ids.extend(lexicon.encode(stretch))
    return np.array(ids, np.min_scalar_type(-1 - lexicon.vocab))
