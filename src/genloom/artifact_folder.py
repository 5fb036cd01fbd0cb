"""The files of an artifact: written aside and named at once, and read without trust."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import save_model

from genloom import __version__, card, environment, lexicon, toml
from genloom.checkpoint import digest, replacing, write_text
from genloom.components import build
from genloom.core import Codec, Generative, Items
from genloom.data.captions import Pieces, reader_of, told_of
from genloom.errors import BadInput
from genloom.nets import text
from genloom.prompts import Native

if TYPE_CHECKING:
    from genloom.artifact import Artifact

FORMAT = 1
WEIGHTS, RECIPE, CARD, README = "weights.safetensors", "recipe.toml", "card.json", "README.md"
INNER = "autoencoder"  # the artifact that a codec is made of, in the folder of the outer one
READER, ENCODER = "text", "text_encoder"  # the folder of what reads captions; the option of nets
FILES = (  # whose hashes a card has
    *(WEIGHTS, RECIPE, f"{INNER}/{WEIGHTS}", f"{INNER}/{RECIPE}"),
    *(f"{READER}/{name}" for name in (text.CONFIG, text.WEIGHTS, text.TOKENIZER)),
)
RULES = "rules"  # of a tokenizer: a file beside the card
LARGEST_TEXT = 16 * 2**20  # bytes of a recipe or a card; a longer one is not ours
LARGEST_RULES = 2**28  # bytes of a tokenizer


def save(
    folder: str | Path,
    *,
    model: Generative,
    recipe: Mapping[str, Any],
    items: Items,
    card: Mapping[str, Any] | None = None,
    codec: Codec | None = None,
) -> str:
    """Write an artifact aside and give it its name at once; gives the SHA-256 of its weights.

    Args:
        folder: Replaced if it is there.
        model: Whose weights are stored, those that sampling uses.
        recipe: As resolved; of a path only the last part is kept.
        items: What the model makes.
        card: What is known of the training: "training", "data", "metrics".
        codec: Between the model's space and items; one that is made of another artifact is kept
            with it. Left out, such a codec is read from where the recipe says.
    """
    public = _public(recipe)
    inner = _inner(codec, recipe, items)
    with replacing(Path(folder)) as aside:
        save_model(model, str(aside / WEIGHTS))
        _copy_reader(model, items, aside / READER)
        (aside / RECIPE).write_text(toml.dumps(public), encoding="utf-8")
        if inner is not None:
            save(
                aside / INNER,
                model=inner.model,
                recipe=inner.recipe,
                items=inner.items,
                card=inner.card,
                codec=inner.codec,
            )
        content = {
            "format": FORMAT,
            "genloom": __version__,
            "torch": torch.__version__,
            "files": {name: digest(aside / name) for name in FILES if (aside / name).is_file()},
            "items": {
                **asdict(items),
                "caption": items.caption and told_of(items.caption),
                "lexicon": items.lexicon and _told(items.lexicon),
            },
            "seeds": {"train": public.get("train", {}).get("seed", 0)},
            "machine": environment.machine(),
            "threads": torch.get_num_threads(),
            "metrics": {},
            **(card or {}),
        }
        _write_card(aside, content, public)
    return content["files"][WEIGHTS]


def note_metrics(artifact: Artifact, metrics: Mapping[str, Any]) -> None:
    """Write measures into the card of an artifact; its weights and its hash stay."""
    _write_card(artifact.path, {**artifact.card, "metrics": dict(metrics)}, artifact.recipe)


def note_search(folder: Path, told: Mapping[str, Any]) -> None:
    """Write into the card of a private artifact what the search that it is of spent.

    Args:
        folder: The artifact's.
        told: From `private.composed`, of all trainings of the search.
    """
    content = read_card(folder)
    training = content["training"]
    names = ("trainings", "epsilon", "delta", "accountant")
    private = {
        **training["private"],
        "search": {name: told[name] for name in names},
        "uncovered": told["uncovered"],
    }
    content["training"] = {**training, "private": private}
    _write_card(folder, content, read_recipe(folder / RECIPE))


def _write_card(folder: Path, content: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    write_text(folder / CARD, json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(folder / README, card.render(content, recipe))


def _public(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without the folders of whoever trained it."""
    public = {name: dict(table) for name, table in recipe.items()}
    source = public.get("data", {}).get("source")
    if isinstance(source, str):
        public["data"]["source"] = _last(source)
    for name in ("teacher", "base"):
        if isinstance(other := public.get("model", {}).get(name), str):
            public["model"][name] = _last(other)
    if INNER in public.get("codec", {}):
        public["codec"][INNER] = INNER
    if isinstance(tokenizer := public.get("data", {}).get("tokenizer"), str):
        public["data"]["tokenizer"] = _last(tokenizer)
    if "model" in public:
        public["model"] = _encoded(public["model"], READER)
    return public


def _encoded(table: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """A component's table whose trained text encoders all lie in one folder."""
    return {
        name: _encoded(cast(Mapping[str, Any], value), folder)
        if isinstance(value, Mapping)
        else folder
        if name == ENCODER and value != "none"
        else value
        for name, value in table.items()
    }


def _copy_reader(model: Generative, items: Items, folder: Path) -> None:
    """Copy what reads texts, besides the model: a tokenizer, and a trained encoder.

    Raises:
        BadInput: There are several encoders; an artifact holds one.
    """
    found = {p.encoder.folder.resolve() for p in model.modules() if isinstance(p, text.FrozenRows)}
    if len(found) > 1:
        raise BadInput(f"an artifact holds one text encoder, not {len(found)}. Use one in all.")
    files = [source / name for source in found for name in (text.CONFIG, text.WEIGHTS)]
    if isinstance(items.caption, Pieces):
        files.append(Path(items.caption.folder) / text.TOKENIZER)
    for file in files:
        folder.mkdir(exist_ok=True)
        shutil.copyfile(file, folder / file.name)
    if isinstance(items.lexicon, lexicon.Pieces | Native):
        folder.mkdir(exist_ok=True)
        (folder / text.TOKENIZER).write_text(items.lexicon.rules, "utf-8")


def _last(path: str) -> str:
    """The last part of a path, of any system's."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _inner(codec: Codec | None, recipe: Mapping[str, Any], items: Items) -> Artifact | None:
    """The artifact that a codec is made of, if it is of one."""
    if codec is None and INNER in recipe.get("codec", {}):
        codec = build(recipe["codec"], items, kind="codec")
    return getattr(codec, "inner", None)


def placed(recipe: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe of an artifact, which reads what lies in the artifact and nothing else."""
    if INNER in recipe.get("codec", {}):
        recipe = recipe | {"codec": {**recipe["codec"], INNER: str((folder / INNER).resolve())}}
    if "model" in recipe:
        recipe = recipe | {"model": _encoded(recipe["model"], str((folder / READER).resolve()))}
    return recipe


def _told(words: lexicon.Lexicon) -> dict[str, Any]:
    """What the card says of a lexicon, whose tokenizer is a file of its own."""
    return {name: value for name, value in lexicon.told_of(words).items() if name != RULES}


def _text(path: Path, most: int = LARGEST_TEXT) -> str:
    if path.stat().st_size > most:
        raise BadInput(f"{path} has {path.stat().st_size} bytes: that is no {path.name} of ours.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not text: {error}.") from error


def read_card(folder: Path) -> dict[str, Any]:
    """What card.json says.

    Raises:
        BadInput: It is no card, or of an unknown format version.
    """
    try:
        content = json.loads(_text(folder / CARD))
    except ValueError as error:
        raise BadInput(f"{folder / CARD} is not JSON: {error}.") from error
    if not isinstance(content, dict) or "format" not in content:
        raise BadInput(f"{folder / CARD} is not the card of a genloom artifact.")
    if content["format"] != FORMAT:
        raise BadInput(
            f"{folder} has format {content['format']!r}; this genloom ({__version__}) reads "
            f"{FORMAT}. Install the genloom that wrote it: {content.get('genloom')}."
        )
    if not isinstance(content.get("files"), dict) or not isinstance(content.get("items"), dict):
        raise BadInput(f"{folder / CARD} lacks its files or items.")
    return content


def read_recipe(path: Path) -> dict[str, Any]:
    """What recipe.toml says.

    Raises:
        BadInput: It is not TOML.
    """
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is not TOML: {error}.") from error


def read_items(folder: Path, fields: Mapping[str, Any]) -> Items:
    """The items of a card; a tokenizer of theirs is read from the artifact.

    Raises:
        BadInput: There are other fields than genloom writes.
    """
    try:
        fields, told, words = dict(fields), fields.get("caption"), fields.get("lexicon")
        read = told and reader_of(told, str((folder / READER).resolve()))
        if letters := fields.pop("alphabet", ""):  # as all told it when there were only letters
            words = {"use": "letters", "alphabet": letters}
        if words and words["use"] in ("pieces", "native"):
            words = {**words, RULES: _text(folder / READER / text.TOKENIZER, LARGEST_RULES)}
        found = Items(**{**fields, "caption": read, "lexicon": words and lexicon.lexicon_of(words)})
        return replace(found, shape=tuple(found.shape), classes=tuple(found.classes))
    except (KeyError, TypeError) as error:
        raise BadInput(
            f"{folder / CARD}: items are not as genloom writes them: {error}."
        ) from error
