"""What samples are asked to be, as a model reads it: from words and pictures to tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genloom import given
from genloom.core import Condition, Generative, Items
from genloom.errors import BadInput, nearest
from genloom.notes import note

Label = int | str | Sequence[int | str] | None
Text = str | Sequence[str] | None


class Words(NamedTuple):
    """What is said of samples; see `Artifact.condition`."""

    label: Label = None
    caption: Text = None
    negative: Text = None


def of(
    model: Generative,
    items: Items,
    name: str,
    seeds: Sequence[int],
    words: Words,
    source: Tensor | None,
    mask: Tensor | None,
) -> Condition:
    """The condition of one sample per seed; see `Artifact.condition`.

    Args:
        model: That will be sampled.
        items: What it makes.
        name: As errors call it.
        seeds: One per sample.
        words: Label and captions.
        source: The picture that samples are made from.
        mask: Where they may differ from it.

    Raises:
        BadInput: The model has no such class or condition, or does not do without it.
    """

    def has(what: str, value: Any) -> bool:
        known = what in model.conditions
        if value is not None and not known:
            raise BadInput(f"{name} was trained without {what}s: leave the {what} out.")
        if value is None and known and what in model.needs:
            raise BadInput(f"{name} makes nothing without a {what}: give one.")
        return known

    found: dict[str, Tensor] = {}
    if has("label", words.label):
        found["label"] = _labels(items, seeds, words.label)
    if has("caption", words.caption):
        found["caption"] = _captions(items, len(seeds), words.caption, "caption")
    if has("source", source):
        found["source"] = _sources(items, seeds, source, mask)
    elif mask is not None:
        raise BadInput(f"{name} takes no source, so a mask says nothing: leave it out.")
    if words.negative is not None and has("caption", words.negative):
        if not hasattr(model, "guided"):
            raise BadInput(f"{name} is not guided: leave the negative caption out.")
        found["negative_caption"] = _captions(items, len(seeds), words.negative, "negative")
    return found


def _labels(items: Items, seeds: Sequence[int], label: Label) -> Tensor:
    classes = items.classes
    if label is None:
        return torch.tensor([_drawn(seed, len(classes)) for seed in seeds])
    asked = [label] if isinstance(label, int | str) else list(label)
    if len(asked) not in (1, len(seeds)):
        raise BadInput(f"{len(asked)} labels for {len(seeds)} samples: give one, or one each.")
    found = [class_index(one, classes) for one in asked]
    return torch.tensor(found * len(seeds) if len(found) == 1 else found)


def _captions(items: Items, n: int, caption: Text, what: str) -> Tensor:
    told = items.caption
    assert told is not None, items
    texts = [caption or ""] if caption is None or isinstance(caption, str) else list(caption)
    if len(texts) not in (1, n):
        raise BadInput(f"{len(texts)} captions for {n} samples: give one, or one each.")
    for text in dict.fromkeys(filter(None, texts)):
        try:
            unread = told.unread(text)
        except BadInput as error:
            raise BadInput(f"{what} {text[:40]!r}: {error}") from None
        if unread:
            note(f"of the {what} {text[:40]!r} the model does not read: {', '.join(unread)}.")
    hidden = torch.full((told.length,), -1)
    rows = torch.stack([told.encode(text) if text else hidden for text in texts])
    return rows.expand(n, -1)


def _sources(
    items: Items, seeds: Sequence[int], source: Tensor | None, mask: Tensor | None
) -> Tensor:
    if source is None:
        return torch.full((len(seeds), *given.space(items).shape), float("nan"))
    return given.asked(items, source, seeds, mask)


def _drawn(seed: int, classes: int) -> int:
    """A class of the sample's own: from another stream than its noise."""
    stream = torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + 1) % 2**63)
    return int(torch.randint(classes, (), generator=stream))


def class_index(label: int | str, classes: Sequence[str]) -> int:
    """The index of a class given by name or index; -1 hides the label.

    Raises:
        BadInput: There is no such class.
    """
    if isinstance(label, str) and label in classes:
        return list(classes).index(label)
    try:
        index = int(label)
    except ValueError:
        raise BadInput(f"there is no class {label!r}{nearest(str(label), classes)}") from None
    if not -1 <= index < len(classes):
        raise BadInput(f"label = {index}: there are classes 0 to {len(classes) - 1}; -1 is none.")
    return index


def hash_of(source: Tensor) -> str:
    """SHA-256 of one source as a model sees it."""
    return hashlib.sha256(source.float().contiguous().cpu().numpy().tobytes()).hexdigest()
