"""Two folders of pictures side by side: the source A, and B, which is to be made from it.

- `A.../` and `B.../`, `source/` and `target/`, or `trainA/`, `trainB/` with `testA/`, `testB/`.
- Pictures of one name, whatever their ending, are mates.
- `pairs.csv` beside the folders may say in a column `split` which part a pair belongs to, and hold
  captions.
"""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import final

import torch
from torch import Tensor

from genloom.data.decode import decode
from genloom.data.findings import Damaged, Finding
from genloom.data.images import image_names
from genloom.data.metadata import Row, read_tables
from genloom.data.source import PART_NAMES, Entry, Source
from genloom.data.trees import Tree, open_tree
from genloom.errors import BadInput

TABLE = "pairs.csv"


@dataclass(frozen=True)
class Side:
    """One folder: whether it holds sources, and which part it speaks of."""

    source: bool
    part: str = ""


@final
@dataclass(frozen=True)
class Pairs:
    """The sources of one part.

    Args:
        pictures: uint8 (M, C, H, W).
        mates: The source of each item, (N,); -1 where it has none of its own.
    """

    pictures: Tensor
    mates: Tensor

    def of(self, ids: Tensor, others: Tensor, *, mated: bool) -> Tensor:
        """The sources of items ids (B,): their mates where they have any, else the others, (B,)."""
        mates = self.mates[ids]
        own = mates >= 0 if mated else torch.zeros_like(mates, dtype=torch.bool)
        return self.pictures[torch.where(own, mates, others)]


def side_of(folder: str) -> Side | None:
    """What the name of a folder says; None where it is neither side."""
    low = folder.lower()
    if low in ("source", "target"):
        return Side(low == "source")
    for word, part in PART_NAMES.items():
        if low in (f"{word}a", f"{word}b"):
            return Side(low.endswith("a"), part)
    return Side(low[0] == "a") if low[:1] in ("a", "b") else None


def sides_of(names: Sequence[str], root: str) -> dict[str, Side]:
    """Top folder -> side, from the names of the pictures.

    Raises:
        BadInput: There are no two sides.
    """
    tops = sorted({PurePosixPath(name).parts[0] if "/" in name else "." for name in names})
    found = {top: side for top in tops if (side := side_of(top))}
    halves = [sorted(s.part for s in found.values() if s.source is half) for half in (True, False)]
    if len(found) != len(tops) or halves[0] != halves[1] or len(set(halves[0])) != len(halves[0]):
        raise BadInput(
            f"{root} holds pictures in {', '.join(tops)[:80] or 'no folder'}: for pairs, put them "
            "in A/ and B/, in source/ and target/, or in trainA/, trainB/, testA/ and testB/."
        )
    return found


def pair_source(path: Path, paired: bool, columns: tuple[str, ...] = ()) -> Source:
    """Both sides, one entry for each picture; those of B name their mates.

    Args:
        path: A folder or a zip archive.
        paired: Leave out pictures without a mate.
        columns: Of pairs.csv, for captions.

    Raises:
        BadInput: There are no two sides.
    """
    if not (path.is_dir() or zipfile.is_zipfile(path)):
        raise BadInput(
            f"{path.name} is neither a folder nor a zip: pairs are two folders side by side."
        )
    early: list[Finding] = []
    with open_tree(path) as tree:
        names = image_names(tree)
        sides = sides_of(names, path.name)
        own = {name: sides[PurePosixPath(name).parts[0]] for name in names}
        keys = {name: _key(name, own[name]) for name in names}
        targets = [name for name in names if not own[name].source]
        rows = read_tables(tree, targets, early, tables=frozenset((TABLE,)), columns=columns)
    halves = [{keys[n] for n in names if own[n].source is half} for half in (True, False)]
    mated = halves[0] & halves[1]
    told = {keys[name]: row for name, row in rows.items()}

    def entry(tree: Tree, name: str, findings: list[Finding]) -> Entry:
        key, side = keys[name], own[name]
        row = told.get(key, Row(None, ""))
        caption = "" if side.source else row.caption
        mate = key if key in mated else ""
        pixels = decode(tree.read(name), name, findings)
        return Entry(name, pixels, -1, caption, row.part or side.part, side.source, mate)

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        findings += early
        groups = defaultdict[str, list[str]](list)
        for name in names:
            groups[keys[name] if paired else name].append(name)
        with open_tree(path) as tree:
            for group in groups.values():
                if paired and len(group) != 2:
                    findings += [Finding(name, "no_mate", "in the other folder") for name in group]
                    continue
                try:
                    yield from [entry(tree, name, findings) for name in group]
                except Damaged as damaged:  # a pair with its half
                    findings.append(damaged.finding)

    source = Source("two folders of images", "image", entries, columns=columns)
    source.notes.append(f"{len(mated)} pairs; {len(halves[0])} sources, {len(halves[1])} targets")
    return source


def _key(name: str, side: Side) -> str:
    """What mates share: the part that their folders speak of, and the name below these."""
    below = PurePosixPath(*PurePosixPath(name).parts[1:])
    return f"{side.part}/{below.with_suffix('').as_posix()}"
