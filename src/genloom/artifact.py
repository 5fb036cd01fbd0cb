"""A trained model as a folder: weights.safetensors, recipe.toml, card.json, README.md; no pickle.

The recipe and the stored items are all that is needed to build the codec and the model again, from
the closed catalog only, unless the caller allows other code. What a model learned by (value range,
alphabet, schedule) lies in the artifact and nowhere else. The format has a version; an unknown one
is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from shlex import quote
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import Tensor

from genloom import __version__, artifact_folder, conditions, sampling, toml
from genloom.artifact_folder import CARD, FILES, RECIPE, WEIGHTS
from genloom.artifact_folder import FORMAT as FORMAT
from genloom.artifact_folder import README as README
from genloom.artifact_folder import note_metrics as note_metrics
from genloom.artifact_folder import save as save
from genloom.checkpoint import digest
from genloom.conditions import Label, Text, hash_of
from genloom.core import Codec, Condition, Generative, Items, check_options, options
from genloom.decoding.penalties import NEUTRAL
from genloom.errors import BadInput, nearest
from genloom.lexicon import Lexicon
from genloom.recipe import model_of


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

        Of texts these are numbers, which `items.read` reads; `write` gives the texts themselves.

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
        check_counts(n=n, seed=seed, batch=batch)
        cond = self.condition(range(seed, seed + n), label, caption, source, mask, negative)
        x = sampling.sample(self.model, n, cond, seed=seed, batch=batch, **options)
        return self.codec.decode(x.cpu())

    def write(
        self,
        prompt: str | Sequence[str] = "",
        n: int = 1,
        *,
        user: str | None = None,
        system: str | None = None,
        stop: str | Sequence[str] = (),
        max_tokens: int | None = None,
        regex: str | None = None,
        json_schema: Mapping[str, Any] | str | Path | None = None,
        form: str | None = None,
        draft: Artifact | str | Path | None = None,
        lookup: bool = False,
        seed: int = 0,
        label: Label = None,
        batch: int = 64,
        **options: Any,
    ) -> list[str]:
        """Draw n texts that begin with a prompt, or n answers to a user; as `genloom sample` does.

            model.write("Once", stop=".", temperature=0.8)
            model.write(user="Ann has a dog. Who has it?", n=3, regex="[a-z]+")

        Args:
            prompt: What the texts begin with; of music, the name of a MIDI file too. Of several
                prompts each is asked alone, from the same seed; the texts of the first come first.
            n: How many.
            user: What a user says, in place of a prompt, to a model that learned talks.
            system: What is said to the model before that.
            stop: A text, or some, that end what is drawn; they are no part of it.
            max_tokens: The most to draw; left out: as many as there is room for.
            regex: A regular expression that what is drawn matches.
            json_schema: Of what is drawn: the schema, or its file.
            form: "valid": prompt and text are whole music or a molecule together.
            draft: A smaller model of the same texts that guesses; the texts stay the same.
            lookup: Guess by what the text said before, likewise.
            seed: Of the first; the others have the next ones.
            label: See `condition`.
            batch: How many at a time; it changes speed and memory, not the texts.
            options: Those of the family; `options()` lists them.

        Raises:
            BadInput: See `texts.wished` and `continuation.written`.
        """
        from genloom import continuation, texts

        check_counts(n=n, seed=seed, batch=batch)
        if isinstance(draft, str | Path):
            draft = load(draft, device=str(sampling.device_of(self.model)))
        asked: dict[str, Any] = {"user": user, "system": system, "stop": stop}
        asked |= {"max_tokens": max_tokens, "regex": regex, "json_schema": json_schema}
        asked |= {"form": form, "draft": draft, "lookup": lookup}
        how = {"seed": seed, "batch": batch, "label": label, "options": options}
        made = list[str]()
        for one in texts.several("prompt", prompt):
            wish = texts.wished(self, prompt=one or None, **asked)
            made += map(self.items.read, continuation.written(self, n, **wish, **how))
        return made

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
        check_counts(n=n, seed=seed)
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
        told = {name: v for name, v in chosen.items() if NEUTRAL.get(name) != v}
        cond = self.condition(range(seed, seed + n), label, caption, source, mask, negative)
        labels = cond.get("label")
        texts = {"caption": caption, "negative": negative}
        return [
            {
                "genloom": __version__,
                "model": self.hash,
                "seed": str(seed + i),
                "label": "" if labels is None else str(int(labels[i])),
                "options": json.dumps(told),
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


def check_counts(**given: int) -> None:
    """Refuse what is no whole number, a seed below 0, and any other number below 1."""
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise BadInput(f"{name} = {value!r}: it must be a whole number.")
        low = 0 if name == "seed" else 1
        if value < low:
            raise BadInput(f"{name} = {value}: it must be at least {low}.")


def find(path: str | Path) -> Path:
    """The artifact's folder, of a run, an artifact, or a run's name under ./runs.

    Raises:
        BadInput: There is none.
    """
    path = Path(path)
    for folder in (path, path / "model", Path("runs") / path / "model"):
        if (folder / CARD).is_file() or is_checkpoint(folder):
            return folder
    for run in (path, Path("runs") / path):
        if (run / "run.json").is_file():
            raise BadInput(
                f"{run} has no model yet. Finish it: genloom train --resume {quote(str(run))}"
            )
    runs = [p.parent.name for p in Path("runs").glob("*/model")]
    hint = nearest(str(path), runs) if runs else ". `genloom train --help` shows how to make one."
    raise BadInput(f"there is no model {str(path)!r}{hint}")


def is_checkpoint(path: str | Path) -> bool:
    """Whether a folder is a checkpoint of others, such as `hub.causal` reads."""
    if not (Path(path) / "config.json").is_file():
        return False
    from genloom.hub import causal

    return causal.is_checkpoint(path)


def recipe_of(path: str | Path) -> dict[str, Any]:
    """The recipe of a trained model, without its weights; `load` names the paths."""
    if is_checkpoint(path):
        from genloom.hub import causal

        return causal.recipe(path)
    return artifact_folder.read_recipe(find(path) / RECIPE)


def lexicon_of(path: str | Path) -> Lexicon | None:
    """How a trained model reads texts, without its weights; None where it makes none."""
    if is_checkpoint(path):
        from genloom.hub import causal

        return causal.lexicon(path)
    folder = find(path)
    content = artifact_folder.read_card(folder)
    return artifact_folder.read_items(folder, content["items"]).lexicon


def weights(folder: Path) -> list[Path]:
    """The files of a model's weights."""
    own = folder / WEIGHTS
    return [own] if own.is_file() else sorted(folder.glob("*.safetensors"))


def load(path: str | Path, *, device: str = "auto", allow_code: bool = False) -> Artifact:
    """Read an artifact: check its version and hashes, build it from the catalog, fill in weights.

    Args:
        path: A run, its model folder, or a run's name under ./runs; or a Stable Diffusion folder
            of diffusers (see `hub.diffusers`), or a checkpoint (see `hub.causal`).
        device: As torch names it; "auto" prefers an accelerator.
        allow_code: Run the code that its recipe names as "module:Name", see `catalog.find`.

    Raises:
        BadInput: It is not an artifact, was changed, or is of an unknown format version.
    """
    if (Path(path) / "model_index.json").is_file():
        from genloom.hub import diffusers

        return diffusers.load(path, device=device)
    if is_checkpoint(path):
        from genloom.hub import causal

        return causal.load(path, device=device)
    folder = find(path)
    content = artifact_folder.read_card(folder)
    for name in (WEIGHTS, RECIPE, *sorted(set(FILES[2:]) & set(content["files"]))):
        if not (folder / name).is_file():
            raise BadInput(f"{folder} holds no {name}.")
        if digest(folder / name) != content["files"].get(name):
            raise BadInput(f"{folder / name} is not the file that was saved: its hash differs.")
    recipe = artifact_folder.read_recipe(folder / RECIPE)
    items = artifact_folder.read_items(folder, content["items"])
    placed = artifact_folder.placed(recipe, folder)
    codec, model = model_of(placed, items, allow_code=allow_code)
    _fill(model, folder / WEIGHTS)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).eval()
    return Artifact(
        folder, recipe, content, items, model, codec.to(device), content["files"][WEIGHTS]
    )


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
