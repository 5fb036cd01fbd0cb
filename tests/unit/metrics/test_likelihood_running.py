"""Bits per character of a running text count what its tokens decode to, whatever they are."""

from __future__ import annotations

import math

import pytest
import torch

from genloom.core import Items
from genloom.lexicon import Bytes, Letters, Pieces, learn_pieces
from genloom.metrics.baselines import text_bytes
from genloom.metrics.likelihood import _scale

TEXT = "the caf\u00e9 is old, \u6625\u7720. " * 40


@pytest.mark.parametrize(
    "lexicon",
    [Letters("".join(sorted({*TEXT}))), Bytes(), Pieces(learn_pieces([TEXT], 270))],
    ids=["letters", "bytes", "pieces"],
)
def test_characters_are_those_of_the_text_and_not_its_tokens(lexicon):
    ids = torch.tensor(lexicon.encode(TEXT))
    ids = ids[: len(ids) // 7 * 7].view(-1, 7)
    said = lexicon.decode(ids.flatten().tolist())
    about, mixed = Items("text", (7,), lexicon=lexicon), ids[torch.randperm(len(ids))]
    for rows in (ids, mixed):  # the order does not matter, though borders divide letters
        assert _scale(about, rows) / math.log(2) * len(ids) == pytest.approx(len(said), abs=1)
        assert text_bytes(rows, about) == pytest.approx(len(said.encode()), abs=2)
    if isinstance(lexicon, Letters):
        assert _scale(about, ids) == math.log(2) * 7
