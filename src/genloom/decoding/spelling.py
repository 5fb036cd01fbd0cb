"""The bytes of each token, where those of a text are the bytes of its tokens in a row."""

from __future__ import annotations

import json
from functools import singledispatch

from genloom.errors import BadInput
from genloom.lexicon import Bytes, Letters, Lexicon


@singledispatch
def spelling(lexicon: Lexicon) -> list[bytes]:
    """The bytes of each token that is no mark; a text's bytes are those of its tokens in a row.

    Those of a tokenizer's special tokens are empty: they are not for texts.

    Raises:
        BadInput: The lexicon does not write so.
    """
    rules = getattr(lexicon, "rules", None)
    if rules is None:
        raise BadInput(f"{type(lexicon).__name__.lower()} are no letters: they take no such form.")
    told = json.loads(rules)
    if (told.get("decoder") or {}).get("type") != "ByteLevel":
        raise BadInput(
            "texts of a given form need a tokenizer whose pieces are bytes (decoder ByteLevel)."
        )
    added, found = told.get("added_tokens") or (), [b""] * lexicon.letters
    for piece, i in (told["model"]["vocab"] | {one["content"]: one["id"] for one in added}).items():
        found[i] = _bytes_of(piece)
    for one in added:
        if one["special"]:
            found[one["id"]] = b""
    return found


@spelling.register
def _(lexicon: Letters) -> list[bytes]:
    return [letter.encode() for letter in lexicon.alphabet]


@spelling.register
def _(lexicon: Bytes) -> list[bytes]:
    return [bytes([i]) for i in range(lexicon.letters)]


def _bytes_of(piece: str) -> bytes:
    if all(letter in BYTE_OF for letter in piece):
        return bytes(BYTE_OF[letter] for letter in piece)
    return piece.encode()


def _bytes_of_letters() -> dict[str, int]:
    """The letter that stands for each byte in the pieces of Radford et al., GPT-2, 2019."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): b for i, b in enumerate(others)}


BYTE_OF = _bytes_of_letters()
