"""What is said over the wire: a request for samples, and the events that answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_origin, get_type_hints
from uuid import uuid4

from torch import Tensor

from genloom.errors import BadInput, nearest
from genloom.serve.engine.faults import WireError


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One sample for each seed, from one model.

    Args:
        model: Its name; never a path.
        seeds: In [0, 2^63); sample i depends on seeds[i], its condition and the options alone.
        label: As `Artifact.condition` takes it: a class, or one for each seed; None draws them.
        condition: Further conditions, name -> (len(seeds), ...).
        options: Of the model's `sample_steps`.
        prompt: Tokens that every sample begins with, for models that go on from given ones.
        previews: How many guesses to show on the way, fewer where the model takes fewer steps.
        tokens: Send each token as it is drawn, for models that draw one after the other.
        id: Unique among those under way.

    Raises:
        BadInput: A value of the wrong type, or out of range.
    """

    model: str
    seeds: tuple[int, ...]
    label: int | str | tuple[int | str, ...] | None = None
    condition: Mapping[str, Tensor] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: tuple[int, ...] = ()
    previews: int = 0
    tokens: bool = False
    id: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        if not self.seeds or not all(type(s) is int and 0 <= s < 2**63 for s in self.seeds):
            raise BadInput("seeds are one or more whole numbers in [0, 2^63).")
        if not all(type(token) is int for token in self.prompt):
            raise BadInput("a prompt is a list of token numbers.")
        labels = self.label if isinstance(self.label, tuple) else (self.label,)
        if not all(one is None or type(one) in (int, str) for one in labels):
            raise BadInput("a label is the name or the number of a class, or one for each seed.")
        if type(self.previews) is not int or self.previews < 0:
            raise BadInput(f"previews = {self.previews!r}: it must be a number of at least 0.")
        for name, kind in (("model", str), ("id", str), ("tokens", bool), ("options", Mapping)):
            if not isinstance(getattr(self, name), kind):
                raise BadInput(f"{name} = {getattr(self, name)!r} is not a {kind.__name__}.")


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
    """Tokens (n, k) that were just drawn for the positions start, start + 1, ..."""

    id: str
    start: int
    tokens: Tensor


@dataclass(frozen=True, eq=False)
class Done:
    """The items, (n, *items.shape), and for each what makes it again (see `Artifact.records`)."""

    id: str
    items: Tensor
    records: list[dict[str, str]]


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


Event = Accepted | Preview | NewTokens | Done | Failed | Cancelled
KINDS = {
    "accepted": Accepted,
    "preview": Preview,
    "tokens": NewTokens,
    "done": Done,
    "failed": Failed,
    "cancelled": Cancelled,
    "stats": Stats,
}
FINAL = (Done, Failed, Cancelled)


def write_request(request: Request) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The message and tensors of a request."""
    named = {f.name: getattr(request, f.name) for f in fields(request) if f.name != "condition"}
    return {"kind": "request", **named}, dict(request.condition)


def read_request(message: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Request:
    """The request behind a message.

    Raises:
        WireError: It lacks a field or has one too many.
        BadInput: See `Request`.
    """
    named = {name: value for name, value in message.items() if name != "kind"}
    lists = {name: tuple(value) for name, value in named.items() if isinstance(value, list)}
    try:
        return Request(**{**named, **lists, "condition": dict(tensors)})
    except TypeError as error:
        raise WireError(f"this is not a request: {error}.") from error


def write_event(event: Event | Stats) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The message and tensors of an event."""
    kind = next(name for name, made in KINDS.items() if type(event) is made)
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    rest = {name: value for name, value in values.items() if name not in tensors}
    return {"kind": kind, **rest}, tensors


def read_event(message: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Event | Stats:
    """The event behind a message.

    Raises:
        WireError: No such kind of event, or a field that is missing, foreign or of another type.
    """
    kind = message.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise WireError(f"there is no event {str(kind)[:40]!r}{nearest(str(kind)[:40], KINDS)}")
    values = {name: value for name, value in message.items() if name != "kind"} | dict(tensors)
    hints = get_type_hints(KINDS[kind])
    if set(values) != set(hints):
        raise WireError(f"an event {kind!r} has the fields {', '.join(hints)}, no others.")
    for name, hint in hints.items():
        if type(values[name]) is not (get_origin(hint) or hint):
            raise WireError(f"{name} of an event {kind!r} is not {hint}.")
    return KINDS[kind](**values)
