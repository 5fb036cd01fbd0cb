"""Requests that ask for too much, or for nonsense: name -> (route, body, headers)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CANARY = "CANARYthequickbrownfox"  # in every prompt; no log may hold it
LARGE = 10 * 2**20
IMAGES, ANY, TEXT, CHAT, JOBS = (
    "/v1/images/generations",
    "/v1/generations",
    "/v1/completions",
    "/v1/chat/completions",
    "/v1/jobs",
)
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
DIGITS = {"model": "digits", "prompt": f"{CANARY} 7"}


def _raw(text: str) -> bytes:
    """JSON with a number that Python would not write."""
    return f'{{"model": "digits", "prompt": "{CANARY}", {text}}}'.encode()


def _form(head: str, content: bytes = b"x") -> bytes:
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


def _nested(depth: int) -> bytes:
    return b'{"model": "digits", "options": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


Abuse = tuple[str, Any, Mapping[str, str]]
NUMBERS: dict[str, Abuse] = {
    **{
        f"n {text[:20]}": (ANY, _raw(f'"n": {text}'), {"Content-Type": "application/json"})
        for text in ("0", "-1", "65", "1.5", "NaN", "Infinity", "1e400", "9" * 4000, "9" * 5000)
    },
    "seed 2**70": (ANY, {"model": "digits", "seed": 2**70}, {}),
    "seed -1": (IMAGES, {**DIGITS, "seed": -1}, {}),
    "steps 10**9": (ANY, {"model": "digits", "options": {"steps": 10**9}}, {}),
    "guidance 10**400": (ANY, {"model": "digits", "options": {"guidance": 10**400}}, {}),
    "guidance nan": (ANY, {"model": "digits", "options": {"guidance": float("nan")}}, {}),
    "previews": (ANY, {"model": "digits", "previews": 10**6}, {}),
    "compression": (IMAGES, {**DIGITS, "output_compression": 10**6}, {}),
    "tokens": (TEXT, {"model": "words", "max_tokens": 10**12}, {}),
    "job of 10**9": (JOBS, {"kind": "sample", "body": {"model": "digits", "n": 10**9}}, {}),
    "minutes nan": (
        JOBS,
        {"kind": "train", "body": {"family": "gan", "name": "x", "minutes": float("nan")}},
        {},
    ),
    **{
        f"size {size}": (IMAGES, {"model": "digits", "prompt": "7", "size": size}, {})
        for size in ("100000x10000", "0x0", "-1x8", "8", "8x8x8", "1e3x1e3", "x", "9" * 10**5)
    },
}
SIZES: dict[str, Abuse] = {
    "prompt of 10 MB to text": (TEXT, {"model": "words", "prompt": CANARY * (LARGE // 22)}, {}),
    "prompt of 10 MB to images": (IMAGES, {**DIGITS, "prompt": (CANARY + " ") * 450_000}, {}),
    "prompt of 10 MB to any": (ANY, {"model": "digits", "prompt": CANARY * (LARGE // 22)}, {}),
    "message of 10 MB": (
        CHAT,
        {"model": "words", "messages": [{"role": "user", "content": CANARY * (LARGE // 22)}]},
        {},
    ),
    "label of 10 MB": (ANY, {"model": "digits", "label": "a" * LARGE}, {}),
    "format of 10 MB": (ANY, {"model": "digits", "format": "a" * LARGE}, {}),
    "option named in 10 MB": (ANY, {"model": "digits", "options": {"a" * LARGE: 1}}, {}),
    "option of 10 MB": (ANY, {"model": "digits", "options": {"steps": "a" * LARGE}}, {}),
    "model of 10 MB": (ANY, {"model": "a" * LARGE}, {}),
    "a million messages": (CHAT, {"model": "words", "messages": [0] * 10**6}, {}),
    "a million wrong tokens": (TEXT, {"model": "words", "prompt": [1.5] * 10**6}, {}),
    "a million stops": (TEXT, {"model": "words", "stop": ["a"] * 10**6}, {}),
    "a million scopes": ("/v1/keys", {"name": "x", "scopes": [0] * 10**6}, {}),
    "a million texts": ("/v1/moderations", {"input": [0] * 10**6}, {}),
    "body too long": (ANY, b" " * (17 * 2**20), {"Content-Type": "application/json"}),
}
FORMS: dict[str, Abuse] = {
    "100000 deep": (ANY, b"[" * 100_000, {"Content-Type": "application/json"}),
    **{
        f"{depth} deep": (ANY, _nested(depth), {"Content-Type": "application/json"})
        for depth in (100, 800, 900, 940, 960, 980)
    },
    "last key wins": (ANY, _raw('"n": 1, "n": 1000000'), {"Content-Type": "application/json"}),
    "lone surrogate": (ANY, b'{"model": "\\ud800"}', {"Content-Type": "application/json"}),
    "surrogate option": (
        ANY,
        b'{"model": "digits", "options": {"\\ud800": "\\udfff"}}',
        {"Content-Type": "application/json"},
    ),
    "invalid utf-8": (ANY, b'{"model": "\xff\xfe"}', {"Content-Type": "application/json"}),
    "utf-16": (ANY, '{"model"'.encode("utf-16"), {"Content-Type": "application/json"}),
    "empty body": (ANY, b"", {"Content-Type": "application/json"}),
    "no object": (ANY, b"[]", {"Content-Type": "application/json"}),
    "null": (ANY, b"null", {"Content-Type": "application/json"}),
    "form without boundary": ("/v1/files", b"x", {"Content-Type": "multipart/form-data"}),
    "form without end": ("/v1/files", b"--b\r\n", FORM),
    "form without file": ("/v1/files", _form('Content-Disposition: form-data; name="a"'), FORM),
    "file that is text": ("/v1/files", _form('Content-Disposition: form-data; name="file"'), FORM),
    "form with no name": ("/v1/files", _form("Content-Disposition: form-data"), FORM),
    "2000 fields": ("/v1/files", _form('Content-Disposition: form-data; name="a"') * 2000, FORM),
    "json to a form": ("/v1/files", {"file": "x"}, {}),
    "form to json": (ANY, _form('Content-Disposition: form-data; name="model"'), FORM),
    "no model of that name": (ANY, {"model": "nothing"}, {}),
}
ALL: dict[str, Abuse] = {**NUMBERS, **SIZES, **FORMS}

# A value of each wrong type goes into each field.
WRONG: tuple[Any, ...] = ([], {}, [1], {"a": 1}, "\ud800", 1.5, True, -1, 10**400, "x", [[]], None)
ASKED = {"role": "user", "content": "a"}
FIELDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    ANY: ({"model": "moons"}, ("model", "n", "seed", "label", "prompt", "format", "options")),
    IMAGES: (
        {"model": "codes", "prompt": ""},
        ("model", "n", "size", "output_format", "output_compression", "partial_images", "steps"),
    ),
    TEXT: (
        {"model": "words", "max_tokens": 1},
        ("model", "prompt", "n", "max_tokens", "stop", "stream_options", "echo", "temperature"),
    ),
    CHAT: ({"model": "words", "max_tokens": 1, "messages": [ASKED]}, ("messages", "stop", "seed")),
    "/v1/moderations": ({"input": "x"}, ("input", "model")),
    "/v1/keys": ({"name": "", "scopes": ["none"]}, ("name", "scopes", "per_minute")),
}
SAMPLE = {"model": "moons", "n": 1}
JOB_FIELDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "sample": (SAMPLE, ("model", "n", "seed", "label", "prompt", "options", "format", "more")),
    "train": ({"family": "gan", "name": "x"}, ("family", "name", "data", "minutes")),
    "evaluate": ({"n": 0}, ("models", "model", "n")),
    "compare": ({"n": 0}, ("models", "model", "n")),
}


def wrong_bodies() -> list[tuple[str, dict[str, Any]]]:
    """Every field of every route with every value of a wrong type."""
    found = [
        (route, {**body, name: value})
        for route, (body, names) in FIELDS.items()
        for name in names
        for value in WRONG
    ]
    return found + [
        (JOBS, {"kind": kind, "body": {**body, name: value}})
        for kind, (body, names) in JOB_FIELDS.items()
        for name in names
        for value in WRONG
    ]
