"""Make one artifact of several: an `Ensemble` that samples, evaluates and serves like any model."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genloom import toml
from genloom.artifact import Artifact, load, save
from genloom.checkpoint import write_text
from genloom.codecs import Latent
from genloom.errors import BadInput
from genloom.models.ensemble import NAMES
from genloom.private import composed
from genloom.recipe import model_of


def ensemble(
    sources: Sequence[str | Path], out: str | Path, *, shares: Sequence[float] | None = None
) -> Path:
    """Write OUT/model, an artifact that holds the weights of all members; gives OUT.

    OUT/recipe.toml names the members' data, so that `genloom evaluate OUT` finds them.

    Args:
        sources: Runs, their names, or artifacts; two to eight.
        out: The folder; replaced if it holds an ensemble.
        shares: Of the samples, one a member; equal where left out.

    Raises:
        BadInput: Too few or many members, or members that do not make the same items by the same
            codec under the same conditions.
    """
    if not 2 <= len(sources) <= len(NAMES):
        raise BadInput(f"{len(sources)} members: an ensemble has 2 to {len(NAMES)}.")
    folder = Path(out)
    if (folder / "run.json").is_file():
        raise BadInput(f"{folder} holds a run. Choose another --out.")
    members = [load(source, device="cpu") for source in sources]
    if any(isinstance(member.codec, Latent) for member in members):
        raise BadInput("a member works on the codes of an autoencoder: such cannot be joined.")
    for other in members[1:]:
        _agree(members[0], other)
    tables = dict(zip(NAMES, (dict(m.recipe["model"]) for m in members)))
    given = {} if shares is None else {"shares": [float(share) for share in shares]}
    recipe = {
        "data": members[0].recipe["data"],
        "codec": members[0].recipe["codec"],
        "model": {"use": "ensemble", **given, **tables},
    }
    _, model = model_of(recipe, members[0].items)
    for k, member in enumerate(members):
        model.get_submodule(f"members.{k}").load_state_dict(member.model.state_dict())
    save(
        folder / "model",
        model=model.eval(),
        recipe=recipe,
        items=members[0].items,
        card=_card(members),
    )
    _name_data(folder, members[0], recipe)
    return folder


def _agree(first: Artifact, other: Artifact) -> None:
    pairs: dict[str, tuple[Any, Any]] = {
        "items": (first.items, other.items),
        "codec": (first.recipe["codec"], other.recipe["codec"]),
        "conditions": (first.model.conditions, other.model.conditions),
    }
    for name, (a, b) in pairs.items():
        if a != b:
            raise BadInput(
                f"{other.path} and {first.path} differ in their {name}: {b} and {a}. The members "
                "of an ensemble must agree; train them with the same data and codec options."
            )


def _card(members: Sequence[Artifact]) -> dict[str, Any]:
    """What is known of all: the data's fingerprint only where all saw the same data.

    Where all were trained privately, what they spent adds up.
    """
    data = [member.card.get("data", {}) for member in members]
    training = [member.card.get("training", {}) for member in members]
    names = dict.fromkeys(str(d.get("name", "unknown data")) for d in data)
    seconds = [t["seconds"] for t in training if "seconds" in t]
    same = all(d == data[0] for d in data)
    spent = composed(t.get("private") for t in training)
    return {
        "data": data[0] if same else {"name": " and ".join(names)},
        "training": {
            "seconds": sum(seconds),
            "alarms": [alarm for t in training for alarm in t.get("alarms", ())],
            "members": [{"name": m.name, "weights": m.hash} for m in members],
            **({"private": spent} if spent else {}),
        },
    }


def _name_data(folder: Path, first: Artifact, recipe: dict[str, Any]) -> None:
    """The artifact keeps only the last part of the data's path; the folder keeps all of it."""
    beside = first.path.parent / "recipe.toml"
    if beside.is_file():
        data = tomllib.loads(beside.read_text(encoding="utf-8")).get("data", recipe["data"])
        write_text(folder / "recipe.toml", toml.dumps({**recipe, "data": data}))
