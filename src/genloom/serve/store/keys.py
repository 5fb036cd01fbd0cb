"""API keys: made once, stored as a keyed hash, limited in requests a minute and samples a day.

The secret has 256 random bits, so one HMAC is enough; a slow password hash would let anybody
occupy the server with wrong keys.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import final

from sqlalchemy import RowMapping, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from genloom.errors import BadInput
from genloom.serve.store.database import Store
from genloom.serve.store.errors import QuotaSpent, TooFast
from genloom.serve.store.ids import fresh
from genloom.serve.store.rows import found, made
from genloom.serve.store.tables import keys, usage

SCOPES = ("generate", "train", "admin")
DAY_S = 86_400
MOST = 10**9  # of a limit, so that it fits the column
_SECRET = re.compile(r"gl-[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True)
class Key:
    """Who may do what. The secret is not part of it.

    Args:
        id: The owner of what is made with the key.
        name: Unique among the keys that are not revoked.
        scopes: Of "generate", "train", "admin"; none includes another.
        per_minute: Requests for samples a minute, in a row too; None is no limit.
        per_day: Samples a day (UTC); None is no limit.
        created: Seconds since 1970.
        revoked: When it was, or None.
    """

    id: str
    name: str
    scopes: Sequence[str]
    per_minute: int | None
    per_day: int | None
    created: float
    revoked: float | None


@dataclass(frozen=True)
class Left:
    """What a key may still do now: requests, and samples today; None is no limit."""

    requests: int | None
    samples: int | None


@final
class Keys:
    """The keys of a store.

    Args:
        store: Where they are kept.
        pepper: As `pepper` gives it; with another one no key is known any more.
    """

    def __init__(self, store: Store, pepper: bytes):
        self.store = store
        self._pepper = pepper

    def make(
        self,
        name: str,
        scopes: Collection[str],
        *,
        per_minute: int | None = None,
        per_day: int | None = None,
    ) -> tuple[Key, str]:
        """A new key and its secret, which is shown this once and stored nowhere.

        Raises:
            BadInput: The name is taken or has odd characters, a scope is unknown, a limit is
                not 1 to 10**9.
        """
        _check(name, scopes, per_minute, per_day)
        secret = "gl-" + secrets.token_urlsafe(32)
        ordered = [scope for scope in SCOPES if scope in scopes]
        now = self.store.clock()
        key = Key(fresh(), name, ordered, per_minute, per_day, now, None)
        try:
            with self.store.writing() as connection:
                connection.execute(insert(keys).values(**vars(key), digest=self._digest(secret)))
                full = per_minute or 0
                connection.execute(
                    insert(usage).values(key=key.id, tokens=full, filled=now, day=0, samples=0)
                )
        except IntegrityError as error:
            raise BadInput(f"there is a key {name!r} already. Revoke it first.") from error
        return key, secret

    def _digest(self, secret: str) -> str:
        return hmac.digest(self._pepper, secret.encode(), hashlib.sha256).hex()

    def authenticate(self, secret: str) -> Key | None:
        """The key of a secret; None where there is none, or it is revoked."""
        if not _SECRET.fullmatch(secret):
            return None
        digest = self._digest(secret)
        with self.store.reading() as connection:
            row = connection.execute(select(keys).where(keys.c.digest == digest)).mappings().first()
        if row is None or not hmac.compare_digest(row["digest"], digest):
            return None
        return made(Key, row) if row["revoked"] is None else None

    def all(self) -> list[Key]:
        """All keys, the revoked ones too, oldest first."""
        with self.store.reading() as connection:
            rows = connection.execute(select(keys).order_by(keys.c.created, keys.c.id)).mappings()
            return [made(Key, row) for row in rows]

    def any(self) -> bool:
        """Whether some key is in force."""
        with self.store.reading() as connection:
            living = exists().where(keys.c.revoked.is_(None))
            return bool(connection.scalar(select(living)))

    def revoke(self, name: str) -> Key:
        """End a key at once, in every process; what it made stays.

        Raises:
            NotFound: No key of this name is in force.
        """
        with self.store.writing() as connection:
            ended = (
                update(keys)
                .where(keys.c.name == name, keys.c.revoked.is_(None))
                .values(revoked=self.store.clock())
                .returning(keys)
            )
            return made(Key, found(connection.execute(ended), keys))

    def check(self, key: Key, samples: int) -> None:
        """Refuse what `spend` would refuse for its samples; nothing is counted.

        Raises:
            QuotaSpent: Today's samples would not suffice.
            BadInput: As for `spend`.
        """
        _check_samples(key, samples)
        if key.per_day is None:
            return
        with self.store.reading() as connection:
            row = connection.execute(select(usage).where(usage.c.key == key.id)).mappings().one()
        _today(key, row, samples, self.store.clock())

    def spend(self, key: Key, samples: int) -> Left:
        """Count a request for so many samples, if the key's limits allow it.

        A bucket holds `per_minute` requests and fills evenly; a request that is refused costs
        nothing.

        Raises:
            TooFast: The bucket is empty.
            QuotaSpent: Today's samples would not suffice.
            BadInput: No day's samples would suffice, or samples is below 0.
        """
        _check_samples(key, samples)
        if key.per_minute is None and key.per_day is None:
            return Left(None, None)
        now = self.store.clock()
        mine = usage.c.key == key.id
        with self.store.writing() as connection:
            row = connection.execute(select(usage).where(mine).with_for_update()).mappings().one()
            tokens = _take(key, row["tokens"], now - row["filled"])
            day, used = _today(key, row, samples, now)
            counted = {
                "tokens": tokens,
                "filled": max(now, row["filled"]),
                "day": day,
                "samples": used,
            }
            connection.execute(update(usage).where(mine).values(counted))
        return Left(
            None if key.per_minute is None else int(tokens),
            None if key.per_day is None else key.per_day - used,
        )


def _check_samples(key: Key, samples: int) -> None:
    if samples < 0:
        raise BadInput(f"samples = {samples}: it must be at least 0.")
    if key.per_day is not None and samples > key.per_day:
        raise BadInput(f"{samples} samples: the key {key.name!r} may make {key.per_day} a day.")


def _today(key: Key, row: RowMapping, samples: int, now: float) -> tuple[int, int]:
    """The day since 1970, and its samples with these; `row` is of `usage`."""
    day = int(now // DAY_S)
    used = samples + (row["samples"] if row["day"] == day else 0)
    if key.per_day is not None and used > key.per_day:
        raise QuotaSpent(
            f"the key {key.name!r} may make {key.per_day} samples a day and has "
            f"{key.per_day - used + samples} left.",
            (day + 1) * DAY_S - now,
        )
    return day, used


def _take(key: Key, tokens: float, elapsed_s: float) -> float:
    """The bucket's content after `elapsed_s` of filling and one request."""
    if key.per_minute is None:
        return 0.0
    rate = key.per_minute / 60
    tokens = min(tokens + max(elapsed_s, 0) * rate, key.per_minute)
    if tokens < 1:
        raise TooFast(
            f"the key {key.name!r} may send {key.per_minute} requests a minute.",
            (1 - tokens) / rate,
        )
    return tokens - 1


def _check(name: str, scopes: Collection[str], *limits: int | None) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput(f"a key named {name!r}: use 1 to 64 of A-Z a-z 0-9 . _ @ -")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise BadInput(f"scopes {unknown or 'none'}: a key needs some of {', '.join(SCOPES)}.")
    for limit in limits:
        if limit is not None and not 1 <= limit <= MOST:
            raise BadInput(f"a limit of {limit}: it must be 1 to {MOST}; leave it out for none.")
