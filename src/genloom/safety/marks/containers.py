"""Put an XMP packet into a PNG, JPEG, WebP or MP4, and find it again, without decoding anything.

XMP specification part 3 (ISO 16684-1 embedding): a PNG iTXt chunk, a JPEG APP1 segment, a WebP
chunk, an MP4 uuid box at the end of the file, where it moves nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from genloom.errors import BadInput
from genloom.safety.marks.riff import Chunk, build, chunks

PNG_KEYWORD = b"XML:com.adobe.xmp\0"
JPEG_KEYWORD = b"http://ns.adobe.com/xap/1.0/\0"
MP4_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
LARGEST_JPEG_PACKET = 0xFFFF - 2 - len(JPEG_KEYWORD)


def xmp_of(data: bytes, media_type: str) -> bytes | None:
    """The XMP packet of a file, or None; no check of what it says.

    Raises:
        BadInput: The file contradicts its own format before the packet is found.
    """
    return _READ[media_type](data)


def with_xmp(data: bytes, media_type: str, packet: bytes) -> bytes:
    """The file with this XMP packet instead of the one it had.

    Raises:
        BadInput: The file contradicts its own format, or has no room for the packet.
    """
    return _WRITE[media_type](data, packet)


def _png_chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(start, end, type) of each chunk."""
    at = 8
    while at < len(data):
        if at + 12 > len(data):
            raise BadInput(f"the PNG ends within a chunk, at byte {at}.")
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            raise BadInput(f"the PNG's chunk at byte {at} is longer than the file.")
        yield at, end, data[at + 4 : at + 8]
        at = end


def _png_packet(data: bytes, start: int, end: int) -> bytes | None:
    body = data[start + 8 : end - 4]
    if not body.startswith(PNG_KEYWORD + b"\0\0"):  # a compressed packet is not XMP (part 3)
        return None
    parts = body[len(PNG_KEYWORD) + 2 :].split(b"\0", 2)  # language, translated keyword, text
    return parts[2] if len(parts) == 3 else None


def _read_png(data: bytes) -> bytes | None:
    for start, end, kind in _png_chunks(data):
        packet = _png_packet(data, start, end) if kind == b"iTXt" else None
        if packet is not None:
            return packet
    return None


def _write_png(data: bytes, packet: bytes) -> bytes:
    body = b"iTXt" + PNG_KEYWORD + b"\0\0\0\0" + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    out, placed = [data[:8]], False
    for start, end, kind in _png_chunks(data):
        if kind == b"iTXt" and _png_packet(data, start, end) is not None:
            continue
        out.append(data[start:end])
        if kind == b"IHDR" and not placed:
            out.append(chunk)
            placed = True
    if not placed:
        raise BadInput("the PNG has no IHDR chunk.")
    return b"".join(out)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(start, end, marker) of each segment before the picture itself."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (0xDA, 0xD9):
            return
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            raise BadInput(f"the JPEG's segment at byte {at} has a wrong length.")
        yield at, end, marker
        at = end
    raise BadInput(f"the JPEG is broken at byte {at}: there is no marker.")


def _is_packet(data: bytes, start: int, marker: int) -> bool:
    return marker == 0xE1 and data.startswith(JPEG_KEYWORD, start + 4)


def _read_jpeg(data: bytes) -> bytes | None:
    for start, end, marker in _jpeg_segments(data):
        if _is_packet(data, start, marker):
            return data[start + 4 + len(JPEG_KEYWORD) : end]
    return None


def _write_jpeg(data: bytes, packet: bytes) -> bytes:
    if len(packet) > LARGEST_JPEG_PACKET:
        raise BadInput(
            f"the XMP packet has {len(packet)} bytes: a JPEG holds {LARGEST_JPEG_PACKET}."
        )
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(JPEG_KEYWORD) + len(packet))
    segment += JPEG_KEYWORD + packet
    out, at, first = [], 2, 2
    for start, end, marker in _jpeg_segments(data):
        if not _is_packet(data, start, marker):
            out.append(data[start:end])
            if marker == 0xE0 and start == first:  # JFIF must stay the first segment
                out.append(segment)
        at = end
    placed = segment in out
    return b"".join([data[:2], *([] if placed else [segment]), *out, data[at:]])


def _read_webp(data: bytes) -> bytes | None:
    return next((body for kind, body in chunks(data) if kind == b"XMP "), None)


def _write_webp(data: bytes, packet: bytes) -> bytes:
    found = [c for c in chunks(data) if c[0] != b"XMP "]
    if not found:
        raise BadInput("the WebP holds no picture.")
    kind, body = found[0]
    if kind == b"VP8X" and len(body) >= 10:
        found[0] = (kind, bytes([body[0] | 0x04]) + body[1:])
    else:
        found.insert(0, _extended(kind, body))
    return build(b"WEBP", [*found, (b"XMP ", packet)])


def _extended(kind: bytes, body: bytes) -> Chunk:
    """The VP8X header that a simple WebP needs to hold metadata: flags and canvas size."""
    if kind == b"VP8 " and len(body) >= 10:
        width, height = (int.from_bytes(body[i : i + 2], "little") & 0x3FFF for i in (6, 8))
        alpha = 0
    elif kind == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    else:
        raise BadInput(f"the WebP starts with {kind!r}: there is no picture.")
    flags = 0x04 | alpha << 4
    size = b"".join((n - 1).to_bytes(3, "little") for n in (max(width, 1), max(height, 1)))
    return b"VP8X", bytes([flags, 0, 0, 0]) + size


def _mp4_boxes(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(start, end, type) of each box of the top level; a box of size 0 ends with the file."""
    at = 0
    while at < len(data):
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if size == 0 else at + size
        if end > len(data) or end < at + head or at + head > len(data):
            raise BadInput(f"the MP4's box at byte {at} has a wrong length.")
        yield at, end, kind
        at = end


def _is_xmp_box(data: bytes, start: int, kind: bytes) -> bool:
    return kind == b"uuid" and data.startswith(MP4_UUID, start + 8)


def _read_mp4(data: bytes) -> bytes | None:
    for start, end, kind in _mp4_boxes(data):
        if _is_xmp_box(data, start, kind):
            return data[start + 24 : end]
    return None


def _write_mp4(data: bytes, packet: bytes) -> bytes:
    boxes = list(_mp4_boxes(data))
    own = next((i for i, box in enumerate(boxes) if _is_xmp_box(data, box[0], box[2])), None)
    if own not in (None, len(boxes) - 1):
        raise BadInput("the MP4 has an XMP packet before its media, which cannot grow in place.")
    start = len(data) if own is None else boxes[own][0]
    if boxes and data[boxes[-1][0] : boxes[-1][0] + 4] == bytes(4):
        raise BadInput("the MP4's last box has no length, so that nothing can follow it.")
    return data[:start] + struct.pack(">I", 24 + len(packet)) + b"uuid" + MP4_UUID + packet


TYPES = ("image/png", "image/jpeg", "image/webp", "video/mp4")
_READ: dict[str, Callable[[bytes], bytes | None]] = {
    "image/png": _read_png,
    "image/jpeg": _read_jpeg,
    "image/webp": _read_webp,
    "video/mp4": _read_mp4,
}
_WRITE: dict[str, Callable[[bytes, bytes], bytes]] = {
    "image/png": _write_png,
    "image/jpeg": _write_jpeg,
    "image/webp": _write_webp,
    "video/mp4": _write_mp4,
}
