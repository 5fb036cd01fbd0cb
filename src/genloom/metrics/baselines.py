"""What compressors and an n-gram need for the text that a model is judged on, in bits per byte.

Bytes are those of the text in UTF-8. Marks of roles and ends count for nothing, but the n-gram pays
for them, as a model does, and a compressor for the line end between two documents.
"""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genloom.core import Items
from genloom.decoding.spelling import spelling
from genloom.errors import BadInput
from genloom.metrics.ngram import ORDER, Ngram
from genloom.metrics.text import sizes

SEEN = 2**21  # ids at the end of the training part that are looked at: seconds of work
_GZIP = 31  # as zlib calls it: the format of gzip with a window of 32 kB


def baselines(train: Tensor, items: Tensor, about: Items) -> dict[str, float]:
    """Bits per byte by name: "gzip -9", "xz -9e" and "5-gram".

    A compressor gets the training part and then the items; what counts is by how much the second
    lengthens the file. Of the training part gzip remembers the last 32 kB.

    Args:
        train: Training rows, (N, L).
        items: Those the model is judged on, (n, L), in the order of the text.
        about: What they are.
    """
    assert about.lexicon is not None
    reach = sizes(train, about.end).flip(0).cumsum(0)  # of the last row, the last two, ...
    train = train[-max(1, int((reach <= SEEN).sum())) :]
    size = text_bytes(items, about)
    known, wanted = _joined(train, about), _joined(items, about)
    ngram = Ngram(train, about.lexicon.vocab, about.end).log_prob(items)
    found = {
        name: 8.0 * (len(compress(known + wanted)) - len(compress(known)))
        for name, compress in _COMPRESSORS.items()
    }
    found[f"{ORDER}-gram"] = -float(ngram.sum()) / math.log(2)
    return {name: bits / size for name, bits in found.items()}


def text_bytes(items: Tensor, about: Items) -> int:
    """Bytes of the text of rows (n, L) in the order of the text, without their marks."""
    spelled = _spelled(items, about)
    if spelled is None:
        return sum(len(text.encode()) for text in texts(items, about))
    return sum(map(len, spelled))


def text_letters(items: Tensor, about: Items) -> int:
    """Characters of the text of rows (n, L), without their marks."""
    spelled = _spelled(items, about)
    if spelled is None:
        return sum(map(len, texts(items, about)))
    return sum(byte & 0xC0 != 0x80 for token in spelled for byte in token)  # each has one such


def _spelled(rows: Tensor, about: Items) -> Iterator[bytes] | None:
    """The bytes of each token of a running text: no border of rows divides a letter there.

    None of documents, and where tokens are no bytes.
    """
    assert about.lexicon is not None
    if about.end is not None:
        return None
    try:
        known = spelling(about.lexicon)
    except BadInput:
        return None
    return (known[i] for i in rows[rows >= 0].tolist() if i < about.lexicon.letters)


def texts(rows: Tensor, about: Items) -> Iterator[str]:
    """The texts of rows, each up to an end: a border of rows may divide a letter's bytes.

    Numbers below 0 stand for what is not told.
    """
    assert about.lexicon is not None
    closed = torch.zeros(len(rows)) if about.end is None else (rows == about.end).any(1)
    run: list[int] = []
    for row, ends in zip(rows, closed.tolist(), strict=True):
        run += row[(row >= 0) & (row < about.lexicon.letters)].tolist()
        if ends:
            yield about.lexicon.decode(run)
            run = []
    if run:
        yield about.lexicon.decode(run)


def _joined(rows: Tensor, about: Items) -> bytes:
    """Rows of a running text follow each other; each document ends in a line end."""
    close = "" if about.end is None else "\n"
    return "".join(text + close for text in texts(rows, about)).encode()


def _gzip(data: bytes) -> bytes:
    made = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    return made.compress(data) + made.flush()


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)


_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {"gzip -9": _gzip, "xz -9e": _xz}
