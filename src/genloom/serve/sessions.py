"""Sessions of the studio: a signed cookie in the place of a key, which no script can read."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import final

from genloom.serve.store import Key, Keys

LASTS_S = 12 * 3600


@final
@dataclass(frozen=True)
class Sessions:
    """Makes and reads cookies.

    Args:
        keys: Whose sessions these are.
        secret: Of the server.
    """

    keys: Keys
    secret: bytes

    def make(self, key: Key) -> str:
        """A cookie for a key, good for `LASTS_S`."""
        told = f"{key.id}.{int(time.time()) + LASTS_S}"
        return f"{told}.{self._sign(told)}"

    def read(self, cookie: str) -> Key | None:
        """The key of a cookie; None where it is not ours, has ended, or the key was revoked."""
        told, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(self._sign(told).encode(), signature.encode()):
            return None
        key_id, _, until = told.partition(".")
        if int(until) < time.time():
            return None
        return next((k for k in self.keys.all() if k.id == key_id and k.revoked is None), None)

    def _sign(self, told: str) -> str:
        return hmac.digest(self.secret, b"session " + told.encode(), hashlib.sha256).hex()
