"""A trained model as a folder: weights.safetensors, recipe.toml, card.json, README.md; no pickle.

The recipe and the stored items are all that is needed to build the codec and the model again, from
the closed catalog only. What a model learned by (value range, alphabet, schedule) lies in the
artifact and nowhere else. The format has a version; an unknown one is an error.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import Tensor

from genloom import __version__, card, conditions, environment, sampling, toml
from genloom.checkpoint import digest, replacing, write_text
from genloom.conditions import Label, Text, hash_of
from genloom.core import Codec, Condition, Generative, Items, check_options, options
from genloom.data.captions import Pieces, reader_of, told_of
from genloom.errors import BadInput, nearest
from genloom.nets import text
from genloom.recipe import build, model_of

FORMAT = 1
WEIGHTS, RECIPE, CARD, README = "weights.safetensors", "recipe.toml", "card.json", "README.md"
INNER = "autoencoder"  # the artifact that a codec is made of, in the folder of the outer one
READER, ENCODER = "text", "text_encoder"  # the folder of what reads captions; the option of nets
FILES = (  # whose hashes a card has
    *(WEIGHTS, RECIPE, f"{INNER}/{WEIGHTS}", f"{INNER}/{RECIPE}"),
    *(f"{READER}/{name}" for name in (text.CONFIG, text.WEIGHTS, text.TOKENIZER)),
)
LARGEST_TEXT = 16 * 2**20  # bytes of a recipe or a card; a longer one is not ours


@final
@dataclass(frozen=True)
class Artifact:
    """A trained model, ready to sample.

    Args:
        path: Its folder.
        recipe: As resolved when it was trained; data.source is a name, not a path.
        card: What card.json holds.
        items: What it makes.
        model: With the trained weights, in evaluation mode.
        codec: Between its space and items.
        hash: SHA-256 of its weights file.
    """

    path: Path
    recipe: dict[str, Any]
    card: dict[str, Any]
    items: Items
    model: Generative
    codec: Codec
    hash: str

    @property
    def name(self) -> str:
        """Family and data, for titles."""
        data = self.card.get("data", {}).get("name", self.recipe.get("data", {}).get("source"))
        return f"{data}-{self.recipe['model']['use']}"

    def options(self) -> dict[str, Any]:
        """The sampling options with their defaults."""
        return {name: o.default for name, o in options(self.model.sample_steps).items()}

    def condition(
        self,
        seeds: Sequence[int],
        label: Label = None,
        caption: Text = None,
        source: Tensor | None = None,
        mask: Tensor | None = None,
        negative: Text = None,
    ) -> Condition:
        """The condition of one sample per seed.

        Args:
            seeds: One per sample.
            label: A class by name or index, one per sample, or -1 for none. Left out, each
                sample draws its class from its own seed, all classes equally likely.
            caption: A text, or one per sample; "" and left out: hidden.
            source: The picture that the samples are made from, or one per sample, uint8
                (n, C, h, w) of any size, put through the derivation that training had (so a
                colorizer takes a colour picture); reals are what the model sees. Left out: hidden.
            mask: Where the samples may differ from the source, bool (n, 1, h, w), for models that
                fill holes; left out, each sample draws one from its own seed.
            negative: A caption that guidance leads away from, or one per sample; left out: none.

        Raises:
            BadInput: The model has no such class or condition, or does not do without it.
        """
        words = conditions.Words(label, caption, negative)
        return conditions.of(self.model, self.items, self.name, seeds, words, source, mask)

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        label: Label = None,
        caption: Text = None,
        source: Tensor | None = None,
        mask: Tensor | None = None,
        negative: Text = None,
        batch: int = 64,
        **options: Any,
    ) -> Tensor:
        """Draw n items with the seeds seed, seed + 1, ...: (n, *items.shape).

        Args:
            n: How many.
            seed: Of the first.
            label: See `condition`.
            caption: See `condition`.
            source: See `condition`.
            mask: See `condition`.
            negative: See `condition`.
            batch: How many at a time; it changes speed and memory, not the samples.
            options: Those of the family; `options()` lists them.
        """
        _check(n=n, seed=seed, batch=batch)
        cond = self.condition(range(seed, seed + n), label, caption, source, mask, negative)
        x = sampling.sample(self.model, n, cond, seed=seed, batch=batch, **options)
        return self.codec.decode(x.cpu())

    def stream(
        self,
        n: int = 1,
        *,
        seed: int = 0,
        label: Label = None,
        caption: Text = None,
        source: Tensor | None = None,
        mask: Tensor | None = None,
        negative: Text = None,
        **options: Any,
    ) -> Iterator[Tensor]:
        """Yield ever better guesses at n items; stop iterating to cancel."""
        _check(n=n, seed=seed)
        seeds = range(seed, seed + n)
        cond = self.condition(seeds, label, caption, source, mask, negative)
        for x in sampling.stream(self.model, seeds, cond, **options):
            yield self.codec.decode(x.cpu())

    def records(
        self,
        n: int,
        *,
        seed: int = 0,
        label: Label = None,
        caption: Text = None,
        source: Tensor | None = None,
        mask: Tensor | None = None,
        negative: Text = None,
        batch: int = 64,
        **options: Any,
    ) -> list[dict[str, str]]:
        """What makes each sample again: model, seed, label, options, recipe; it names no path.

        Where they were given, also the caption, and the SHA-256 of what the model saw of the
        source.
        """
        chosen = self.options() | check_options(self.model.sample_steps, options)
        cond = self.condition(range(seed, seed + n), label, caption, source, mask, negative)
        labels = cond.get("label")
        texts = {"caption": caption, "negative": negative}
        return [
            {
                "genloom": __version__,
                "model": self.hash,
                "seed": str(seed + i),
                "label": "" if labels is None else str(int(labels[i])),
                "options": json.dumps(chosen),
                "batch": str(min(batch, n)),
                "threads": str(torch.get_num_threads()),
                "recipe": toml.dumps(self.recipe),
                **{
                    name: text if isinstance(text, str) else text[i % len(text)]
                    for name, text in texts.items()
                    if text
                },
                **({"source": hash_of(cond["source"][i])} if source is not None else {}),
            }
            for i in range(n)
        ]


def _check(**given: int) -> None:
    for name, value in given.items():
        low = 0 if name == "seed" else 1
        if value < low:
            raise BadInput(f"{name} = {value}: it must be at least {low}.")


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
            "items": {**asdict(items), "caption": items.caption and told_of(items.caption)},
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


def _write_card(folder: Path, content: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    write_text(folder / CARD, json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(folder / README, card.render(content, recipe))


def _public(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without the folders of whoever trained it."""
    public = {name: dict(table) for name, table in recipe.items()}
    source = public.get("data", {}).get("source")
    if isinstance(source, str):
        public["data"]["source"] = _last(source)
    if isinstance(teacher := public.get("model", {}).get("teacher"), str):
        public["model"]["teacher"] = _last(teacher)
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
    """Copy what reads captions, besides the model: a tokenizer, and a trained encoder.

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


def _last(path: str) -> str:
    """The last part of a path, of any system's."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _inner(codec: Codec | None, recipe: Mapping[str, Any], items: Items) -> Artifact | None:
    """The artifact that a codec is made of, if it is of one."""
    if codec is None and INNER in recipe.get("codec", {}):
        codec = build(recipe["codec"], items, kind="codec")
    return getattr(codec, "inner", None)


def find(path: str | Path) -> Path:
    """The artifact's folder, of a run, an artifact, or a run's name under ./runs.

    Raises:
        BadInput: There is none.
    """
    path = Path(path)
    for folder in (path, path / "model", Path("runs") / path / "model"):
        if (folder / CARD).is_file():
            return folder
    for run in (path, Path("runs") / path):
        if (run / "run.json").is_file():
            raise BadInput(f"{run} has no model yet. Finish it: genloom train --resume {run}")
    runs = [p.parent.name for p in Path("runs").glob("*/model")]
    hint = nearest(str(path), runs) if runs else ". `genloom train --help` shows how to make one."
    raise BadInput(f"there is no model {str(path)!r}{hint}")


def load(path: str | Path, *, device: str = "auto") -> Artifact:
    """Read an artifact: check its version and hashes, build it from the catalog, fill in weights.

    Args:
        path: A run, its model folder, or a run's name under ./runs; or a Stable Diffusion folder
            of diffusers (see `hub.diffusers`).
        device: As torch names it; "auto" prefers an accelerator.

    Raises:
        BadInput: It is not an artifact, was changed, or is of an unknown format version.
    """
    if (Path(path) / "model_index.json").is_file():
        from genloom.hub import diffusers

        return diffusers.load(path, device=device)
    folder = find(path)
    content = _card(folder)
    for name in (WEIGHTS, RECIPE, *sorted(set(FILES[2:]) & set(content["files"]))):
        if not (folder / name).is_file():
            raise BadInput(f"{folder} holds no {name}.")
        if digest(folder / name) != content["files"].get(name):
            raise BadInput(f"{folder / name} is not the file that was saved: its hash differs.")
    recipe = _recipe(folder / RECIPE)
    items = _items(folder, content["items"])
    codec, model = model_of(_placed(recipe, folder), items)
    _fill(model, folder / WEIGHTS)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).eval()
    return Artifact(
        folder, recipe, content, items, model, codec.to(device), content["files"][WEIGHTS]
    )


def _placed(recipe: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe of an artifact, which reads what lies in the artifact and nothing else."""
    if INNER in recipe.get("codec", {}):
        recipe = recipe | {"codec": {**recipe["codec"], INNER: str((folder / INNER).resolve())}}
    if "model" in recipe:
        recipe = recipe | {"model": _encoded(recipe["model"], str((folder / READER).resolve()))}
    return recipe


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST_TEXT:
        raise BadInput(f"{path} has {path.stat().st_size} bytes: that is no {path.name} of ours.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not text: {error}.") from error


def _card(folder: Path) -> dict[str, Any]:
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


def _recipe(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is not TOML: {error}.") from error


def _items(folder: Path, fields: Mapping[str, Any]) -> Items:
    try:
        told = fields.get("caption")
        read = told and reader_of(told, str((folder / READER).resolve()))
        found = Items(**{**fields, "caption": read})
        return replace(found, shape=tuple(found.shape), classes=tuple(found.classes))
    except TypeError as error:
        raise BadInput(
            f"{folder / CARD}: items are not as genloom writes them: {error}."
        ) from error


def _fill(model: Generative, path: Path) -> None:
    """Put the stored weights into the model; what the file is, its content says."""
    try:
        load_model(model, str(path), strict=True)
    except SafetensorError as error:
        raise BadInput(f"{path} is not safetensors ({error}). No other form is read.") from error
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise BadInput(f"{path} does not fit the model of its recipe: {first}") from error


def sample(model: Artifact | str | Path, n: int, **options: Any) -> Tensor:
    """Draw n items from an artifact or the path of one; see `Artifact.sample`."""
    artifact = model if isinstance(model, Artifact) else load(model)
    return artifact.sample(n, **options)


def stream(model: Artifact | str | Path, n: int = 1, **options: Any) -> Iterator[Tensor]:
    """Yield ever better guesses at n items; see `Artifact.stream`."""
    artifact = model if isinstance(model, Artifact) else load(model)
    return artifact.stream(n, **options)
