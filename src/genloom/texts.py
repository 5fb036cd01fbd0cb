"""What is asked of texts, as the command line and the library say it.

What is written and how it is drawn are two choices; a text is the same whatever is guessed, see
`speculation`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from genloom.artifact import Artifact, load
from genloom.continuation import opening, writer, written
from genloom.decoding.forms import FORM
from genloom.decoding.speculation import Draft, Guess, Lookup
from genloom.errors import BadInput
from genloom.int8 import pack

WHAT = ("prompt", "user")  # of which one
HOW = ("regex", "json_schema", "form", "draft", "lookup")  # of which one: no guess keeps a form
BESIDE = ("system", "stop", "max_tokens")
FLAGS = (*WHAT, *HOW, *BESIDE)  # of `wished`, besides the model


def wished(
    artifact: Artifact,
    *,
    prompt: str | None = None,
    user: str | None = None,
    system: str | None = None,
    stop: str | Sequence[str] | None = None,
    max_tokens: int | None = None,
    regex: str | None = None,
    json_schema: Mapping[str, Any] | str | Path | None = None,
    form: str | None = None,
    draft: Artifact | None = None,
    lookup: bool = False,
) -> dict[str, Any]:
    """The arguments of `continuation.written` that say the same; none where nothing is asked.

    Args:
        artifact: The model.
        prompt: What the texts begin with; of music, the name of a MIDI file too.
        user: What is answered.
        system: Said before that.
        stop: Texts that end one.
        max_tokens: The most to draw.
        regex: A regular expression that is matched.
        json_schema: A schema, or its file, of JSON.
        form: The lexicon's own, as `decoding.forms.VALID`.
        draft: A model that guesses.
        lookup: Guess without one.

    Raises:
        BadInput: Two of one choice, a schema that cannot be read, or a draft of other texts.
    """
    if not isinstance(lookup, bool):
        raise BadInput(f"lookup = {lookup!r}: it must be True or False.")
    what, how = (prompt, user), (regex, json_schema, form, draft, lookup or None)
    for names, values in ((WHAT, what), (HOW, how)):
        given = [name for name, value in zip(names, values, strict=True) if value is not None]
        if len(given) > 1:
            raise BadInput(f"{' and '.join(given)} exclude each other: give one of them.")
    said = {"prompt": prompt, "user": user, "system": system, "regex": regex, "form": form}
    for name, value in said.items():
        if value is not None and not isinstance(value, str):
            raise BadInput(f"{name} = {value!r}: it must be a text.")
    if not isinstance(draft, Artifact | None):
        raise BadInput(f"draft = {draft!r}: it must be a model, or the path of one.")
    found: dict[str, Any] = {
        "system": system,
        "stop": None if stop in (None, (), []) else several("stop", stop),
        "max_tokens": max_tokens,
        "prompt": None if prompt is None else opening(artifact, prompt),
        "user": user,
        "guess": guess_of(artifact, draft) if draft is not None or lookup else None,
    }
    if json_schema is not None:
        found["form"] = "json_schema", _schema(json_schema)
    elif regex is not None or form is not None:
        found["form"] = ("regex", regex) if form is None else (FORM, form)
    return {name: value for name, value in found.items() if value is not None}


def way(
    artifact: Artifact,
    *,
    int8: bool,
    device: str,
    draft: str | None,
    **asked: Any,
) -> tuple[Callable[..., Any] | None, dict[str, str]]:
    """How texts are drawn, None where as all samples are, and what their records say of it.

    Args:
        artifact: The model; with `int8` its weights are packed.
        int8: See `int8.pack`.
        device: Of the draft.
        draft: A run that guesses.
        asked: Of `wished`.

    Raises:
        BadInput: See `wished`; or the model writes no texts so.
    """
    smaller = None if draft is None else load(draft, device=device)
    found = wished(artifact, draft=smaller, **asked)
    if int8:
        pack(writer(artifact).net)
    told = {"int8": "weights"} if int8 else {}
    for name, value in found.items():
        if name == "form":
            told |= dict([value])
        elif name != "guess":
            told[name] = value if isinstance(value, str) else json.dumps(value)
    return partial(written, **found) if found else None, told


def several(name: str, value: str | Sequence[str]) -> list[str]:
    """One text or some, as a list.

    Raises:
        BadInput: It is something else, or none.
    """
    texts = [value] if isinstance(value, str) else value
    given = isinstance(texts, list | tuple) and len(texts) > 0
    if not given or not all(isinstance(one, str) for one in texts):
        raise BadInput(f"{name} = {value!r}: it must be a text, or a list of some.")
    return list(texts)


def _schema(schema: Mapping[str, Any] | str | Path) -> str:
    if isinstance(schema, Mapping):
        return json.dumps(schema)
    if not isinstance(schema, str | Path):
        raise BadInput(f"json_schema = {schema!r}: it must be a schema, or the file of one.")
    try:
        return Path(schema).read_text("utf-8")
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
