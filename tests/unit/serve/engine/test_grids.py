"""A model whose tokens are no words of its items: it ends where its grid does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from genloom.artifact import Artifact
from genloom.codecs import Voices
from genloom.core import Items
from genloom.lexicon import END
from genloom.models.autoregressive import Autoregressive
from genloom.music.events import encode
from genloom.music.notes import Note, Score, Track
from genloom.nets.transformer import Transformer
from genloom.serve.engine.batching import Batcher
from genloom.serve.engine.request import Request
from genloom.words import Words
from tests.unit.serve.engine.made import finals, run


def test_a_token_that_is_the_end_of_items_does_not_end_a_grid():
    scale = Score((Track(tuple(Note(48 * i, 60 + i, 48, 79) for i in range(12))),))
    words = Words(tuple(sorted(set(encode(scale).split()))), "events", marks=(END,))
    items = Items("text", (120,), (), words)
    codec = Voices(items, voices=2, frames=12)
    assert items.end is not None and items.end < codec.space.vocab
    torch.manual_seed(0)
    net = partial(Transformer, width=16, layers=1, heads=1)
    model = Autoregressive(codec.space, {}, net=net).eval()
    recipe = {"model": {"use": "autoregressive"}, "data": {"source": "scales"}}
    artifact = Artifact(Path(), recipe, {}, items, model, codec, "3" * 64)
    request = Request(model="grid", seeds=tuple(range(8)))
    found = finals(run(Batcher({"grid": artifact}), [request]))[request.id]
    drawn = artifact.sample(8)
    assert torch.equal(found.items, drawn)
    assert (codec.encode(drawn) == items.end).any()  # it was among them
