"""What a reader of files hands on: one entry after the other, or one text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from genloom.data.findings import Finding
from genloom.lexicon import Turns

PARTS = ("train", "valid", "test")
PART_NAMES = {  # how files and folders call their parts
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
    "t10k": "test",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One decoded item.

    Args:
        name: Where it comes from, relative to the source.
        value: uint8 (C, H, W) of a picture, or float32 (D,) of a point.
        label: Index into the classes of the source; -1 where it has none.
        caption: Text that describes it, or "".
        part: "train", "valid" or "test" where the files say so, else "".
        source: Whether it is what another is made from, and no item itself.
        mate: What it shares with its mate on the other side; "" where it has none.
        turns: Of a document, see `lexicon.Turns`; it has no other value.
        rejected: The same document with another answer, to which that of `turns` is preferred; ()
            where it is no pair.
    """

    name: str
    value: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))
    label: int = -1
    caption: str = ""
    part: str = ""
    source: bool = False
    mate: str = ""
    turns: Turns = ()
    rejected: Turns = ()


@dataclass
class Source:
    """Data of one kind, not yet read.

    Args:
        form: What the files are, in words.
        kind: As `core.Items.kind`.
        entries: Reads everything, decodes it, and appends to the findings it is given.
        text: Reads one running text; for kind "text" alone, where it is not of documents.
        documents: Whether the entries are documents, which is another form of kind "text".
        classes: Names of the labels.
        notes: Rules that were applied, in words.
        columns: Of a table, that captions were taken from because somebody asked for them.
        texts: The same of documents.
        unit: What a document of text files is; None for other data.
        words: How documents are written that are no plain text, a name in `words.FORMS`.
        cut: (text, most words) -> the parts of a document that is longer; None cuts anywhere.
    """

    form: str
    kind: Literal["image", "points", "text"]
    entries: Callable[[list[Finding]], Iterator[Entry]] = lambda _: iter(())
    text: Callable[[], str] = str
    documents: bool = False
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    unit: str | None = None
    words: str = ""
    cut: Callable[[str, int], list[str]] | None = None
