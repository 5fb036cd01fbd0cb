"""A packed data set as training sees it: parts, and batches in an order that is a pure function.

Row k of the endless order lies in epoch k // n and is that epoch's permutation at k % n; the
permutation depends on (seed, epoch) alone. So a run that resumes at a position sees what it would
have seen, and nothing about the order needs to be saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genloom.core import Condition, Items
from genloom.data import cache as store
from genloom.data.augment import Augment
from genloom.data.builtin import factors_of
from genloom.data.captions import Captions, open_captions
from genloom.data.findings import Finding
from genloom.data.pairs import Pairs
from genloom.errors import BadInput
from genloom.given import check, kind_of
from genloom.lexicon import Letters, lexicon_of


def _seed(*words: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:8], "little") >> 1


@lru_cache(maxsize=4)
def order(n: int, seed: int, epoch: int) -> Tensor:
    """The permutation of n rows in one epoch, int64 (n,)."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(_seed(seed, epoch)))


def endless(n: int, start: int, size: int, seed: int) -> Tensor:
    """Rows start ... of permutations of n rows, one after the other: (size,)."""
    chosen = []
    while size > 0:
        epoch, offset = divmod(start, n)
        chosen.append(order(n, seed, epoch)[offset : offset + size])
        start, size = start + len(chosen[-1]), size - len(chosen[-1])
    return torch.cat(chosen)


def uniform_at(start: int, size: int, seed: int) -> Tensor:
    """Uniform draws in [0, 1) of the places start ... of an endless order, float64 (size,)."""
    places = np.random.Philox(key=_seed(seed, 3)).advance(start)  # four words each
    words = places.random_raw(4 * size)[::4] >> np.uint64(11)
    return torch.from_numpy(words.astype(np.float64)) * 2**-53


@final
class Split:
    """One part of a data set.

    Args:
        items: Memory-mapped rows, (N, *shape); of a running text, all its ids in one row, (N,).
        cond: Conditions of the rows, (N,) each.
        fingerprint: sha256 of the values.
        length: Of a running text: ids in one item; None for rows.
        words: The file that holds names and captions.
        captions: As numbers, where they are asked for.
        pairs: The source pictures beside the items, where there are any.
        mated: Whether an item comes with its own source, where it has one; else with any.
        packed: The rows that batches are made of, where these are not the items: several short
            documents each.
    """

    def __init__(
        self,
        items: Tensor,
        cond: dict[str, Tensor],
        fingerprint: str,
        *,
        length: int | None = None,
        words: Path | None = None,
        captions: Captions | None = None,
        pairs: Pairs | None = None,
        mated: bool = True,
        packed: Tensor | None = None,
    ):
        self._flat, self._length, self._words_path = items, length, words
        self._packed = packed
        self._captions, self._pairs, self._mated = captions, pairs, mated
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
        """Rows in one epoch: all; of a running text, as many windows as fit at any offset.

        Where one fits at some offsets alone, that one.
        """
        if self._length is None:
            return len(self._flat if self._packed is None else self._packed)
        anywhere = max(len(self._flat) - self._length + 1, 0) // self._length
        return max(anywhere, min(len(self), 1))

    @property
    def names(self) -> list[str]:
        """Where each item comes from; empty for a text."""
        return self._words.get("names", [])

    @property
    def captions(self) -> list[str]:
        """One for each item, or empty."""
        return self._words.get("captions", [])

    @property
    def factors(self) -> Tensor | None:
        """What each item was drawn from, int64 (N, K), where the data set knows it."""
        return factors_of(self.names)

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
        if self._packed is not None:
            return self._packed.index_select(0, ids), {}, ids
        return self._flat.index_select(0, ids), self._given(ids, position * size, seed), ids

    def given(self, ids: Tensor) -> dict[str, Tensor]:
        """The conditions of items (B,) as they are stored, always the same; see `batch`.

        "label" (B,), "caption" (B, length), the first of each, "source", uint8 (B, C, H, W), and
        "rejected" (B, length), the document that an item is preferred to. No model is asked for the
        last one: it is none of `core.Items.conditions`.
        """
        return self._given(ids)

    @property
    def has_mate(self) -> Tensor | None:
        """Which items have a source of their own, bool (N,); None where all have."""
        return None if self._pairs is None else self._pairs.mates >= 0

    def _given(self, ids: Tensor, start: int | None = None, seed: int = 0) -> dict[str, Tensor]:
        """At a place of the endless order; without one, what does not depend on it."""
        found = {name: v.index_select(0, ids) for name, v in self.cond.items()}
        n = len(ids)
        if self._captions is not None:
            u = torch.zeros(n) if start is None else uniform_at(start, n, seed)
            found["caption"] = self._captions.pick(ids, u)
        if self._pairs is not None:
            others = endless(len(self._pairs.pictures), start or 0, n, _seed(seed, 2))
            mated = self._mated or start is None
            found["source"] = self._pairs.of(ids, others, mated=mated)
        return found

    def _ids(self, start: int, size: int, seed: int) -> Tensor:
        chosen = []
        while size > 0:
            epoch, offset = divmod(start, self.epoch)
            rows = order(self.epoch, seed, epoch)[offset : offset + size]
            if self._length is not None:
                free = len(self._flat) - self.epoch * self._length + 1  # offsets that fit
                rows = rows * self._length + _seed(seed, epoch, 1) % min(free, self._length)
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

    @property
    def held_out(self) -> int:
        """How many items the test part has; nothing else is told of them before a verdict."""
        told = store.read_description(self._pack)
        assert told is not None, self._pack
        return told["parts"]["test"]["n"]

    def augmented(self, items: Tensor, cond: Condition) -> tuple[Tensor, Condition]:
        """A training batch with its sources, both changed alike where they belong together."""
        source = cond.get("source")
        if source is None:
            return self.augment(items), cond
        if self.items.given == "paired":
            items, source = self.augment(torch.cat([items, source], 1)).chunk(2, 1)
        else:
            items, source = self.augment(items), self.augment(source)
        return items, {**cond, "source": source}


def map_pack(
    pack: Path, fingerprint: str, augment: Augment, *, captions: bool = False, given: str = "none"
) -> Dataset:
    """Open a pack; reads its description and no item.

    Args:
        pack: Its folder.
        fingerprint: Of content and import options.
        augment: Of training batches.
        captions: Whether captions are conditions.
        given: See `core.Items`.

    Raises:
        BadInput: There are no captions, or no such source for these items.
    """
    told = store.read_description(pack)
    assert told is not None, pack
    if captions and told["kind"] == "text":
        raise BadInput(f"captions describe pictures or points, and {told['name']} is text.")
    caption, read, cut = open_captions(pack) if captions else (None, {}, [])
    items = replace(_items(told), caption=caption, given=given)
    check(items)
    return Dataset(
        items,
        told["name"],
        fingerprint,
        _part(pack, told, "train", given, read.get("train")),
        _part(pack, told, "valid", given, read.get("valid")),
        tuple(Finding(**found) for found in told["findings"]),
        (*told["notes"], *cut),
        augment,
        pack,
    )


def open_test(dataset: Dataset) -> Split:
    """The test part: for judging a finished model, never for training or choosing one."""
    told = store.read_description(dataset._pack)
    assert told is not None, dataset._pack
    caption = dataset.items.caption
    read = open_captions(dataset._pack, caption)[1] if caption else {}
    return _part(dataset._pack, told, "test", dataset.items.given, read.get("test"))


def _items(told: dict[str, Any]) -> Items:
    lexicon = None
    if told["kind"] == "text":  # a running text by letters tells its alphabet alone
        lexicon = lexicon_of(told["lexicon"]) if "lexicon" in told else Letters(told["alphabet"])
    return Items(told["kind"], tuple(told["shape"]), tuple(told["classes"]), lexicon)


def _part(
    pack: Path, told: dict[str, Any], part: str, given: str, captions: Captions | None
) -> Split:
    values = torch.from_numpy(store.map_array(pack / f"{part}.npy"))
    labels = pack / f"{part}.labels.npy"
    rejected = pack / f"{part}.rejected.npy"
    cond = {"label": torch.from_numpy(store.map_array(labels))} if told["classes"] else {}
    cond |= {"rejected": torch.from_numpy(store.map_array(rejected))} if rejected.is_file() else {}
    running = told["kind"] == "text" and told.get("running", "lexicon" not in told)
    length = told["shape"][0] if running else None
    short = pack / f"{part}.packed.npy"
    words = pack / f"{part}.words.json"
    pairs = None
    if given != "none" and not kind_of(given).derived:
        files = (pack / f"{part}.{name}.npy" for name in ("sources", "mates"))
        pairs = Pairs(*(torch.from_numpy(store.map_array(file)) for file in files))
    return Split(
        values,
        cond,
        told["parts"][part]["sha256"],
        length=length,
        words=words,
        captions=captions,
        pairs=pairs,
        mated=given != "unpaired" or part != "train",
        packed=torch.from_numpy(store.map_array(short)) if short.is_file() else None,
    )
