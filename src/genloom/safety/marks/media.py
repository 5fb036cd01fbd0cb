"""What kind of file some bytes are, told by the bytes alone."""

from __future__ import annotations

from genloom.errors import BadInput

IMAGES = ("image/png", "image/jpeg", "image/webp")
EMBEDS = (*IMAGES, "audio/wav", "video/mp4")
"""Types that carry labels and a manifest inside; for all others they stand in a sidecar."""

ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
}


def sniff(data: bytes) -> str:
    """The media type: one of `EMBEDS`, "text/plain" for UTF-8, else "application/octet-stream"."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav"
    if data[4:8] == b"ftyp":
        return "video/mp4"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if "\0" in text else "text/plain"


def agreed(data: bytes, media_type: str) -> str:
    """The media type without parameters or aliases, if the bytes agree.

    Raises:
        BadInput: The bytes are another of the types that carry marks inside, or not that one.
    """
    stated = media_type.partition(";")[0].strip().lower()
    stated = ALIASES.get(stated, stated)
    found = sniff(data)
    if (stated in EMBEDS or found in EMBEDS) and stated != found:
        raise BadInput(
            f"the file is {found} by its bytes, not {media_type!r}. Give the type that it is."
        )
    if stated.startswith("text/") and found != "text/plain":
        raise BadInput(f"the file is called {media_type!r}, but it is no UTF-8 text.")
    return stated
