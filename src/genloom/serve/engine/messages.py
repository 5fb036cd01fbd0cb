"""What is said over the wire: requests as messages, and the events that answer them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from genloom.errors import nearest
from genloom.serve.engine.faults import WireError
from genloom.serve.engine.request import Encode, Request


@dataclass(frozen=True)
class Accepted:
    """The request is well formed and stands in line; its model is loaded."""

    id: str


@dataclass(frozen=True, eq=False)
class Preview:
    """A guess at the items, (n, *items.shape), after a number of steps."""

    id: str
    step: int
    items: Tensor


@dataclass(frozen=True, eq=False)
class NewTokens:
    """Tokens (n, k) that were just drawn for the positions start, start + 1, ...

    Args:
        id: Of the request.
        start: See above.
        tokens: -1 in rows that have ended.
        nats: Log-probabilities where asked for, (n, k, 1 + j): of the drawn token, then of `top`.
        top: The j likeliest tokens, (n, k, j); None where j is 0.
    """

    id: str
    start: int
    tokens: Tensor
    nats: Tensor | None = None
    top: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Done:
    """The items.

    Args:
        id: Of the request.
        items: (n, *items.shape).
        records: What makes each of them again (see `Artifact.records`).
        lengths: Of a model that draws tokens: how many each item has, given ones included and a
            stop sequence excluded; what follows is 0. Else empty.
        stopped: Whether each of those ended by a stop or with its form, not by its length alone.
        crowd: Samples that were made together at the end, these included.
        after: The tokens that each of them drew beyond its length, up to the end of a text that
            stopped it: that text may begin within the last token that the item needs.
    """

    id: str
    items: Tensor
    records: list[dict[str, str]]
    lengths: list[int] = field(default_factory=list)
    stopped: list[bool] = field(default_factory=list)
    crowd: int = 0
    after: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Encoded:
    """The codes of items, float32 (n, D)."""

    id: str
    values: Tensor


@dataclass(frozen=True)
class Failed:
    """The request alone failed; `error` is the name of the error's class."""

    id: str
    error: str
    message: str


@dataclass(frozen=True)
class Cancelled:
    """The request's rows are free; nothing more comes of it."""

    id: str


@dataclass(frozen=True)
class Stats:
    """A worker, as it is now: bytes of weights by model, resident bytes, requests it holds."""

    models: dict[str, int]
    bytes: int
    rss: int
    requests: int


Event = Accepted | Preview | NewTokens | Done | Encoded | Failed | Cancelled
KINDS = {
    "accepted": Accepted,
    "preview": Preview,
    "tokens": NewTokens,
    "done": Done,
    "encoded": Encoded,
    "failed": Failed,
    "cancelled": Cancelled,
    "stats": Stats,
}
NAMES = {made: name for name, made in KINDS.items()}
FINAL = (Done, Encoded, Failed, Cancelled)


GIVEN = ("latent", "source", "mask")  # tensors of a request beside its conditions
CONDITION = "condition/"  # what the names of those begin with


def _types(hint: Any) -> tuple[type, ...]:
    """The classes that a value of this type may have."""
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(get_origin(part) or part for part in parts)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


HINTS = {
    kind: {name: _types(hint) for name, hint in get_type_hints(made).items()}
    for kind, made in KINDS.items()
}
PLAIN = [f.name for f in fields(Request) if f.name not in ("condition", *GIVEN)]


def write_request(request: Request | Encode) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The message and tensors of a request."""
    if isinstance(request, Encode):
        message = {"kind": "encode", "model": request.model, "id": request.id}
        return message, {"items": request.items}
    tensors = {CONDITION + name: value for name, value in request.condition.items()}
    for name in GIVEN:
        value = getattr(request, name)
        if value is not None:
            tensors[name] = value.to(torch.uint8) if value.dtype == torch.bool else value
    return {"kind": "request", **{name: getattr(request, name) for name in PLAIN}}, tensors


def read_request(message: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Request | Encode:
    """The request behind a message.

    Raises:
        WireError: It lacks a field or has one too many.
        BadInput: See `Request`.
    """
    named = {name: value for name, value in message.items() if name != "kind"}
    values = named | {name: _tuples(v) for name, v in named.items() if isinstance(v, list)}
    cond = {}
    for name, value in tensors.items():
        if name.startswith(CONDITION):
            cond[name.removeprefix(CONDITION)] = value
        else:
            values[name] = value.bool() if name == "mask" else value
    try:
        if message.get("kind") == "encode":
            return Encode(**values)
        return Request(**values, condition=cond)
    except (TypeError, AttributeError) as error:
        raise WireError(f"this is not a request: {error}.") from error


def write_event(event: Event | Stats) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The message and tensors of an event."""
    message, tensors = {"kind": NAMES[type(event)]}, {}
    for name, value in vars(event).items():
        (tensors if isinstance(value, Tensor) else message)[name] = value
    return message, tensors


def read_event(message: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Event | Stats:
    """The event behind a message.

    Raises:
        WireError: No such kind of event, or a field that is missing, foreign or of another type.
    """
    kind = message.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise WireError(f"there is no event {str(kind)[:40]!r}{nearest(str(kind)[:40], KINDS)}")
    values = {name: value for name, value in message.items() if name != "kind"} | dict(tensors)
    hints = HINTS[kind]
    if values.keys() != hints.keys():
        raise WireError(f"an event {kind!r} has the fields {', '.join(hints)}, no others.")
    for name, kinds in hints.items():
        if type(values[name]) not in kinds:
            wanted = " or ".join(one.__name__ for one in kinds)
            raise WireError(f"{name} of an event {kind!r} is not {wanted}.")
    return KINDS[kind](**values)
