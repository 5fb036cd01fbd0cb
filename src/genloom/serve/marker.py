"""The marks of one server: inside of the files that can carry them, and beside all others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, final

from genloom.errors import BadInput
from genloom.safety.marks.apply import LABEL_PURPOSE, Marks, mark
from genloom.safety.marks.keyed import derive
from genloom.safety.marks.labels import Aigc
from genloom.safety.marks.media import EMBEDS
from genloom.safety.marks.record import Record as Origin
from genloom.safety.marks.sidecar import write
from genloom.serve.store import Record

if TYPE_CHECKING:
    from genloom.safety.marks.identity import Identity


@final
class Marker:
    """What marks the outputs of a server; called with (content, media type, what the engine told).

    Args:
        marks: Which ones.
        producer: Who makes them, as a code.
        identity: Who signs; needed where `marks` say so.
    """

    def __init__(self, marks: Marks, producer: str, identity: Identity | None):
        self.marks, self.producer, self.identity = marks, producer, identity

    def __call__(self, content: bytes, media_type: str, told: Mapping[str, str]) -> bytes:
        """A picture with all marks; a text with the words that people see; all else as it is."""
        kind = media_type.partition(";")[0]
        if kind in EMBEDS:
            marks = self.marks
        elif kind == "text/plain":
            marks = replace(self.marks, labels=False, sign=False, watermark=False)
        else:
            return content
        origin = Origin.of(told, producer=self.producer, made=_now())
        return mark(content, media_type, origin, marks, identity=self.identity).data

    def beside(self, content: bytes, record: Record) -> bytes:
        """The sidecar of an output that can carry no marks inside: a JSON file.

        Raises:
            BadInput: It carries them inside, or the server puts none on.
        """
        kind = record.media_type.partition(";")[0]
        if kind in EMBEDS:
            raise BadInput(f"{kind} carries its marks inside: download the file itself.")
        if not self.marks.labels and not self.marks.sign:
            raise BadInput("this server puts neither labels nor signatures on what it makes.")
        made = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
        options = json.dumps(dict(record.origin.options), sort_keys=True)
        origin = Origin(
            model=record.origin.model,
            seed=str(record.origin.seed),
            recipe=record.origin.recipe,
            label=record.origin.label or "",
            options=hashlib.sha256(options.encode()).hexdigest(),
            genloom=str(record.origin.software.get("genloom", "")),
            producer=self.producer,
            made=made,
        )
        secret = self.identity.secret if self.identity else b""
        key = derive(secret, LABEL_PURPOSE) if secret else None
        return write(
            content,
            kind,
            origin,
            aigc=Aigc.of(origin, key) if self.marks.labels else None,
            identity=self.identity if self.marks.sign else None,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
