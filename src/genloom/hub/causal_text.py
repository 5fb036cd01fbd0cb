"""The tokenizer of a checkpoint's folder as a lexicon, and a lexicon as such files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from genloom.errors import BadInput
from genloom.lexicon import Lexicon, Pieces, tokenizer_of
from genloom.prompts import Native, prompt_form, template

CONFIG, GENERATION = "config.json", "generation_config.json"
TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
LARGEST = 256 * 2**20  # bytes of such a file
SPECIAL = ("eos", "bos", "pad", "unk")
ASKING = "user"  # the role whose part follows an answer


def told(folder: Path, name: str) -> dict[str, Any]:
    """What a JSON file of a folder says; {} where there is none.

    Raises:
        BadInput: It is not a JSON object.
    """
    path = folder / name
    if not path.is_file():
        return {}
    try:
        found = json.loads(_text(path))
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path} is not a JSON object.")
    return found


def native(folder: Path, form: str | None = None) -> Native:
    """The lexicon of a folder.

    A document is closed by the first of its special tokens (eos, bos, pad, unk) that is no part of
    the form of its talks: what closes a part there cannot close the document.

    Args:
        folder: With config.json and tokenizer.json.
        form: A name in `PROMPTS`; None: the one that the tokenizer is made for.

    Raises:
        BadInput: There is no tokenizer.json, or no token that could close a document.
    """
    if not (folder / TOKENIZER).is_file():
        raise BadInput(
            f"{folder} holds no {TOKENIZER}, and no other form of a tokenizer is read. "
            "transformers writes one: AutoTokenizer.from_pretrained(X).save_pretrained(X)."
        )
    size = told(folder, CONFIG).get("vocab_size")
    plain = Native(_text(folder / TOKENIZER), "plain", size if isinstance(size, int) else 0, last=0)
    if plain.size < plain.pieces:
        raise BadInput(f"{folder} has {plain.pieces} pieces, and its vocab_size is {size}.")
    formed = replace(plain, form=form or prompt_form(plain.special, _template(folder)))
    taken = {*formed.closing, *formed.stops[0]}
    found = [i for kind in SPECIAL for i in _ids(folder, kind, formed) if i not in taken]
    if not found:
        raise BadInput(
            f"{folder} names no token that could close a document. Set eos_token_id in {CONFIG}."
        )
    return replace(formed, last=found[0])


def start(folder: Path, words: Native) -> int:
    """The number that the start token is read as: bos, or the end where a talk begins with bos."""
    taken = words.stops[0]
    return next((i for i in _ids(folder, "bos", words) if i not in taken), words.last)


def written(words: Lexicon, opener: int) -> dict[str, str]:
    """Files that make transformers read as a lexicon does: name -> text.

    Args:
        words: Of the model.
        opener: The number that the start token is read as.

    Raises:
        BadInput: It has no tokenizer.
    """
    if isinstance(words, Native):
        rules, form = words.rules, words.form
    elif isinstance(words, Pieces):
        rules, form = _with_marks(words), "marks"
    else:
        raise BadInput(
            f"{type(words).__name__.lower()} are no tokenizer of transformers: train with "
            "data.tokenizer = 'bpe', or with that of a folder."
        )
    tokenizer = tokenizer_of(rules)
    bos = eos = None  # of a running text, whose first piece is a piece of text
    if words.end is not None:
        bos, eos = tokenizer.id_to_token(opener), tokenizer.id_to_token(words.end)
    settings = {"bos_token": bos, "eos_token": eos, "tokenizer_class": "PreTrainedTokenizerFast"}
    if words.roles:
        settings["chat_template"] = template(form, bos or "")
    return {TOKENIZER: rules, SETTINGS: json.dumps(settings, indent=2) + "\n"}


def ids(words: Lexicon, opener: int) -> dict[str, Any]:
    """What a config.json says of the start and of what ends a text: a document, or an answer.

    Args:
        words: Of the model.
        opener: The number that the start token is read as.
    """
    closing = [i for i in words.closing[:1] if i in words.stops[0]]
    last = [*([] if words.end is None else [words.end]), *closing]
    return {"bos_token_id": opener, "eos_token_id": last[0] if len(last) == 1 else last or None}


def turn_end(words: Lexicon) -> int | None:
    """The number that ends an answer in a talk: what closes it, or what opens the next part.

    None where there are no talks, or plain text ends an answer.
    """
    if not words.roles:
        return None
    candidates = (*words.closing[:1], words.opening(ASKING)[0])
    return next((i for i in candidates if i in words.stops[0]), None)


def _with_marks(words: Pieces) -> str:
    from tokenizers import AddedToken

    tokenizer = tokenizer_of(words.rules)
    marks = [AddedToken(f"<|{name}|>", special=True, normalized=False) for name in words.marks]
    tokenizer.add_special_tokens(marks)
    found = [tokenizer.token_to_id(mark.content) for mark in marks]
    if found != list(range(words.letters, words.vocab)):
        raise BadInput("the tokenizer has tokens of its own that are called as our marks are.")
    return tokenizer.to_str()


def _template(folder: Path) -> str:
    """The chat template of a folder, which is looked at and never run."""
    path = folder / "chat_template.jinja"
    found = _text(path) if path.is_file() else told(folder, SETTINGS).get("chat_template", "")
    return found if isinstance(found, str) else json.dumps(found)


def _ids(folder: Path, kind: str, words: Native) -> list[int]:
    """The numbers of a special token, as the files of a folder tell them."""
    found = []
    for name in (CONFIG, GENERATION):
        value = told(folder, name).get(f"{kind}_token_id")
        found += value if isinstance(value, list) else [value]
    token = told(folder, SETTINGS).get(f"{kind}_token")
    token = token.get("content") if isinstance(token, dict) else token
    found.append(words.special.get(token) if isinstance(token, str) else None)
    return [i for i in found if isinstance(i, int) and 0 <= i < words.size]


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{path} has {path.stat().st_size} bytes: that is no {path.name}.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not text: {error}.") from error
