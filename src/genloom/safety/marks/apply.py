"""Put every mark on an item before it leaves, in the one order that keeps all of them readable.

Pixels first (visible words, then the watermark), metadata next, the signature over all last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
from PIL import Image

from genloom.errors import BadInput
from genloom.safety.marks import explicit, image, labels, manifest, media, pictures, sidecar
from genloom.safety.marks.explicit import Language
from genloom.safety.marks.identity import Identity
from genloom.safety.marks.keyed import derive
from genloom.safety.marks.record import Record

LABEL_PURPOSE = "AIGC label"


@final
@dataclass(frozen=True)
class Marks:
    """Which marks to put on.

    Args:
        labels: The AIGC label and the digital source type, in the metadata.
        watermark: An invisible mark in a picture's pixels; a text's is set while it is decoded.
        explicit: Words that people see: none, or in a picture's corner or on a strip below it;
            a text begins with a sentence wherever this is not "off".
        sign: A C2PA manifest inside, or a signed sidecar.
        language: Of the words.
        font: A file with the letters, for Chinese.
    """

    labels: bool = True
    watermark: bool = False
    explicit: Literal["off", "corner", "caption"] = "off"
    sign: bool = True
    language: Language = "en"
    font: Path | None = None


@final
@dataclass(frozen=True)
class Marked:
    """What leaves.

    Args:
        data: The file with its marks.
        sidecar: A JSON file to give along, `name.ext.json`, where marks have no place inside.
    """

    data: bytes
    sidecar: bytes | None = None


def mark(
    data: bytes,
    media_type: str,
    record: Record,
    marks: Marks | None = None,
    *,
    identity: Identity | None = None,
) -> Marked:
    """The file with its marks; with none at all it comes back as it is.

    Args:
        data: The whole file: PNG, JPEG, WebP, WAV and MP4 carry marks inside, Markdown its label,
            and all else has a sidecar.
        media_type: Of it; the bytes must agree.
        record: Where it comes from.
        marks: Which ones; `Marks()` if left out.
        identity: Who signs, and whose secret keys the watermark and seals the label.

    Raises:
        BadInput: A mark that the file cannot carry, a broken file, or no identity to sign with.
        MissingExtra: c2pa-python or cryptography is not installed.
    """
    marks = marks or Marks()
    kind = media.agreed(data, media_type)
    secret = identity.secret if identity else b""
    if marks.sign and identity is None:
        raise BadInput("sign = true needs an identity. Make one with Identity.open(folder).")
    if marks.watermark and not secret:
        raise BadInput("watermark = true needs an identity with a secret.")
    data = _seen(data, kind, record, marks, secret)
    aigc = None
    if marks.labels:
        aigc = labels.Aigc.of(record, derive(secret, LABEL_PURPOSE) if secret else None)
        data = labels.write(data, kind, aigc)
    signer = identity if marks.sign else None
    if kind in media.EMBEDS:
        return Marked(manifest.embed(data, kind, record, signer) if signer else data)
    if aigc is None and signer is None:
        return Marked(data)
    return Marked(data, sidecar.write(data, kind, record, aigc=aigc, identity=signer))


def _seen(data: bytes, kind: str, record: Record, marks: Marks, secret: bytes) -> bytes:
    """The file after all that changes what people see or hear of it."""
    if kind in media.IMAGES:
        return _redrawn(data, kind, record, marks, secret)
    if marks.watermark:
        raise BadInput(
            f"{kind} takes no watermark here: leave it off. A text's is set while it is decoded."
        )
    if marks.explicit == "off":
        return data
    if not kind.startswith("text/"):
        raise BadInput(f"there is no visible label for {kind}: use explicit = 'off'.")
    return explicit.on_text(data.decode("utf-8"), marks.language).encode()


def _redrawn(data: bytes, kind: str, record: Record, marks: Marks, secret: bytes) -> bytes:
    def change(picture: Image.Image) -> Image.Image:
        if marks.explicit != "off":
            picture = explicit.on_image(picture, marks.explicit, marks.language, marks.font)
        if marks.watermark:
            picture = Image.fromarray(image.embed(np.asarray(picture), secret, record.payload))
        return picture

    if not marks.watermark and marks.explicit == "off":
        return data
    return pictures.redrawn(data, kind, change)
