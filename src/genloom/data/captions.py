"""Captions as numbers: made once beside the pack, mapped like it, one drawn per visit.

An item may have several captions, one a line: those of several columns of a table, say in two
languages. They are read by letters, whose alphabet is that of the training part, or as the word
pieces of a tokenizer in the form of transformers; the length is that of the training part.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from genloom.checkpoint import digest
from genloom.core import Caption, Reader, Tokens
from genloom.data import cache as store
from genloom.data.source import PARTS
from genloom.errors import BadInput, need
from genloom.nets.text import TOKENIZER
from genloom.notes import left_out

if TYPE_CHECKING:
    from genloom.data.dataset import Dataset, Split

FORMAT = 1  # of these files; raise it when what they hold changes
MOST_LETTERS = 4096
LONGEST = 64


@final
@dataclass(frozen=True)
class Captions:
    """The captions of one part.

    Args:
        rows: All of them, (M, length), one item's after the other's.
        starts: Where those of item i begin, (N + 1,); it has none where the next begin there too.
    """

    rows: Tensor
    starts: Tensor

    def pick(self, ids: Tensor, u: Tensor) -> Tensor:
        """One caption of each item: int64 (B, length); -1 where there is none.

        Args:
            ids: Items, (B,).
            u: Which of theirs, in [0, 1), (B,).
        """
        first = self.starts[ids]
        count = self.starts[ids + 1] - first
        chosen = first + (u * count).long()
        found = self.rows[chosen.clamp(max=len(self.rows) - 1)].long()
        return found.masked_fill((count == 0)[:, None], -1)


@final
@dataclass(frozen=True)
class Pieces:
    """How a text becomes `length` numbers by a tokenizer: i + 1 for piece i, and 0 to fill up.

    The marks that its tokenizer puts around a text are pieces too. Where one reads does not matter
    to what is read: two of the same file are equal.

    Args:
        length: Numbers of a text.
        vocab: Pieces that the tokenizer knows.
        sha256: Of its tokenizer.json.
        folder: Where that lies.
    """

    length: int
    vocab: int
    sha256: str
    folder: str = field(default="", compare=False, repr=False)

    @property
    def space(self) -> Tokens:
        """Of an encoded text."""
        return Tokens((self.length,), self.vocab + 1)

    def encode(self, text: str) -> Tensor:
        """Numbers in [0, vocab], int64 (length,); what is too long is cut, the marks stay."""
        tokenizer = _tokenizer(self.folder, self.sha256, self.length)
        ids = [i + 1 for i in tokenizer.encode(text).ids]
        return torch.tensor(ids + [0] * (self.length - len(ids)))

    def unread(self, text: str) -> tuple[str, ...]:
        """Its end, where it is too long, and pieces that the tokenizer has not; see `Reader`."""
        whole = _tokenizer(self.folder, self.sha256, 0).encode(text)
        marks = whole.special_tokens_mask
        read = [piece for piece, mark in zip(whole.ids, marks, strict=True) if not mark]
        read = read[: self.length - sum(marks)]
        strange = read.count(_unknown(self.folder, self.sha256))
        return left_out("piece", len(whole.ids), self.length, strange, strange < len(read))


@lru_cache(maxsize=8)
def _unknown(folder: str, sha256: str) -> int | None:
    """The piece that stands for what a tokenizer does not know; None where it knows all."""
    tokenizer = _tokenizer(folder, sha256, 0)
    told = json.loads(tokenizer.to_str())["model"]
    if "unk_id" in told:  # of the kind Unigram
        return told["unk_id"]
    return None if told.get("unk_token") is None else tokenizer.token_to_id(told["unk_token"])


@lru_cache(maxsize=8)
def _tokenizer(folder: str, sha256: str, length: int) -> Any:
    """The tokenizer of a folder, which is data alone: no code and no pickle is read.

    Args:
        folder: With tokenizer.json.
        sha256: That it must have; "" for any.
        length: Most pieces of a text; 0 for any number.
    """
    path = Path(folder) / TOKENIZER
    if not path.is_file():
        raise BadInput(
            f"{folder or 'the artifact'} holds no {TOKENIZER}, and no other form of a tokenizer is "
            "read. transformers writes one: AutoTokenizer.from_pretrained(X).save_pretrained(X)."
        )
    if sha256 and digest(path) != sha256:
        raise BadInput(f"{path} is not the tokenizer that this was made with: its hash differs.")
    try:
        from tokenizers import Tokenizer  # pyright: ignore
    except ImportError as error:
        raise need("transformers", "hub", "A tokenizer") from error
    try:
        found: Any = Tokenizer.from_file(str(path))
    except Exception as error:  # it raises nothing narrower
        raise BadInput(f"{path} is no tokenizer: {error}.") from error
    found.no_padding()
    found.enable_truncation(length) if length else found.no_truncation()
    return found


def lines(caption: str) -> list[str]:
    """The captions of one item."""
    return [line for line in map(str.strip, caption.split("\n")) if line]


def open_captions(
    pack: Path, reader: Reader | None = None
) -> tuple[Reader, dict[str, Captions], list[str]]:
    """How the captions of a pack are read, those of each part, and what was cut, in words.

    Args:
        pack: Its folder.
        reader: A `Pieces`: they are read as it reads, but for the length. Else by letters.

    Raises:
        BadInput: No training item has one, or there is no such tokenizer.
    """
    pieces = reader if isinstance(reader, Pieces) else None
    mark = f"-{pieces.sha256[:16]}" if pieces else ""
    folder = pack.with_name(f"{pack.name}-captions-{FORMAT}{mark}")
    if not folder.exists():
        store.write_aside(folder, lambda aside: _write(pack, aside, pieces))
    told = json.loads((folder / "captions.json").read_text("utf-8"))
    parts = {
        part: Captions(
            *(
                torch.from_numpy(store.map_array(folder / f"{part}.{name}.npy"))
                for name in ("rows", "starts")
            )
        )
        for part in PARTS
    }
    return reader_of(told["caption"], pieces.folder if pieces else ""), parts, told["notes"]


def reader_of(told: dict[str, Any], folder: str) -> Reader:
    """The reader that `told_of` told of; its tokenizer, if it has one, lies in a folder."""
    return Pieces(**told, folder=folder) if "sha256" in told else Caption(**told)


def told_of(reader: Reader) -> dict[str, Any]:
    """What a reader is, without where it lies."""
    told: dict[str, Any] = asdict(reader)  # pyright: ignore[reportArgumentType]
    return {name: value for name, value in told.items() if name != "folder"}


def reread(dataset: Dataset, folder: str) -> Dataset:
    """The data set with captions as the word pieces of a tokenizer.

    Args:
        dataset: Opened with captions.
        folder: With tokenizer.json; of an encoder, say, which then reads what it knows.

    Raises:
        BadInput: There is no such tokenizer.
    """
    reader, parts, notes = open_captions(dataset._pack, pieces_of(folder))
    letters = open_captions(dataset._pack)[2]
    return replace(
        dataset,
        items=replace(dataset.items, caption=reader),
        train=_with(dataset.train, parts["train"]),
        valid=_with(dataset.valid, parts["valid"]),
        notes=(*(note for note in dataset.notes if note not in letters), *notes),
    )


def pieces_of(folder: str) -> Pieces:
    """The word pieces of a tokenizer, of no length yet.

    Raises:
        BadInput: There is no such tokenizer.
    """
    count = _tokenizer(folder, "", 0).get_vocab_size()
    return Pieces(0, count, digest(Path(folder) / TOKENIZER), folder)


def _with(part: Split, captions: Captions) -> Split:
    found = copy.copy(part)
    found._captions = captions
    return found


def _write(pack: Path, folder: Path, pieces: Pieces | None) -> None:
    words = {part: _read(pack, part) for part in PARTS}
    lines_of = [line for item in words["train"] for line in item]
    caption, notes = learn(lines_of) if pieces is None else fitted(pieces, lines_of)
    folder.mkdir()
    for part, items in words.items():
        encoded = [caption.encode(line) for item in items for line in item]
        rows = torch.stack(encoded) if encoded else torch.zeros(1, caption.length)
        starts = torch.tensor([0, *(len(item) for item in items)]).cumsum(0)
        kind = torch.int16 if caption.space.vocab < 2**15 else torch.int32
        np.save(folder / f"{part}.rows.npy", rows.to(kind).numpy())
        np.save(folder / f"{part}.starts.npy", starts.numpy())
    told = {"caption": told_of(caption), "notes": notes}
    (folder / "captions.json").write_text(json.dumps(told), "utf-8")


def _read(pack: Path, part: str) -> list[list[str]]:
    words = json.loads((pack / f"{part}.words.json").read_text("utf-8"))
    return [lines(text) for text in words.get("captions") or [""] * len(words["names"])]


def fitted(pieces: Pieces, texts: Sequence[str]) -> tuple[Pieces, list[str]]:
    """The reader with the length that these texts need, and what is cut, in words.

    Raises:
        BadInput: There are none.
    """
    _check(texts)
    tokenizer = _tokenizer(pieces.folder, pieces.sha256, 0)
    needed = [len(tokenizer.encode(text).ids) for text in texts]
    length = min(max(needed), LONGEST)
    cut = sum(count > length for count in needed)
    notes = [f"{cut} of {len(texts)} captions were cut at {length} word pieces"] if cut else []
    return replace(pieces, length=length), notes


def _check(texts: Sequence[str]) -> None:
    if not texts:
        raise BadInput(
            "captions = true, but no training item has a caption: put NAME.txt beside NAME.png, or "
            "a captions.csv with the columns file and caption, or name data.caption_column."
        )


def learn(texts: Sequence[str]) -> tuple[Caption, list[str]]:
    """The alphabet, the most frequent letter first, and the length that these texts need.

    Raises:
        BadInput: There are none.
    """
    _check(texts)
    plain = [Caption.plain(text) for text in texts]
    counts = Counter("".join(plain))
    letters = sorted(counts, key=lambda letter: (-counts[letter], letter))
    length = min(max(map(len, plain)), LONGEST)
    notes = []
    if cut := sum(len(text) > length for text in plain):
        notes.append(f"{cut} of {len(plain)} captions were cut at {length} characters")
    if rare := letters[MOST_LETTERS:]:
        notes.append(f"{len(rare)} rare characters of captions count as unknown")
    return Caption("".join(letters[:MOST_LETTERS]), length), notes
