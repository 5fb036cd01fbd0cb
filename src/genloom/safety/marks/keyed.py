"""Keyed pseudo-random numbers that stay the same for ever: from SHAKE-256, not from a generator."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import final

import numpy as np

from genloom.errors import BadInput

SHORTEST = 16  # bytes of a secret


@final
@dataclass(frozen=True)
class Score:
    """What a watermark detector says.

    Args:
        score: The test statistic.
        p_value: How often something unmarked reaches it, at most.
        found: Whether the p-value is below the false-positive rate that was asked for.
        n: How many values were tested: chips or tokens.
        payload: The bits that were read, where there are some; of no meaning unless found.
    """

    score: float
    p_value: float
    found: bool
    n: int
    payload: int | None = None


def derive(secret: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose, 32 bytes.

    Raises:
        BadInput: The secret is too short to be one.
    """
    if len(secret) < SHORTEST:
        raise BadInput(f"the secret has {len(secret)} bytes: use at least {SHORTEST} random ones.")
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()


def words(key: bytes, message: bytes, n: int) -> np.ndarray:
    """Words of 64 bits, (n,) uint64: a pseudo-random function of key and message."""
    seed = hmac.new(key, message, hashlib.sha256).digest()
    return np.frombuffer(hashlib.shake_256(seed).digest(8 * n), dtype="<u8")
