"""Implicit labels: the AIGC field of GB 45438-2025 and IPTC's digital source type, in the metadata.

GB 45438-2025, Appendix E, through two public implementations (the standard itself was not at
hand): a JSON object of seven strings. Carriers: an XMP property in PNG, JPEG, WebP and MP4, an
ID3 text in WAV, a block of the front matter in Markdown; for other files the sidecar holds it.
The carrier in MP4 deviates: guides name a metadata key within moov, which would move the media.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, final

from genloom.errors import BadInput
from genloom.safety.marks import containers, riff, xmp
from genloom.safety.marks.record import Record, check_printable

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MEANINGS = {"1": "is AI-generated", "2": "may be AI-generated", "3": "suspected AI-generated"}
LARGEST_JSON = 4096  # characters of a label that is parsed
FRONT = "---\n"


@final
@dataclass(frozen=True)
class Aigc:
    """The seven fields, by their names in the standard.

    Args:
        Label: A key of `MEANINGS`.
        ContentProducer: Who made the content, as a code.
        ProduceID: The producer's number of the content.
        ReservedCode1: The producer's integrity value, here an HMAC over the first three fields.
        ContentPropagator: Who distributes it; the producer, where he serves it himself.
        PropagateID: The distributor's number.
        ReservedCode2: The distributor's integrity value.
    """

    Label: str
    ContentProducer: str
    ProduceID: str
    ReservedCode1: str = ""
    ContentPropagator: str = ""
    PropagateID: str = ""
    ReservedCode2: str = ""

    def __post_init__(self) -> None:
        if self.Label not in MEANINGS:
            raise BadInput(f"Label = {self.Label!r}: it must be one of {', '.join(MEANINGS)}.")
        for name, value in asdict(self).items():
            check_printable(name, value)

    @classmethod
    def of(cls, record: Record, key: bytes | None = None) -> Aigc:
        """The label of an item that its producer also serves; with a key, sealed by it."""
        base = ("1", record.producer, record.id)
        seal = _seal(base, key) if key else ""
        return cls(*base, seal, record.producer, record.id, seal)

    def sealed_by(self, key: bytes) -> bool:
        """Whether the first three fields are as the holder of this key wrote them."""
        base = (self.Label, self.ContentProducer, self.ProduceID)
        return hmac.compare_digest(_seal(base, key).encode(), self.ReservedCode1.encode())

    def dumps(self) -> str:
        """As JSON, ASCII, with no space."""
        return json.dumps(asdict(self), separators=(",", ":"))


def loads(text: str) -> Aigc:
    """The label in a JSON text.

    Raises:
        BadInput: It is not seven strings by their names, as the standard allows them.
    """
    if len(text) > LARGEST_JSON:
        raise BadInput(f"the AIGC label has {len(text)} characters: at most {LARGEST_JSON}.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the AIGC label is no JSON: {error}.") from error
    return parse(content)


def parse(content: Any) -> Aigc:
    """The label in a JSON value; see `loads`."""
    known = [f.name for f in fields(Aigc)]
    if isinstance(content, dict) and list(content) == ["AIGC"]:
        content = content["AIGC"]
    if not isinstance(content, dict) or sorted(content) != sorted(known):
        raise BadInput(f"the AIGC label must have the fields {', '.join(known)} and no others.")
    if not all(isinstance(value, str) for value in content.values()):
        raise BadInput("the AIGC label must hold strings only.")
    return Aigc(**content)


def _seal(base: tuple[str, ...], key: bytes) -> str:
    return hmac.new(key, "|".join(base).encode(), hashlib.sha256).hexdigest()


def write(data: bytes, media_type: str, aigc: Aigc) -> bytes:
    """The file with both labels in its metadata; what has no place for them is given back as it is.

    Raises:
        BadInput: The file contradicts its own format, or carries a label already.
    """
    told = {"AIGC": aigc.dumps(), "DigitalSourceType": TRAINED}
    if media_type == "audio/wav":
        for name in riff.texts_of(data):
            if name in told:
                raise BadInput(
                    f"the file already carries {name}; marks of others are not replaced."
                )
        return riff.with_texts(data, told)
    if media_type == "text/markdown":
        return _with_front_matter(data.decode("utf-8"), aigc).encode()
    if media_type in containers.TYPES:
        packet = xmp.add(containers.xmp_of(data, media_type), told)
        return containers.with_xmp(data, media_type, packet)
    return data


def read(data: bytes, media_type: str) -> dict[str, str]:
    """What a file's metadata say under "AIGC" (as JSON) and "DigitalSourceType".

    Args:
        data: The whole file.
        media_type: As `media.sniff` tells it; text is read as Markdown.

    Raises:
        BadInput: The file or its metadata contradict their own format.
    """
    if media_type == "audio/wav":
        return {k: v for k, v in riff.texts_of(data).items() if k in xmp.PROPERTIES}
    if media_type.startswith("text/"):
        return _front_matter(data.decode("utf-8", "replace"))
    if media_type in containers.TYPES:
        packet = containers.xmp_of(data, media_type)
        return xmp.read(packet) if packet else {}
    return {}


def _with_front_matter(text: str, aigc: Aigc) -> str:
    """YAML: the values hold no quote and no backslash, so that double quotes need no escape."""
    if _front_matter(text):
        raise BadInput("the file already carries AIGC; marks of others are not replaced.")
    lines = ["AIGC:", *(f'  {name}: "{value}"' for name, value in asdict(aigc).items())]
    block = "\n".join([*lines, f'DigitalSourceType: "{TRAINED}"']) + "\n"
    has_own = text.startswith(FRONT) and "\n---\n" in text[3:]
    return f"{FRONT}{block}{text[4:]}" if has_own else f"{FRONT}{block}{FRONT}\n{text}"


def _front_matter(text: str) -> dict[str, str]:
    """Only the form that is written above is read: this is no YAML parser."""
    if not text.startswith(FRONT):
        return {}
    front = text[4:].partition("\n---\n")[0]
    found = {}
    block = re.search(r'^AIGC:\n((?:  \w+: "[^"\n]*"\n?)+)', front, re.MULTILINE)
    if block:
        found["AIGC"] = json.dumps(dict(re.findall(r'  (\w+): "([^"\n]*)"', block.group(1))))
    source = re.search(r'^DigitalSourceType: "([^"\n]*)"$', front, re.MULTILINE)
    if source:
        found["DigitalSourceType"] = source.group(1)
    return found
