"""RIFF: the chunks of a WAV or a WebP, and the ID3 tag that a WAV carries in one of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from genloom.errors import BadInput

Chunk = tuple[bytes, bytes]  # four characters, content


def chunks(data: bytes) -> list[Chunk]:
    """The chunks of a RIFF file, in order.

    Raises:
        BadInput: A chunk is longer than the file.
    """
    found, at = [], 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise BadInput(f"the RIFF chunk {kind!r} at byte {at} is longer than the file.")
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def build(form: bytes, parts: Iterable[Chunk]) -> bytes:
    """A RIFF file of chunks, each padded to an even length."""
    body = b"".join(
        kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for kind, content in parts
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + form + body


def texts_of(wav: bytes) -> dict[str, str]:
    """The user-defined texts (ID3 TXXX) of a WAV, by their descriptions.

    Raises:
        BadInput: The file contradicts its own format.
    """
    tag = next((body for kind, body in chunks(wav) if kind.lower() == b"id3 "), b"")
    found = {}
    for kind, body in _frames(tag) or []:
        if kind != b"TXXX" or not body:
            continue
        text = body[1:].decode("utf-8" if body[0] == 3 else "latin-1", "replace")
        name, _, value = text.partition("\0")
        if body[0] in (0, 3):  # UTF-16 is never ours
            found.setdefault(name, value.rstrip("\0"))
    return found


def with_texts(wav: bytes, texts: Mapping[str, str]) -> bytes:
    """The WAV with these ASCII texts added to its ID3 chunk; other frames stay.

    Raises:
        BadInput: The file contradicts its own format, or its tag cannot be read.
    """
    parts = chunks(wav)
    old = next((body for kind, body in parts if kind.lower() == b"id3 "), b"")
    frames = _frames(old) if old else []
    if frames is None:
        raise BadInput("the WAV's ID3 tag cannot be read, so nothing can be added to it.")
    version = old[3] if old else 3
    frames += [(b"TXXX", f"\0{name}\0{value}".encode("ascii")) for name, value in texts.items()]
    body = b"".join(
        kind
        + (_syncsafe(len(text)) if version == 4 else struct.pack(">I", len(text)))
        + b"\0\0"
        + text
        for kind, text in frames
    )
    tag = b"ID3" + bytes([version, 0, 0]) + _syncsafe(len(body)) + body
    kept = [c for c in parts if c[0].lower() != b"id3 "]
    return build(b"WAVE", [*kept, (b"id3 ", tag)])


def _frames(tag: bytes) -> list[Chunk] | None:
    """Frames of ID3v2.3 or 2.4 without flags; None for one that is cut short or odd."""
    if len(tag) < 10 or tag[:3] != b"ID3" or tag[3] not in (3, 4) or tag[5]:
        return None
    found, at = [], 10
    while at + 10 <= len(tag) and tag[at] != 0:
        raw = tag[at + 4 : at + 8]
        size = _from_syncsafe(raw) if tag[3] == 4 else int.from_bytes(raw, "big")
        if at + 10 + size > len(tag) or tag[at + 8 : at + 10] != b"\0\0":
            return None
        found.append((tag[at : at + 4], tag[at + 10 : at + 10 + size]))
        at += 10 + size
    return found


def _syncsafe(n: int) -> bytes:
    """28 bits in four bytes of seven (ID3v2.4, section 6.2)."""
    return bytes(n >> shift & 0x7F for shift in (21, 14, 7, 0))


def _from_syncsafe(raw: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(raw, (21, 14, 7, 0), strict=True))
