"""A request for each text that a route reads, with the same words in all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.e2e.attacks.wire import FORM, field

SCHEMES = (
    "http://{place}/x",
    "http://user:pass@{place}/x.png?a=%2e%2e#b",
    "https://{place}/x",
    "//{place}/x",
    "ftp://{place}/x",
    "file://{place}/etc/passwd",
    "s3://{place}/x",
    "gs://{place}/x",
    "memory://{place}",
    "simplecache::http://{place}/x",
    "zip://x::http://{place}/x",
    "hf://{place}/x",
    "ldap://{place}/x",
    "jdbc:postgresql://{place}/x",
    "\\\\{place}\\x",
    "http://canary.invalid/x",
    "https://canary.invalid/x",
)


def _fields(schema: dict[str, Any], parts: dict[str, Any], word: str, deep: int = 0) -> Any:
    """A value of this schema in which every text is the word."""
    if "$ref" in schema:
        return _fields(parts[schema["$ref"].rpartition("/")[2]], parts, word, deep + 1)
    kinds = schema.get("anyOf") or schema.get("oneOf")
    if kinds:
        texts = [one for one in kinds if one.get("type") != "null"]
        return _fields(texts[0], parts, word, deep)
    if "enum" in schema or "const" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    match schema.get("type"):
        case "object":
            inner = schema.get("properties", {})
            found = {name: _fields(one, parts, word, deep) for name, one in inner.items()}
            return found or {"url": word, "image_url": {"url": word}, "model": word}
        case "array":
            return [_fields(schema.get("items", {"type": "string"}), parts, word, deep)]
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case _:
            return word


def requests(document: dict[str, Any], word: str) -> list[tuple[str, str, Any]]:
    """(method, path, body): all texts of a body at once, and each of them beside good fields.

    Args:
        document: OpenAPI's.
        word: What stands in every text, in every place of a path and in every query.
    """
    found = [*_told(document, word), *(("POST", path, body) for path, body in _hidden(word))]
    return [one for one in found if json.dumps(word) in json.dumps(one)]


def _told(document: dict[str, Any], word: str) -> Iterator[tuple[str, str, Any]]:
    parts = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            content = told.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            if schema is None:
                continue
            whole = _fields(schema, parts, word)
            yield method.upper(), path, whole
            for name in whole:
                yield method.upper(), path, {**GOOD.get(path, {}), name: whole[name]}


JUDGES = ("evaluate", "compare")
ASKED = {"role": "user", "content": "a"}
GOOD: dict[str, dict[str, Any]] = {
    "/v1/generations": {"model": "moons"},
    "/v1/images/generations": {"model": "codes", "prompt": ""},
    "/v1/completions": {"model": "words", "prompt": "a", "max_tokens": 1},
    "/v1/chat/completions": {"model": "words", "messages": [ASKED], "max_tokens": 1},
    "/v1/embeddings": {"model": "codes"},
    "/v1/encodings": {"model": "codes"},
    "/v1/batches": {"endpoint": "/v1/completions", "completion_window": "24h"},
    "/v1/votes": {"choice": "left"},
    "/v1/keys": {"scopes": ["none"]},
}


def _hidden(word: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the description does not tell: bodies of jobs, parts of messages, foreign fields."""
    parts: list[Any] = [
        {"type": "text", "text": word},
        {"type": "image_url", "image_url": {"url": word}},
        {"type": "input_audio", "input_audio": {"data": word}},
        {"type": "file", "file": {"file_data": word, "file_id": word}},
    ]
    foreign = {"image": word, "image_url": word, "callback": word, "webhook": word, "url": word}
    train = {"family": "gan", "data": word, "name": "x", "minutes": 0.05}
    setting = {"data.source": word, "data.codec": word, "train.to": word, "model.use": word}
    yield from (
        *(
            ("/v1/chat/completions", {"model": "words", "messages": [message], "max_tokens": 1})
            for part in parts
            for message in ({"role": "user", "content": [part]}, {"role": word, "content": word})
        ),
        *((path, {**good, **foreign}) for path, good in GOOD.items()),
        *(("/v1/generations", {"model": "moons", "options": {name: word}}) for name in foreign),
        ("/v1/embeddings", {"model": "codes", "input": [word]}),
        *(("/v1/jobs", {"kind": kind, "body": train}) for kind in ("train", "forecast")),
        *(
            ("/v1/jobs", {"kind": "train", "body": {**train, "data": "moons", "settings": {k: v}}})
            for k, v in setting.items()
        ),
        ("/v1/jobs", {"kind": "survey", "body": {"data": word}}),
        *(("/v1/jobs", {"kind": kind, "body": {"models": [word]}}) for kind in JUDGES),
        ("/v1/jobs", {"kind": "sample", "body": {"model": word, "n": 1, "prompt": word}}),
    )


def forms(word: str) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """(path, body, headers) of forms whose texts, file names and contents are the word."""
    name = word.replace("\\", "/")
    for path, names in (
        ("/v1/files", ("file", "purpose")),
        ("/v1/content_provenance_checks", ("file",)),
        ("/v1/images/edits", ("image", "mask", "prompt", "model", "size")),
    ):
        texts = b"".join(field(one, word.encode()) for one in names)
        files = b"".join(field(one, word.encode(), name) for one in names)
        yield path, texts + b"--b--\r\n", FORM
        yield path, files + b"--b--\r\n", FORM
