"""Artifacts for the engine's tests: tiny models in memory, small ones in folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from genloom.artifact import Artifact, save
from genloom.codecs import Points
from genloom.core import Generative, Items
from genloom.recipe import resolve
from genloom.serve.engine.messages import Done
from genloom.serve.engine.request import Request
from tests.unit.test_artifact import MODELS

TABLES = {
    **{name: MODELS[name] for name in ("gan", "vae", "flow")},
    "autoregressive": {"net": {"use": "transformer", "width": 16, "layers": 2, "heads": 2}},
}


def plan(name: str, source: str = "digits"):
    """A model with random weights, none of them zero."""
    table = {"use": name, **TABLES[name]}
    made = resolve({"data": {"source": source}, "model": table, "train": {"steps": 1}})
    with torch.no_grad():
        for p in made.model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    made.model.eval()
    return made


def held(name: str) -> Artifact:
    """Such a model as an artifact that has no folder."""
    made = plan(name)
    return Artifact(Path(), made.recipe, {}, made.dataset.items, made.model, made.codec, "0" * 64)


def plane(model: Generative) -> Artifact:
    """A tiny model of points as an artifact that has no folder."""
    items = Items("points", (2,), classes=("a", "b"))
    recipe = {"model": {"use": "tiny"}, "data": {"source": "two"}}
    return Artifact(Path(), recipe, {}, items, model.eval(), Points(items), "1" * 64)


def stored(folder: Path, name: str) -> Path:
    """A small model in a folder of its own."""
    made = plan(name)
    save(folder / name, model=made.model, recipe=made.recipe, items=made.dataset.items)
    return folder / name


def run(batcher, requests: Sequence[Request]) -> list:
    """The events of requests that come at once."""
    for request in requests:
        batcher.add(request)
    events = []
    while batcher.requests:
        events += batcher.step()
    return events


def finals(events) -> dict[str, Done]:
    """The last event of each request; there must be one and no more."""
    done = [event for event in events if isinstance(event, Done)]
    assert len({event.id for event in done}) == len(done)
    return {event.id: event for event in done}
