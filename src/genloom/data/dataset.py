"""A packed data set as training sees it: parts, and batches in an order that is a pure function.

Row k of the endless order lies in epoch k // n and is that epoch's permutation at k % n; the
permutation depends on (seed, epoch) alone. So a run that resumes at a position sees what it would
have seen, and nothing about the order needs to be saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from genloom.core import Items
from genloom.data import cache as store
from genloom.data.augment import Augment
from genloom.data.findings import Finding


def _seed(*words: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:8], "little") >> 1


@lru_cache(maxsize=4)
def order(n: int, seed: int, epoch: int) -> Tensor:
    """The permutation of n rows in one epoch, int64 (n,)."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(_seed(seed, epoch)))


@final
class Split:
    """One part of a data set.

    Args:
        items: Memory-mapped rows, (N, *shape); of a text, all its ids in one row, (N,).
        cond: Conditions of the rows, (N,) each.
        fingerprint: sha256 of the values.
        length: Of a text: ids in one item; None for rows.
        words: The file that holds names and captions.
    """

    def __init__(
        self,
        items: Tensor,
        cond: dict[str, Tensor],
        fingerprint: str,
        *,
        length: int | None = None,
        words: Path | None = None,
    ):
        self._flat, self._length, self._words_path = items, length, words
        self.cond, self.fingerprint = cond, fingerprint

    def __len__(self) -> int:
        return len(self._flat) // (self._length or 1)

    @property
    def items(self) -> Tensor:
        """All items in the order of the files, (N, *shape); those of a text follow each other."""
        if self._length is None:
            return self._flat
        return self._flat[: len(self) * self._length].view(-1, self._length)

    @property
    def epoch(self) -> int:
        """Rows in one epoch: all; of a text, as many windows as fit at any offset."""
        if self._length is None:
            return len(self._flat)
        return max(len(self._flat) - self._length + 1, 0) // self._length

    @property
    def names(self) -> list[str]:
        """Where each item comes from; empty for a text."""
        return self._words.get("names", [])

    @property
    def captions(self) -> list[str]:
        """One for each item, or empty."""
        return self._words.get("captions", [])

    @cached_property
    def _words(self) -> dict[str, list[str]]:
        if self._words_path is None or not self._words_path.is_file():
            return {}
        return json.loads(self._words_path.read_text("utf-8"))

    def batch(
        self, position: int, size: int, seed: int
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Rows position * size ... of the endless shuffled order.

        Args:
            position: Of the batch, from 0.
            size: Rows in it.
            seed: Of the order.

        Returns:
            Items (size, *shape), their conditions, and their ids (size,): the row, or of a text
            the index of its first character.
        """
        assert len(self), "an empty part has no batches"
        ids = self._ids(position * size, size, seed)
        if self._length is not None:
            spans = ids[:, None] + torch.arange(self._length)
            return self._flat[spans].long(), {}, ids
        items = self._flat.index_select(0, ids)
        return items, {name: v.index_select(0, ids) for name, v in self.cond.items()}, ids

    def _ids(self, start: int, size: int, seed: int) -> Tensor:
        chosen = []
        while size > 0:
            epoch, offset = divmod(start, self.epoch)
            rows = order(self.epoch, seed, epoch)[offset : offset + size]
            if self._length is not None:
                rows = rows * self._length + _seed(seed, epoch, 1) % self._length
            chosen.append(rows)
            start, size = start + len(rows), size - len(rows)
        return torch.cat(chosen)


@final
@dataclass(frozen=True)
class Dataset:
    """A packed data set. Its test part is not among its attributes: see `open_test`.

    Args:
        items: What one item is.
        name: What it is called.
        fingerprint: sha256 of content and import options.
        train: What models learn from.
        valid: What choices are made on.
        findings: What is worth knowing about its files.
        notes: Rules that were applied, in words.
        augment: To be applied to the items of every training batch.
    """

    items: Items
    name: str
    fingerprint: str
    train: Split
    valid: Split
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    augment: Callable[[Tensor], Tensor] = field(default_factory=Augment)
    _pack: Path = field(default=Path(), repr=False)

    @property
    def captions(self) -> list[str]:
        """Of the training part."""
        return self.train.captions


def map_pack(pack: Path, fingerprint: str, augment: Augment) -> Dataset:
    """Open a pack; reads its description and no item."""
    told = store.read_description(pack)
    assert told is not None, pack
    return Dataset(
        _items(told),
        told["name"],
        fingerprint,
        _part(pack, told, "train"),
        _part(pack, told, "valid"),
        tuple(Finding(**found) for found in told["findings"]),
        tuple(told["notes"]),
        augment,
        pack,
    )


def open_test(dataset: Dataset) -> Split:
    """The test part: for judging a finished model, never for training or choosing one."""
    told = store.read_description(dataset._pack)
    assert told is not None, dataset._pack
    return _part(dataset._pack, told, "test")


def _items(told: dict[str, Any]) -> Items:
    return Items(told["kind"], tuple(told["shape"]), tuple(told["classes"]), told["alphabet"])


def _part(pack: Path, told: dict[str, Any], part: str) -> Split:
    values = torch.from_numpy(store.map_array(pack / f"{part}.npy"))
    labels = pack / f"{part}.labels.npy"
    cond = {"label": torch.from_numpy(store.map_array(labels))} if told["classes"] else {}
    length = told["shape"][0] if told["kind"] == "text" else None
    words = pack / f"{part}.words.json"
    return Split(values, cond, told["parts"][part]["sha256"], length=length, words=words)
