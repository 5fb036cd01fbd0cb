"""Llama-, Qwen- and GPT-2-shaped checkpoints of a local folder, and our models in their form.

A folder holds config.json, tokenizer.json, and weights in safetensors, in one file or in several
that an index names. No other form is read, and no code of the folder is ever run.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genloom.artifact import Artifact
from genloom.checkpoint import digest, replacing
from genloom.components import completed
from genloom.core import Items, Tokens
from genloom.errors import BadInput
from genloom.hub import causal_text
from genloom.hub.causal_forms import FORMS, LLAMA, Form, Naming
from genloom.hub.causal_text import CONFIG, told
from genloom.nets import lora
from genloom.prompts import Native
from genloom.recipe import model_of

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LONGEST = 2048  # tokens of a sample, where nobody says more: they take memory as they are served


def is_checkpoint(folder: str | Path) -> bool:
    """Whether a folder's config.json is of a form that is read."""
    return _kind(Path(folder)) in FORMS


def lexicon(folder: str | Path, form: str | None = None) -> Native:
    """How the model of a folder reads; see `causal_text.native`."""
    return causal_text.native(Path(folder), form)


def recipe(folder: str | Path, form: str | None = None) -> dict[str, Any]:
    """The model of a folder as a recipe.

    Args:
        folder: See above.
        form: Of a talk; see `load`.

    Raises:
        BadInput: It is of a form that is not read, or that differs from what the net does.
    """
    folder = Path(folder)
    if _kind(folder) not in FORMS:
        raise BadInput(
            f"{folder} is a {_kind(folder)!r}; checkpoints of {', '.join(FORMS)} are read."
        )
    kind = FORMS[_kind(folder)]
    try:
        net = kind.read(told(folder, CONFIG))
    except KeyError as error:
        raise BadInput(f"{folder / CONFIG} does not say {error.args[0]}.") from error
    except (BadInput, TypeError, ValueError, ZeroDivisionError) as error:
        raise BadInput(f"{folder / CONFIG}: {error}") from error
    start = causal_text.start(folder, lexicon(folder, form))
    table = completed({"use": kind.net, **net, "start": start})
    return {
        "data": {"source": folder.resolve().name},
        "codec": {"use": "text"},
        "model": {"use": "autoregressive", "net": table},
    }


def load(
    folder: str | Path, *, length: int | None = None, form: str | None = None, device: str = "auto"
) -> Artifact:
    """Read a checkpoint from a local folder; its weights become float32.

    Args:
        folder: See above.
        length: Tokens of a sample, at most as many as its positions; None: LONGEST of them.
        form: Of a talk, a name in `prompts.PROMPTS`; None: the one that its tokenizer is made for.
        device: As torch names it; "auto" prefers an accelerator.

    Raises:
        BadInput: It is not understood, or not in safetensors.
        MissingExtra: tokenizers is not installed.
    """
    folder = Path(folder)
    files = _files(folder)
    made = recipe(folder, form)
    length = min(length or LONGEST, made["model"]["net"]["positions"])
    items = Items("text", (length,), lexicon=lexicon(folder, form))
    codec, model = model_of(made, items)
    net: Any = model.net
    _fill(net, FORMS[_kind(folder)].naming, files)
    listed = "".join(f"{path.name} {digest(path)}\n" for path in (folder / CONFIG, *files))
    mark = hashlib.sha256(listed.encode()).hexdigest()
    name = made["data"]["source"]
    card = {"data": {"name": name}, "files": {"weights.safetensors": mark}, "metrics": {}}
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Artifact(folder, made, card, items, model.to(device).eval(), codec.to(device), mark)


def save(artifact: Artifact, folder: str | Path) -> list[Path]:
    """Write a model as a checkpoint that transformers loads; learned differences are merged.

    Args:
        artifact: Its net is a llama or a gpt2, its lexicon has a tokenizer.
        folder: To be made; an empty one may be there.

    Returns:
        The files.

    Raises:
        BadInput: It has another net or lexicon, or the folder holds something.
    """
    if Path(folder).exists() and any(Path(folder).iterdir()):
        raise BadInput(f"{folder} is not empty. Name a folder that is to be made.")
    table = artifact.recipe["model"].get("net", {})
    forms = {form.net: form for form in FORMS.values()}
    if table.get("use") not in forms or artifact.items.lexicon is None:
        raise BadInput(
            f"{artifact.name} is no model of text with the net {' or '.join(forms)}: transformers "
            f"has no form for it. Train with model.net.use={LLAMA.net}."
        )
    form, net = forms[table["use"]], _merged(artifact)
    words = causal_text.written(artifact.items.lexicon, net.opener)
    config = _config(form, completed(table), artifact, net)
    weights = {
        name if name == "lm_head.weight" else form.naming.prefix + name: value
        for name, value in _theirs(net, form.naming)
    }
    with replacing(Path(folder)) as aside:
        (aside / CONFIG).write_text(_dumped(config), "utf-8")
        save_file(weights, str(aside / WEIGHTS), {"format": "pt"})
        for name, text in words.items():
            (aside / name).write_text(text, "utf-8")
    return sorted(Path(folder).iterdir())


def _kind(folder: Path) -> str:
    """What the config.json of a folder calls its form; "" where it says nothing."""
    return str(told(folder, CONFIG).get("model_type", ""))


def _merged(artifact: Artifact) -> Any:
    model: Any = artifact.model
    return lora.merge(copy.deepcopy(model.net)).cpu()


def _config(form: Form, table: Mapping[str, Any], artifact: Artifact, net: Any) -> dict[str, Any]:
    space = artifact.codec.space
    assert isinstance(space, Tokens)
    hidden = {"hidden": net.blocks[0].up.out_features}  # which the option may leave open
    made = form.write({**table, **hidden}, space.vocab, net.positions)
    assert artifact.items.lexicon is not None
    edges = causal_text.ids(artifact.items.lexicon, net.opener)
    return {**made, **edges, "dtype": "float32"}


def _dumped(config: Mapping[str, Any]) -> str:
    return json.dumps(config, indent=2, sort_keys=True) + "\n"


def _theirs(net: nn.Module, naming: Naming) -> Iterator[tuple[str, Tensor]]:
    for name, value in net.state_dict().items():
        yield naming.theirs(name), (value.T if naming.is_turned(name) else value).contiguous()


def _files(folder: Path) -> list[Path]:
    """Those of the weights.

    Raises:
        BadInput: There are none in safetensors.
    """
    names = [WEIGHTS]
    if not (folder / WEIGHTS).is_file() and (folder / INDEX).is_file():
        named = told(folder, INDEX).get("weight_map")
        names = sorted({str(v) for v in named.values()}) if isinstance(named, dict) else names
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise BadInput(
                f"{folder} holds no {name}. Weights are read from safetensors alone: in "
                "transformers, model.save_pretrained(FOLDER) writes them."
            )
    return [folder / name for name in names]


@torch.no_grad()
def _fill(net: nn.Module, naming: Naming, files: list[Path]) -> None:
    """Copy the weights of files into a net.

    Raises:
        BadInput: One is missing, of another shape, or unknown.
    """
    own = {naming.theirs(name): (name, value) for name, value in net.state_dict().items()}
    left = set(own)
    for path in files:
        for name, value in _stored(path):
            name = name.removeprefix(naming.prefix)
            if name.endswith(naming.unused) or (name == "lm_head.weight" and name not in own):
                continue  # a tied head is the embedding
            if name not in own:
                raise BadInput(f"{path} holds {name}, which a net of its form does not have.")
            ours, target = own[name]
            value = value.T if naming.is_turned(ours) else value
            if value.shape != target.shape:
                raise BadInput(
                    f"{path}: {name} is {tuple(value.shape)}, its config.json says "
                    f"{tuple(target.shape)}."
                )
            target.copy_(value)
            left.discard(name)
    if left:
        raise BadInput(f"{files[0].parent} lacks {len(left)} weights, such as {min(left)}.")


def _stored(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(str(path), "pt") as file:
            for name in file.keys():  # noqa: SIM118
                yield name, file.get_tensor(name)
    except SafetensorError as error:
        raise BadInput(f"{path} is not safetensors ({error}). No other form is read.") from error
