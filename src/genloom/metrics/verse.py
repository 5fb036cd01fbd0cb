"""The form of classical Chinese verse: lines of one length, in couplets that rhyme.

Where most training documents have lines of 5 or of 7 characters that a mark ends, an even number of
them, samples are held to that too. What rhymes is learnt, for the sounds of today are not those of
then: two characters rhyme that close even lines of one training poem. Some of these do not, where a
poem changes its rhyme, and many that do were never seen; so the share is to be read beside that of
held-out poems.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, pairwise

import torch
from torch import Tensor

from genloom.core import Items
from genloom.errors import Refused
from genloom.metrics.estimate import Estimate, enough, mean_interval, wilson

LENGTHS = (5, 7)
LOOKED_AT = 500  # training documents that tell whether there is a form
_CLOSE = re.compile("[\u3002\uff0c\uff1f\uff01\uff1b\uff1a\u3001]+\\s*")  # full stop, comma, ...


def lines(text: str) -> list[str]:
    """Those of a text in form; else none."""
    *found, rest = _CLOSE.split(text)
    even = len(found) > 0 and len(found) % 2 == 0 and not rest
    same = len({len(line) for line in found}) == 1
    return found if even and same and len(found[0]) in LENGTHS else []


def closes(text: str) -> list[str]:
    """The characters that close even lines, the places of the rhyme; none out of form."""
    return [line[-1] for line in lines(text)[1::2]]


def measures(x: Tensor, about: Items, train: Tensor) -> dict[str, Callable[[], Estimate]]:
    """What can be measured of texts (n, L): nothing unless most training rows have the form."""
    if about.lexicon is None or about.end is None:
        return {}
    read = about.lexicon.decode
    few = [bool(lines(read(row))) for row in train[:LOOKED_AT].tolist()]
    if 2 * sum(few) <= len(few):
        return {}
    texts = [read(row) for row in x.tolist()]
    return {
        "verse_form": lambda: verse_form(texts),
        "verse_rhyme": lambda: verse_rhyme(texts, map(read, train.tolist())),
    }


def verse_form(texts: Sequence[str]) -> Estimate:
    """Share of texts that have an even number of lines, all of 5 or all of 7 characters."""
    enough("verse_form", len(texts), 30)
    kept, n = sum(bool(lines(text)) for text in texts), len(texts)
    low, high = wilson(kept, n)
    id = "lines of one length, 5 or 7, in an even number"
    return Estimate("verse_form", kept / n, low, high, n, id, "higher")


def verse_rhyme(texts: Sequence[str], train: Iterable[str]) -> Estimate:
    """How many even lines of a text in form rhyme with the one before, on average over such texts.

    The same character twice is no rhyme.

    Args:
        texts: To be measured; those of one couplet, or not in form, count for nothing.
        train: Training documents.

    Raises:
        Refused: Fewer than 30 texts have rhymes to look at.
    """
    known = {pair for text in train for pair in combinations(sorted({*closes(text)}), 2)}
    found = [ends for text in texts if len(ends := closes(text)) > 1]
    if len(found) < 30:
        raise Refused(
            f"verse_rhyme needs at least 30 texts in form of four lines, not {len(found)}."
        )
    shares = [
        sum(tuple(sorted(pair)) in known for pair in pairwise(ends)) / (len(ends) - 1)
        for ends in found
    ]
    value, low, high = mean_interval(torch.tensor(shares))
    id = f"{len(known)} pairs of characters that close even lines of one training poem"
    low, high = max(0.0, low), min(1.0, high)
    return Estimate("verse_rhyme", value, low, high, len(found), id, "higher")
