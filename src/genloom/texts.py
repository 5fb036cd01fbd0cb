"""Texts that a model writes in a form, or several tokens at a time, and what the command line says.

A text is the same whatever is guessed; see `speculation`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.artifact import Artifact, load
from genloom.continuation import opening, writer, written
from genloom.core import Condition, Rng, check_options
from genloom.decoding.forms import form_of
from genloom.decoding.speculation import Draft, Guess, Lookup, Speculation
from genloom.errors import BadInput
from genloom.int8 import pack
from genloom.memory import kept_pages
from genloom.nets.packed import BLOCK
from genloom.sampling import device_of, evaluating

WAYS = ("regex", "json_schema", "form", "draft", "lookup", "prompt", "user")  # of which one
BESIDE = ("system", "stop", "max_tokens")  # of the last two ways, or without one


@kept_pages()
def of_form(
    artifact: Artifact,
    n: int,
    form: tuple[str, str],
    *,
    seed: int = 0,
    batch: int = 64,
    options: dict[str, Any] | None = None,
    **condition: Any,
) -> list[Tensor]:
    """Draw n texts that have a form, each as long as it became.

    Args:
        artifact: A model of text that draws token by token.
        n: How many.
        form: Kind and source, see `decoding.forms.form_of`.
        seed: Of the first.
        batch: How many at a time; it changes speed and memory, not the texts.
        options: Those of the family.
        condition: See `Artifact.condition`.

    Raises:
        BadInput: The model writes no texts so, or none of the form that is short enough.
    """
    model = writer(artifact)
    chosen = check_options(model.sample_steps, options or {})
    lexicon, texts = artifact.items.lexicon, list[Tensor]()
    assert lexicon is not None
    with evaluating(model), torch.inference_mode():
        for seeds, cond in _batches(artifact, range(seed, seed + n), batch, condition):
            rows, device = model.decoding(len(seeds), fill=BLOCK), device_of(model)
            given = torch.zeros(len(seeds), 0, dtype=torch.long, device=device)
            limit = {"constraint": form_of(lexicon, *form)}
            joined = rows.join(Rng(seeds, device), cond, given, **limit, **chosen)
            for _ in range(model.length):
                rows.step()
                if all(row.over for row in joined):
                    break
            lengths = [model.length - row.strict.left for row in joined if row.strict]
            drawn = rows.data(0, len(seeds)).cpu()
            texts += [x[:length] for x, length in zip(drawn, lengths, strict=True)]
    return texts


@kept_pages()
def guessed(
    artifact: Artifact,
    n: int,
    guess: Guess,
    *,
    seed: int = 0,
    batch: int = 1,
    options: dict[str, Any] | None = None,
    **condition: Any,
) -> Tensor:
    """Draw n texts, one after the other, several tokens a pass: (n, L).

    Args:
        artifact: See `of_form`.
        n: How many.
        guess: See `speculation.Guess`.
        seed: Of the first.
        batch: No matter here.
        options: Those of the family.
        condition: See `Artifact.condition`.

    Raises:
        BadInput: The model writes no texts so, or its net takes no guesses.
    """
    model = writer(artifact)
    chosen = check_options(model.sample_steps, options or {})
    space: Any = model.space
    ahead, device = Speculation(model.net, space, guess), device_of(model)
    texts = torch.full((n, model.length), 0 if space.end is None else space.end)
    with evaluating(model), torch.inference_mode():
        given = torch.zeros(1, 0, dtype=torch.long, device=device)
        for text, (seeds, cond) in zip(
            texts, _batches(artifact, range(seed, seed + n), 1, condition), strict=True
        ):
            tokens = list(ahead.complete(Rng(seeds, device), cond, given, **chosen))
            text[: len(tokens)] = torch.tensor(tokens)
    return texts


def way(
    artifact: Artifact,
    *,
    regex: str | None,
    json_schema: Path | None,
    form: str | None,
    draft: str | None,
    lookup: bool,
    prompt: str | None,
    user: str | None,
    system: str | None,
    stop: Sequence[str] | None,
    max_tokens: int | None,
    int8: bool,
    device: str,
) -> tuple[Callable[..., Any] | None, dict[str, str]]:
    """How texts are drawn, None where as all samples are, and what their records say of it.

    Args:
        artifact: The model; with `int8` its weights are packed.
        regex: A form; see `of_form`.
        json_schema: The file of one.
        form: The lexicon's own, as `decoding.forms.VALID`.
        draft: A run that guesses; see `guessed`.
        lookup: Guess without one.
        prompt: What the texts begin with; of music, the name of a MIDI file too.
        user: What is answered; see `continuation.written`.
        system: Said before that.
        stop: Texts that end one.
        max_tokens: The most to draw.
        int8: See `int8.pack`.
        device: Of the draft.

    Raises:
        BadInput: Two ways at once, or one that the model does not know.
    """
    chosen = (regex, json_schema, form, draft, lookup or None, prompt, user)
    given = [name for name, value in zip(WAYS, chosen, strict=True) if value is not None]
    if len(given) > 1:
        raise BadInput(f"{' and '.join(given)} exclude each other: give one of them.")
    found = zip(BESIDE, (system, stop, max_tokens), strict=True)
    beside = {name: value for name, value in found if value is not None}
    if beside and given and given[0] not in ("prompt", "user"):
        raise BadInput(f"{given[0]} and {next(iter(beside))} exclude each other: give one of them.")
    told = {"int8": "weights"} if int8 else {}
    if int8:
        pack(writer(artifact).net)
    if draft is not None or lookup:
        smaller = None if draft is None else load(draft, device=device)
        return partial(guessed, guess=guess_of(artifact, smaller)), told
    if not given and not beside:
        return None, told
    if not given or given[0] in ("prompt", "user"):
        if prompt is not None:
            beside["prompt"] = opening(artifact, prompt)
        if user is not None:
            beside["user"] = user
        said = {k: v if isinstance(v, str) else json.dumps(v) for k, v in beside.items()}
        return partial(written, **beside), told | said
    said = regex if form is None else form
    wanted = given[0], str(said) if json_schema is None else _read(json_schema)
    return partial(of_form, form=wanted), told | dict([wanted])


def _read(schema: Path) -> str:
    try:
        return schema.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{schema} cannot be read: {' '.join(str(error).split())}.") from None


def guess_of(artifact: Artifact, draft: Artifact | None) -> Guess:
    """A lookup, or the draws of a draft model of the same texts.

    Raises:
        BadInput: The draft reads or writes other texts.
    """
    if draft is None:
        return Lookup()
    model = writer(draft)
    if (draft.items.lexicon, model.length) != (artifact.items.lexicon, artifact.items.shape[0]):
        raise BadInput(f"{draft.name} is no draft for {artifact.name}: it writes other tokens.")
    if draft.model.conditions != artifact.model.conditions:
        raise BadInput(f"{draft.name} is no draft for {artifact.name}: it has other conditions.")
    return Draft(model.net.eval())


def _batches(
    artifact: Artifact, seeds: Sequence[int], batch: int, condition: dict[str, Any]
) -> Iterator[tuple[Sequence[int], Condition]]:
    """Some seeds at a time, with their conditions."""
    device = device_of(artifact.model)
    for first in range(0, len(seeds), batch):
        some = seeds[first : first + batch]
        cond = artifact.condition(some, **condition)
        yield some, {name: value.to(device) for name, value in cond.items()}
