"""What the server knows of its models without holding their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from genloom import artifact
from genloom.core import Items, Latents, Option, Real, Tokens, check_options, options
from genloom.errors import BadInput, nearest
from genloom.serve.problems import Problem

LONGEST = 200  # characters of an option's name, and of its value
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
        latents: Whether it has a code for each datum.
        options: Of its sampling.
        function: What the options are checked against.
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
    latents: bool
    options: Mapping[str, Option]
    function: Any

    def schema(self) -> dict[str, Any]:
        """JSON schema of the options, with a seed and, where there are classes, a label."""
        fields = {name: _schema(option) for name, option in self.options.items()}
        fields["seed"] = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
        if self.labelled:
            fields["label"] = {"type": "string", "enum": list(self.items.classes)}
        return {"type": "object", "properties": fields, "additionalProperties": False}

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
        try:
            found = check_options(self.function, given)
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
            "shape": list(self.items.shape),
            "classes": list(self.items.classes),
            "hash": self.hash,
            "embeds": self.latents,
        }


def learn(name: str, folder: Path) -> Known:
    """Read an artifact once, and keep what is not its weights.

    Raises:
        BadInput: It is no artifact, or was changed.
    """
    found = artifact.load(folder, device="cpu")
    model = found.model
    recipe = json.dumps(found.recipe, sort_keys=True).encode()
    return Known(
        name=name,
        folder=found.path,
        hash=found.hash,
        recipe=hashlib.sha256(recipe).hexdigest(),
        data=str(found.card.get("data", {}).get("fingerprint", "")),
        created=int((found.path / artifact.WEIGHTS).stat().st_mtime),
        items=found.items,
        tokens=isinstance(model.space, Tokens) and found.items.kind == "text",
        labelled="label" in model.conditions,
        latents=isinstance(model, Latents) and isinstance(model.space, Real),
        options=options(model.sample_steps),
        function=type(model).sample_steps,
    )


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
