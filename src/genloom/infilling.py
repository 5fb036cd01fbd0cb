"""Texts with blanks, which a model that edits fills: "He said ____ to her"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from genloom import sampling
from genloom.artifact import Artifact
from genloom.conditions import Label, Text
from genloom.core import Edits, Tokens, check_options
from genloom.errors import BadInput

BLANK = "_"


def infill(
    artifact: Artifact,
    text: str,
    seeds: Sequence[int],
    *,
    label: Label = None,
    caption: Text = None,
    **options: Any,
) -> Tensor:
    """Fill the blanks of a text once per seed: items, (len(seeds), tokens of the text).

    Each "_" is one token: a letter, a byte or a piece of a word. All others stay as they are.

    Args:
        artifact: Of texts.
        text: At most as long as a datum. Where data have no end, what would follow is drawn with
            the blanks and left out.
        seeds: One per result.
        label: See `Artifact.condition`.
        caption: See `Artifact.condition`.
        options: Those of the family.

    Raises:
        BadInput: The model makes no texts or fills no blanks, there are none, or the text is too
            long or has letters that the model does not know.
    """
    model, lexicon = artifact.model, artifact.items.lexicon
    if lexicon is None or artifact.items.medium == "music" or not isinstance(model.space, Tokens):
        raise BadInput(f"{artifact.name} makes {artifact.items.medium}, not texts.")
    if not isinstance(model, Edits):
        raise BadInput(f"{artifact.name} draws in one order alone: train one with --model mdlm.")
    if BLANK not in text:
        raise BadInput(f"the text has no blank: write {BLANK} where a token is to be filled in.")
    ids: list[int] = []
    for piece in re.split(f"({BLANK})", text):
        ids += [-1] if piece == BLANK else lexicon.encode(piece)
    (length,) = model.space.shape
    if len(ids) > length:
        raise BadInput(f"the text has {len(ids)} tokens, and a datum {length}: shorten it.")
    rest = -1 if lexicon.end is None else lexicon.end
    source = torch.tensor([[*ids, *[rest] * (length - len(ids))]])
    mask, chosen = source[:, None] < 0, check_options(model.sample_steps, options)
    cond = artifact.condition(seeds, label, caption)
    source = source.masked_fill(source < 0, int(lexicon.end == 0))  # no end
    made = sampling.edit(model, seeds, cond, source, mask, **chosen)
    return artifact.codec.decode(made.cpu())[:, : len(ids)]
