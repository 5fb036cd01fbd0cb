"""What the server knows of its models without holding their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch

from genloom import artifact
from genloom.codecs import Text
from genloom.codecs.voices import Voices
from genloom.core import Condition, Edits, Items, Latents, Option, options
from genloom.errors import BadInput, nearest
from genloom.given import space
from genloom.int8 import packs
from genloom.serve.engine.admission import Draws
from genloom.serve.problems import Problem
from genloom.serve.store.ids import shown

LONGEST = 200  # characters of an option's name, and of its value
STORED = {"image": torch.uint8, "points": torch.float32, "text": torch.long}
TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


@final
@dataclass(frozen=True)
class Known:
    """A model that is served.

    Args:
        name: As requests call it.
        folder: Of its artifact.
        hash: SHA-256 of its weights.
        recipe: SHA-256 of its recipe.
        data: Fingerprint of its training data.
        created: When its weights were written, in seconds since 1970.
        items: What it makes.
        tokens: Whether it goes on from given tokens.
        labelled: Whether it takes a label.
        latent: Numbers of its code of a datum; None where it has none.
        edits: Whether it makes samples from what is sent: pictures from one, its source or one to
            change, or voices of music to those of a MIDI file.
        options: Of its sampling.
        licence: Of its data or of itself, as its card or recipe names it; None where they do not.
        measures: That its card holds, by name, for what has no verdict beside it.
        given: The kind of source that its samples are made from, of `given.SOURCES`, or "none".
        needs_source: Whether it makes nothing without one.
        guided: Whether it can be led away from a caption.
        packs: Whether its weights can be int8, see `int8.packs`.
        voices: The codec of a model that writes voices to given ones, else None.
    """

    name: str
    folder: Path
    hash: str
    recipe: str
    data: str
    created: int
    items: Items
    tokens: bool
    labelled: bool
    latent: int | None
    edits: bool
    options: Mapping[str, Option]
    licence: str | None = None
    measures: Mapping[str, Any] = field(default_factory=dict)
    given: str = "none"
    needs_source: bool = False
    guided: bool = False
    packs: bool = False
    voices: Voices | None = None

    def schema(self) -> dict[str, Any]:
        """JSON schema of the options, with a seed and what else it takes: a label, a source."""
        fields = {name: _schema(option) for name, option in self.options.items()}
        fields["seed"] = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
        if self.labelled:
            fields["label"] = {"type": "string", "enum": list(self.items.classes)}
        picture = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"}
        for name in ("source", "mask"):
            if self.given == "masked" or (name == "source" and self.given != "none"):
                fields[name] = dict(picture)
        if self.voices is not None:
            fields["source"] = picture | {"contentMediaType": "audio/midi"}
        found = {"type": "object", "properties": fields, "additionalProperties": False}
        return found | ({"required": ["source"]} if self.needs_source else {})

    def chosen(self, given: Mapping[str, Any], *, most_steps: int) -> dict[str, Any]:
        """The given options, checked.

        Raises:
            Problem: A value does not fit, or asks for more steps than the server allows.
        """
        for name, value in given.items():  # before anything is compared with it or shows it
            text = value if isinstance(value, str) else ""
            huge = isinstance(value, int) and abs(value) > 2**63
            if huge or max(len(name), len(text)) > LONGEST:
                raise Problem(400, f"the option {name[:LONGEST]!r} is too large.", param="options")
            if not isinstance(value, int | float | str | None):
                raise Problem(400, f"{name!r} is not a number, a text or null.", param="options")
            if name not in self.options:
                text = f"there is no option {name!r}{nearest(name, self.options)}"
                raise Problem(400, text, code="invalid_value")
        try:
            found = {name: self.options[name].check(value) for name, value in given.items()}
        except BadInput as error:
            raise Problem(400, str(error), code="invalid_value") from error
        if found.get("steps", 0) > most_steps:
            raise Problem(400, f"steps = {found['steps']}: at most {most_steps}.", param="steps")
        return found

    def card(self) -> dict[str, Any]:
        """As `GET /v1/models/{id}` tells it; unknown fields are ignored by clients of OpenAI."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "genloom",
            "kind": self.items.kind,
            "medium": self.items.medium,
            "shape": list(self.items.shape),
            "classes": list(self.items.classes),
            "hash": self.hash,
            "embeds": self.latent is not None,
            "edits": self.edits,
            "continues": self.tokens,
            "captions": self.items.caption is not None,
            "guided": self.guided,
            **({} if self.latent is None else {"latent": {"size": self.latent}}),
            **({} if self.given == "none" else {"source": self._source()}),
        }

    def _source(self) -> dict[str, Any]:
        """What the card says of the source: its kind, whether it must be there, and with a mask."""
        return {
            "given": self.given,
            "needed": self.needs_source,
            "mask": self.given == "masked",
        }

    def first(self) -> Condition:
        """The conditions of a sample that shows that the model can make one: (1, ...)."""
        if not self.needs_source:
            return {}
        return {"source": torch.zeros(1, *space(self.items).shape)}


def learn(name: str, folder: Path) -> Known:
    """Read an artifact once, and keep what is not its weights.

    Raises:
        BadInput: It is no artifact, or was changed.
    """
    found = artifact.load(folder, device="cpu")
    model, codec = found.model, found.codec
    voices = codec if isinstance(codec, Voices) and isinstance(model, Edits) else None
    recipe = json.dumps(found.recipe, sort_keys=True).encode()
    return Known(
        name=name,
        folder=found.path,
        hash=found.hash,
        recipe=hashlib.sha256(recipe).hexdigest(),
        data=str(found.card.get("data", {}).get("fingerprint", "")),
        created=int(max(p.stat().st_mtime for p in artifact.weights(found.path))),
        items=found.items,
        tokens=isinstance(model, Draws) and isinstance(codec, Text),
        labelled="label" in model.conditions,
        latent=_latent(found),
        edits="source" in model.conditions
        or voices is not None
        or (isinstance(model, Edits) and found.items.kind == "image"),
        options=options(model.sample_steps),
        licence=_licence(found.card, found.recipe),
        measures=found.card.get("metrics") or {},
        given=found.items.given if "source" in model.conditions else "none",
        needs_source="source" in model.needs,
        guided=hasattr(model, "guided") and "caption" in model.conditions,
        packs=isinstance(model, Draws) and packs(getattr(model, "net", None)),
        voices=voices,
    )


def _latent(found: artifact.Artifact) -> int | None:
    """The size of a datum's code: that of one, as nothing else tells it."""
    model, codec = found.model, found.codec
    if not isinstance(model, Latents):
        return None
    with torch.inference_mode():
        x = codec.encode(torch.zeros(1, *found.items.shape, dtype=STORED[found.items.kind]))
        return model.encode(x, found.condition([0])).numel()


def _licence(card: Mapping[str, Any], recipe: Mapping[str, Any]) -> str | None:
    """What the card, its data or the recipe's data name."""
    for table in (card, card.get("data", {}), recipe.get("data", {})):
        if isinstance(table.get("licence"), str):
            return shown(table["licence"])
    return None


def named(models: Mapping[str, Known], name: str | None) -> Known:
    """The model of that name; of the only one there is for no name.

    Raises:
        Problem: 404, as OpenAI words it.
    """
    if name is None and len(models) == 1:
        return next(iter(models.values()))
    if name is None:
        raise Problem(400, f"model is missing. Known: {', '.join(models)}.", param="model")
    if name not in models:
        raise Problem(
            404,
            f"the model {name[:100]!r} does not exist{nearest(name[:100], models)}",
            code="model_not_found",
            param="model",
        )
    return models[name]


def _schema(option: Option) -> dict[str, Any]:
    found: dict[str, Any] = {"type": TYPES[option.type], "default": option.default}
    if option.choices:
        found["enum"] = list(option.choices)
    if option.bounds.ge is not None:
        found["minimum"] = option.bounds.ge
    if option.bounds.le is not None:
        found["maximum"] = option.bounds.le
    if option.optional:
        found["type"] = [found["type"], "null"]
    return found
