"""Captions as numbers: made once beside the pack, mapped like it, one drawn per visit.

An item may have several captions, one a line: those of several columns of a table, say in two
languages. The alphabet and the length are those of the training part.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from genloom.core import Caption
from genloom.data import cache as store
from genloom.data.source import PARTS
from genloom.errors import BadInput

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


def lines(caption: str) -> list[str]:
    """The captions of one item."""
    return [line for line in map(str.strip, caption.split("\n")) if line]


def open_captions(pack: Path) -> tuple[Caption, dict[str, Captions], list[str]]:
    """How the captions of a pack are read, those of each part, and what was cut, in words.

    Raises:
        BadInput: No training item has one.
    """
    folder = pack.with_name(f"{pack.name}-captions-{FORMAT}")
    if not folder.exists():
        store.write_aside(folder, lambda aside: _write(pack, aside))
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
    return Caption(**told["caption"]), parts, told["notes"]


def _write(pack: Path, folder: Path) -> None:
    words = {part: _read(pack, part) for part in PARTS}
    caption, notes = learn([line for item in words["train"] for line in item])
    folder.mkdir()
    for part, items in words.items():
        encoded = [caption.encode(line) for item in items for line in item]
        rows = torch.stack(encoded) if encoded else torch.zeros(1, caption.length)
        starts = torch.tensor([0, *(len(item) for item in items)]).cumsum(0)
        np.save(folder / f"{part}.rows.npy", rows.to(torch.int16).numpy())
        np.save(folder / f"{part}.starts.npy", starts.numpy())
    told = {"caption": asdict(caption), "notes": notes}
    (folder / "captions.json").write_text(json.dumps(told), "utf-8")


def _read(pack: Path, part: str) -> list[list[str]]:
    words = json.loads((pack / f"{part}.words.json").read_text("utf-8"))
    return [lines(text) for text in words.get("captions") or [""] * len(words["names"])]


def learn(texts: Sequence[str]) -> tuple[Caption, list[str]]:
    """The alphabet, the most frequent letter first, and the length that these texts need.

    Raises:
        BadInput: There are none.
    """
    plain = [Caption.plain(text) for text in texts]
    if not plain:
        raise BadInput(
            "captions = true, but no training item has a caption: put NAME.txt beside NAME.png, or "
            "a captions.csv with the columns file and caption, or name data.caption_column."
        )
    counts = Counter("".join(plain))
    letters = sorted(counts, key=lambda letter: (-counts[letter], letter))
    length = min(max(map(len, plain)), LONGEST)
    notes = []
    if cut := sum(len(text) > length for text in plain):
        notes.append(f"{cut} of {len(plain)} captions were cut at {length} characters")
    if rare := letters[MOST_LETTERS:]:
        notes.append(f"{len(rare)} rare characters of captions count as unknown")
    return Caption("".join(letters[:MOST_LETTERS]), length), notes
