"""What is kept of an output: its origin, its bytes, and what was decided on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """What makes an output again.

    Args:
        model: SHA-256 of the model's weights.
        data: Fingerprint of the data that it was trained on.
        recipe: SHA-256 of its recipe.
        seed: Of this sample, in [0, 2**64).
        label: As it was asked for, or None.
        options: Of the sampling, and the prompt where there is one.
        software: Versions, batch and threads, where the last bits depend on them.
    """

    model: str
    data: str
    recipe: str
    seed: int
    label: str | None
    options: Mapping[str, Any]
    software: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Made:
    """An output that is not recorded yet.

    Args:
        content: Its bytes, as they are given out.
        origin: What makes it again.
        kind: "image", "text", "points", ...
        media_type: Of its bytes.
        perceptual: A hash that survives re-encoding.
        held_for: Why it must be reviewed first; None where it need not.
        keep: Store the bytes, not the record alone; what is held is always stored.
        plain_sha256: SHA-256 of its bytes before any mark was put on.
        report: SHA-256 of the verdict that was in force, or None.
        licence: Of the data or the model, or None.
        gate: How its model stood at the server's gate, or None.
    """

    content: bytes
    origin: Origin
    kind: str
    media_type: str
    perceptual: str | None = None
    held_for: str | None = None
    keep: bool = True
    plain_sha256: str | None = None
    report: str | None = None
    licence: str | None = None
    gate: str | None = None


@dataclass(frozen=True)
class Record:
    """An output of the server.

    Args:
        id: Of the record.
        owner: Whose key made it.
        origin: What makes it again.
        kind: "image", "text", "points", ...
        media_type: Of its bytes.
        sha256: Of its bytes.
        perceptual: A hash that survives re-encoding, or None.
        blob: The blob with its bytes; None where they are in the database, or were not kept.
        created: Seconds since 1970.
        state: "free"; or "held" until a reviewer decides, then "approved" or "rejected".
        held_for: Why it was held, or None.
        decided_by: The reviewer, or None.
        reason: The reviewer's, or None.
        decided: When, or None.
        plain_sha256: See `Made`; None in records of before it was noted, and so below.
        report: See `Made`.
        licence: See `Made`.
        gate: See `Made`.
    """

    id: str
    owner: str
    origin: Origin
    kind: str
    media_type: str
    sha256: str
    perceptual: str | None
    blob: str | None
    created: float
    state: str
    held_for: str | None
    decided_by: str | None
    reason: str | None
    decided: float | None
    plain_sha256: str | None = None
    report: str | None = None
    licence: str | None = None
    gate: str | None = None
