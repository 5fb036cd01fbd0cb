"""Pictures and files that are small to send and large to read, and those that are none."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from tests.e2e.attacks.wire import FORM, JSON, field

MANY = 10**6
EDITS = "digits"  # a model that changes pictures


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _header(width: int, height: int, depth: int = 8, kind: int = 2) -> bytes:
    told = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + told


def png(width: int, height: int) -> bytes:
    """A black RGB picture, packed as small as it can be."""
    rows = zlib.compress(bytes(height * (1 + 3 * width)), 9)
    return _header(width, height) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _text(size: int) -> bytes:
    packed = zlib.compress(bytes(size), 9)
    return _chunk(b"zTXt", b"a\0\0" + packed)


GOOD = png(8, 8)
FORTY_EIGHT = png(4000, 4000)  # 46 KB that become 48 MB
END = _chunk(b"IDAT", zlib.compress(bytes(8 * 25), 9)) + _chunk(b"IEND", b"")
PICTURES: dict[str, bytes] = {
    "empty": b"",
    "text": b"no picture",
    "header alone": _header(40_000, 40_000) + _chunk(b"IEND", b""),
    "header of 2**31": _header(2**31 - 1, 2**31 - 1) + END,
    "header of nothing": _header(0, 0) + END,
    "one row of 2**31": _header(2**31 - 1, 1) + END,
    "75 MB": png(5000, 5000),
    "truncated": png(64, 64)[:60],
    "48 MB truncated": FORTY_EIGHT[:-200],
    "wrong rows": _header(64, 64) + END,
    "wrong checksum": GOOD[:40] + bytes([GOOD[40] ^ 255]) + GOOD[41:],
    "text of 200 MB": _header(8, 8) + _text(2 * 10**8) + END,
    "chunk of 2**31": _header(8, 8) + struct.pack(">I", 2**31 - 1) + b"IDAT",
    "gif of 65535": b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + bytes(6) + b",",
    "bmp of 2**30": b"BM"
    + struct.pack("<IIIIiiHH", 54, 0, 54, 40, 2**30, 2**30, 1, 24)
    + bytes(24),
    "jpeg of 65500": b"\xff\xd8\xff\xc0\0\x11\x08"
    + struct.pack(">HH", 65500, 65500)
    + b"\x03\x01\x22\0\x02\x11\x01\x03\x11\x01\xff\xd9",
    "ppm of 40000": b"P6\n40000 40000\n255\n",
    "plain ppm": b"P3\n8 8\n255\n" + b"9" * 10**5,
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90000 90000\n(/x) (w) file\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'><image href='/x'/></svg>",
    "pickle": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94.",
}


def _form(**parts: tuple[bytes, str | None]) -> bytes:
    return b"".join(field(name, *part) for name, part in parts.items()) + b"--b--\r\n"


def encoded(data: bytes) -> str:
    """As embeddings take it."""
    return base64.b64encode(data).decode()


Bomb = tuple[str, bytes, dict[str, str]]


def pictures() -> Iterator[tuple[str, Bomb]]:
    """Each picture in each place that takes one: (name, request)."""
    model = (EDITS.encode(), None)
    for name, data in PICTURES.items():
        body = json.dumps({"model": "codes", "input": encoded(data)}).encode()
        yield f"{name} to embeddings", ("/v1/embeddings", body, JSON)
        form = _form(model=model, image=(data, "a.png"))
        yield f"{name} as image", ("/v1/images/edits", form, FORM)
        form = _form(model=model, image=(GOOD, "a.png"), mask=(data, "a.png"))
        yield f"{name} as mask", ("/v1/images/edits", form, FORM)


def _json(route: str, **body: Any) -> Bomb:
    return route, json.dumps(body).encode(), JSON


def _raw(route: str, text: str) -> Bomb:
    return route, text.encode(), JSON


def _edit(*parts: bytes) -> Bomb:
    return "/v1/images/edits", b"".join(parts) + b"--b--\r\n", FORM


def others() -> dict[str, Bomb]:
    """What else these routes are sent."""
    model, image = field("model", EDITS.encode()), field("image", GOOD, "a.png")
    mix = "[" + ",".join(["0.5"] * MANY) + "]"
    numbers = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 400, '"x"', "[]", "{}", "null")
    return {
        "a million inputs": _json("/v1/embeddings", model="codes", input=["a"] * MANY),
        "a million tokens": _json("/v1/embeddings", model="codes", input=[1] * MANY),
        "lists of tokens": _json("/v1/embeddings", model="codes", input=[[1]] * 10**5),
        "no inputs": _json("/v1/embeddings", model="codes", input=[]),
        "65 inputs": _json("/v1/embeddings", model="codes", input=[encoded(GOOD)] * 65),
        "64 of 48 MB": _json("/v1/embeddings", model="codes", input=[encoded(FORTY_EIGHT)] * 64),
        "an input of 15 MB": _json("/v1/embeddings", model="codes", input="A" * 15_000_000),
        "a url of 10 MB": _json("/v1/embeddings", model="codes", input="data:" + "a" * 10**7),
        "points to pictures": _json("/v1/embeddings", model="codes", input="[1, 2]"),
        "a million points": _json("/v1/embeddings", model="moons", input=mix),
        "size of codes": _json("/v1/embeddings", model="codes", input="x", dimensions=10**9),
        "codes of a flow": _json("/v1/embeddings", model="digits", input="x"),
        "a million outputs": _json("/v1/encodings", model="codes", outputs=["a" * 26] * MANY),
        "no outputs": _json("/v1/encodings", model="codes", outputs=[]),
        "outputs of 10 MB": _json("/v1/encodings", model="codes", outputs=["a" * 10**7]),
        "a mix of a million": _raw(
            "/v1/generations", f'{{"model": "moons", "toward": 1, "mix": {mix}}}'
        ),
        **{
            f"mix of {text[:9]}": _raw(
                "/v1/generations", f'{{"model": "moons", "toward": 1, "mix": [{text}]}}'
            )
            for text in numbers
        },
        **{
            f"toward {text[:9]}": _raw(
                "/v1/generations", f'{{"model": "moons", "toward": {text}, "mix": [0.5]}}'
            )
            for text in ("NaN", "1e999", "-1", "9" * 400, '"x"', "[]", "1.5")
        },
        **{
            f"latent of {text[:9]}": _raw(
                "/v1/generations", f'{{"model": "codes", "latent": [[0, 0, 0, {text}]]}}'
            )
            for text in numbers
        },
        "latent of no rows": _json("/v1/generations", model="codes", latent=[]),
        "latent too short": _json("/v1/generations", model="codes", latent=[[0.0]]),
        "latent too long": _json("/v1/generations", model="codes", latent=[[0.0] * MANY]),
        "latents too many": _json("/v1/generations", model="codes", latent=[[0.0] * 4] * 10**5),
        "latent of a flow": _json("/v1/generations", model="digits", latent=[[0.0] * 4]),
        "latent with n": _json("/v1/generations", model="codes", latent=[[0.0] * 4], n=3),
        "deep latent": _raw(
            "/v1/generations", '{"model": "codes", "latent": ' + "[" * 10**5 + "]" * 10**5 + "}"
        ),
        "deep input": _raw(
            "/v1/embeddings", '{"model": "codes", "input": ' + "[" * 10**5 + "]" * 10**5 + "}"
        ),
        "deep point": _json("/v1/embeddings", model="codes", input="[" * 10**6),
        "two images": _edit(model, image, image),
        "image as a text": _edit(model, field("image", GOOD)),
        "no image": _edit(model),
        "empty mask": _edit(model, image, field("mask", png(8, 8), "a.png")),
        "strength nan": _edit(model, image, field("strength", b"nan")),
        "strength 1e999": _edit(model, image, field("strength", b"1e999")),
        "steps 1e9": _edit(model, image, field("steps", b"1000000000")),
        "n of 10**4000": _edit(model, image, field("n", b"9" * 4000)),
        "a text of 2 MB": _edit(model, image, field("prompt", b"a" * 2 * 10**6)),
        "five files": _edit(model, *[field(f"f{i}", b"x", "x") for i in range(5)]),
        "a million fields": _edit(*[field("n", b"1")] * 10**5),
        "no boundary": ("/v1/images/edits", b"x", {"Content-Type": "multipart/form-data"}),
        "no end": ("/v1/images/edits", b"--b\r\n", FORM),
        "json to a form": _json("/v1/images/edits", image="x"),
        "image of 9 MB": _edit(model, field("image", GOOD + bytes(9 * 2**20), "a.png")),
        "batch of a wrong file": _json(
            "/v1/batches",
            input_file_id="a" * 26,
            endpoint="/v1/completions",
            completion_window="24h",
        ),
        "batch of a batch": _json(
            "/v1/batches", input_file_id="a" * 26, endpoint="/v1/batches", completion_window="24h"
        ),
        "metadata of 10 MB": _json(
            "/v1/batches",
            input_file_id="a" * 26,
            endpoint="/v1/completions",
            completion_window="24h",
            metadata={"a": "a" * 10**7},
        ),
        "vote of 10 MB": _json("/v1/votes", left="a" * 10**7, right="b", choice="left"),
        "vote for itself": _json("/v1/votes", left="a" * 26, right="a" * 26, choice="left"),
        "survey of 10**9": _json("/v1/jobs", kind="survey", body={"data": "moons", "size": 10**9}),
        "forecast of 10**99": _json(
            "/v1/jobs", kind="forecast", body={"data": "moons", "family": "gan", "steps": 10**99}
        ),
    }


def _line(i: int, **more: Any) -> dict[str, Any]:
    body = {"model": "words", "prompt": "a", "max_tokens": 1}
    line = {"custom_id": str(i), "method": "POST", "url": "/v1/completions", "body": body}
    return line | more


BATCHES: dict[str, bytes] = {
    "a million lines": b"{}\n" * MANY,
    "a million empty lines and one": b"\n" * MANY + b"{}",
    "a line of 10 MB": json.dumps(_line(1, body={"prompt": "a" * 10**7, "stream": 1})).encode(),
    "a name of 10 MB": json.dumps(_line(1, custom_id="a" * 10**7)).encode(),
    "a deep line": b"[" * 10**6,
    "no text": b"\xff\xfe\0\0" * 100,
    "nothing": b"\n",
    "one name twice": "\n".join(json.dumps(_line(1)) for _ in range(2)).encode(),
    "another route": json.dumps(_line(1, url="/v1/keys")).encode(),
    "another server": json.dumps(_line(1, url="http://127.0.0.1:1/v1/completions")).encode(),
    "another method": json.dumps(_line(1, method="DELETE")).encode(),
}
