"""What is told of an item wherever it goes: enough to find it again, nothing that names its user.

No path, no prompt and no recipe text enters a mark: hashes stand for them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, final

from genloom.errors import BadInput

PRINTABLE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]*")
"""What GB 45438-2025, Appendix E, allows in a value: ASCII without space, quote and backslash."""


def check_printable(name: str, value: str) -> str:
    """The value, if it may stand in a label.

    Raises:
        BadInput: It holds a space, a quote, a backslash or anything outside of printable ASCII.
    """
    if not PRINTABLE.fullmatch(value):
        raise BadInput(
            f"{name} = {value!r} may hold printable ASCII only, without space, quote and "
            "backslash. Use a code instead of a name."
        )
    return value


@final
@dataclass(frozen=True)
class Record:
    """One item's origin, for labels, manifests and sidecars.

    Args:
        model: SHA-256 of the weights, hexadecimal.
        seed: Of the sample.
        recipe: SHA-256 of the recipe's text, hexadecimal.
        label: The class that was asked for; "" for none.
        options: SHA-256 of the sampling options as JSON, hexadecimal.
        genloom: The version that made it.
        producer: Who made it, as a code: 27 characters where GB 45438-2025 applies.
        made: UTC time as in ISO 8601, claimed by the producer; "" leaves it out.
    """

    model: str
    seed: str
    recipe: str = ""
    label: str = ""
    options: str = ""
    genloom: str = ""
    producer: str = "genloom"
    made: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", self.model):
            raise BadInput(f"model = {self.model!r} is not a SHA-256 in hexadecimal.")
        for name, value in asdict(self).items():
            check_printable(name, value)
        try:
            _ = self.made and datetime.fromisoformat(self.made)
        except ValueError:
            raise BadInput(f"made = {self.made!r} is not a time as in ISO 8601.") from None

    @classmethod
    def of(cls, entry: Mapping[str, str], *, producer: str = "genloom", made: str = "") -> Record:
        """From one of `Artifact.records()`.

        Raises:
            BadInput: A value that cannot stand in a label.
        """
        return cls(
            model=entry["model"],
            seed=entry["seed"],
            recipe=_sha256(entry.get("recipe", "")),
            label=entry.get("label", ""),
            options=_sha256(entry.get("options", "")),
            genloom=entry.get("genloom", ""),
            producer=producer,
            made=made,
        )

    @property
    def id(self) -> str:
        """The producer's number of this content: the same for the same item made again."""
        told = {k: v for k, v in asdict(self).items() if k not in ("made", "producer")}
        return _sha256(json.dumps(told, sort_keys=True))[:32]

    @property
    def payload(self) -> int:
        """The first 32 bits of the number, for a watermark."""
        return int(self.id[:8], 16)

    def told(self) -> dict[str, Any]:
        """What the signed assertion holds; empty values are left out."""
        return {"id": self.id} | {k: v for k, v in asdict(self).items() if v}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
