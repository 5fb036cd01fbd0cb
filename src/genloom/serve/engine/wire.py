"""The wire between the server and its workers: length-prefixed JSON and raw tensors, nothing else.

A frame is two lengths (unsigned, 4 bytes, little-endian: header, body), a header in JSON,
{"message": {...}, "tensors": [[name, dtype, [sizes]], ...]}, and a body, the tensors' bytes one
after the other. Nothing that arrives is executed, and memory is taken for what has arrived, never
for what a header announces.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from genloom.serve.engine.faults import WireError

DTYPES = {
    "uint8": torch.uint8,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
    "float64": torch.float64,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LENGTHS = struct.Struct("<II")
LARGEST_HEADER = 4 * 2**20  # bytes; a prompt or the records of a batch fit many times
LARGEST_BODY = 256 * 2**20  # bytes
MOST_TENSORS, MOST_AXES = 64, 8

Frame = tuple[dict[str, Any], dict[str, Tensor]]


def pack(message: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> bytes:
    """A frame.

    Args:
        message: JSON values; a number is finite.
        tensors: Of the types in DTYPES, none of them empty, on any device.

    Raises:
        WireError: It cannot be sent: a type that is not allowed, or over the limits.
    """
    listed, parts = [], []
    for name, tensor in (tensors or {}).items():
        if tensor.dtype not in NAMES:
            raise WireError(f"{name} is {tensor.dtype}; tensors are sent as {', '.join(DTYPES)}.")
        listed.append([name, NAMES[tensor.dtype], list(tensor.shape)])
        parts.append(tensor.detach().cpu().contiguous().numpy().tobytes())
    try:
        text = json.dumps({"message": dict(message), "tensors": listed}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"the message is not JSON: {error}.") from error
    header, body = text.encode(), b"".join(parts)
    _check_lengths(len(header), len(body))
    _layout(listed, len(body))
    return LENGTHS.pack(len(header), len(body)) + header + body


@final
class Parser:
    """Frames out of bytes that come in pieces of any size; from asyncio or a blocking socket.

    After an error it is of no more use: where the next frame would begin is unknown.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._header: tuple[dict[str, Any], list[tuple[str, torch.dtype, list[int], int]]] | None
        self._header = None
        self._body = 0  # bytes that the header's tensors take
        self._broken = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete.

        Raises:
            WireError: They are not frames as `pack` makes them.
        """
        if self._broken:
            raise WireError("this connection has already failed: open another one.")
        self._buffer += data
        frames: list[Frame] = []
        try:
            while (frame := self._next()) is not None:
                frames.append(frame)
        except WireError:
            self._broken = True
            self._buffer.clear()
            raise
        return frames

    def _next(self) -> Frame | None:
        if self._header is None and not self._read_header():
            return None
        if self._header is None or len(self._buffer) < self._body:
            return None
        message, layout = self._header
        tensors, start = {}, 0
        for name, dtype, shape, size in layout:
            raw = self._buffer[start : start + size]  # a copy: the tensor owns its memory
            tensors[name] = torch.frombuffer(raw, dtype=dtype).reshape(shape)
            start += size
        del self._buffer[:start]
        self._header = None
        return message, tensors

    def _read_header(self) -> bool:
        if len(self._buffer) < LENGTHS.size:
            return False
        header, body = LENGTHS.unpack_from(self._buffer)
        _check_lengths(header, body)
        end = LENGTHS.size + header
        if len(self._buffer) < end:
            return False
        content = _json(bytes(self._buffer[LENGTHS.size : end]))
        self._header = content["message"], _layout(content["tensors"], body)
        self._body = body
        del self._buffer[:end]
        return True


def _check_lengths(header: int, body: int) -> None:
    for what, length, limit in (("header", header, LARGEST_HEADER), ("body", body, LARGEST_BODY)):
        if length > limit:
            raise WireError(f"a {what} of {length} bytes: at most {limit} are sent.")


def _json(header: bytes) -> dict[str, Any]:
    try:
        content = json.loads(header.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a header is not JSON: {error}.") from error
    if not isinstance(content, dict) or set(content) != {"message", "tensors"}:
        raise WireError("a header has other parts than 'message' and 'tensors'.")
    if not isinstance(content["message"], dict):
        raise WireError("a message is an object with named fields.")
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _layout(listed: Any, body: int) -> list[tuple[str, torch.dtype, list[int], int]]:
    """(name, type, shape, bytes) of each tensor; together they take the body exactly."""
    if not isinstance(listed, list) or len(listed) > MOST_TENSORS:
        raise WireError(f"tensors are a list of at most {MOST_TENSORS}.")
    layout, names = [], set()
    for entry in listed:
        match entry:
            case [str(name), str(kind), list(shape)] if kind in DTYPES and name not in names:
                layout.append((name, DTYPES[kind], shape, _bytes(shape, DTYPES[kind])))
                names.add(name)
            case _:
                raise WireError("a tensor is [name, dtype, sizes]: names differ, types are known.")
    if sum(size for *_, size in layout) != body:
        raise WireError(f"the tensors of a header do not take the {body} bytes of its body.")
    return layout


def _bytes(shape: list[Any], dtype: torch.dtype) -> int:
    if len(shape) > MOST_AXES or not all(type(n) is int and 1 <= n <= LARGEST_BODY for n in shape):
        raise WireError(f"a shape has at most {MOST_AXES} sizes, each in [1, {LARGEST_BODY}].")
    return math.prod(shape) * dtype.itemsize
