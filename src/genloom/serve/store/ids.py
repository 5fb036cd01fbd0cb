"""Ids: 128 random bits as 26 characters of a-z and 2-7; nothing else is looked up anywhere."""

from __future__ import annotations

import base64
import re
import secrets

from genloom.serve.store.errors import NotFound

_ID = re.compile(r"[a-z2-7]{26}")


def fresh() -> str:
    """An id that nobody can guess."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def checked(item_id: object, what: str) -> str:
    """The id, if it has the form of one.

    Raises:
        NotFound: It has not, so there is no such item.
    """
    if not isinstance(item_id, str) or not _ID.fullmatch(item_id):
        raise NotFound(what)
    return item_id


def shown(text: str, most: int = 255) -> str:
    """Text from outside as it may be stored and shown: printable, at most `most` characters.

    PostgreSQL takes no NUL and no lone surrogate; direction marks would disguise a file name.
    """
    return "".join(c if c.isprintable() else " " for c in text[:most])
