"""The wire: what is packed comes out, in pieces of any size; anything else is one typed error."""

from __future__ import annotations

import json
import random
import tracemalloc

import pytest
import torch

from genloom.errors import BadInput
from genloom.serve.engine import wire
from genloom.serve.engine.faults import WireError
from genloom.serve.engine.messages import (
    Accepted,
    Cancelled,
    Done,
    Encoded,
    Failed,
    NewTokens,
    Preview,
    Stats,
    read_event,
    read_request,
    write_event,
    write_request,
)
from genloom.serve.engine.request import Encode, Request
from genloom.serve.engine.wire import LENGTHS, Parser, pack

TENSORS = {
    "image": torch.arange(24, dtype=torch.uint8).view(2, 3, 4),
    "points": torch.tensor([[1.5, -2.0], [float("inf"), 0.0]]),
    "label": torch.tensor(7),
    "strided": torch.arange(12).view(3, 4).T,
}
EVENTS = [
    Accepted("a"),
    Preview("a", 3, torch.zeros(1, 1, 8, 8, dtype=torch.uint8)),
    NewTokens("b", 5, torch.tensor([[4], [5]])),
    NewTokens("b", 5, torch.tensor([[4]]), torch.zeros(1, 1, 3), torch.ones(1, 1, 2).long()),
    Encoded("c", torch.ones(2, 3)),
    Done("c", torch.ones(1, 2), [{"seed": "1"}], [2], [True], 1, [[7, 8]]),
    Done("c", torch.ones(2, 2), [{"seed": "1"}, {"seed": "2"}]),
    Failed("d", "BadInput", "steps = 0 is out of range"),
    Cancelled("e"),
    Stats({"digits": 100}, 100, 5_000_000, 2),
]


def raw(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_frames_come_out_as_they_went_in(piece):
    stream = pack({"n": 1, "text": "\u00e9"}, TENSORS) + pack({"n": 2})
    parser, frames = Parser(), []
    for start in range(0, len(stream), piece):
        frames += parser.feed(stream[start : start + piece])
    (first, tensors), (second, none) = frames
    assert first == {"n": 1, "text": "\u00e9"} and second == {"n": 2} and none == {}
    assert list(tensors) == list(TENSORS)
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype and torch.equal(tensors[name], value)


@pytest.mark.parametrize(
    "tensors", [{"h": torch.zeros(2).half()}, {"e": torch.zeros(0)}, {"b": torch.zeros(2).bool()}]
)
def test_what_is_not_allowed_is_not_sent(tensors):
    with pytest.raises(WireError):
        pack({}, tensors)


@pytest.mark.parametrize("message", [{"x": float("nan")}, {"x": object()}])
def test_a_message_is_json(message):
    with pytest.raises(WireError, match="not JSON"):
        pack(message)


LIES = {
    "not JSON": raw(b"\x80\x04K\x01."),
    "not an object": raw([1, 2]),
    "a foreign part": raw({"message": {}, "tensors": [], "code": "1"}),
    "no tensors": raw({"message": {}}),
    "a message that is none": raw({"message": 3, "tensors": []}),
    "NaN": raw(b'{"message": {"x": NaN}, "tensors": []}'),
    "depth": raw(b'{"message": {"x": ' + b"[" * 100_000 + b"}, 'tensors': []}"),
    "a foreign type": raw({"message": {}, "tensors": [["a", "object", [1]]]}, b"12345678"),
    "a name twice": raw({"message": {}, "tensors": [["a", "uint8", [1]]] * 2}, b"12"),
    "a size of a wrong type": raw({"message": {}, "tensors": [["a", "uint8", [1.0]]]}, b"1"),
    "a size that is true": raw({"message": {}, "tensors": [["a", "uint8", [True]]]}, b"1"),
    "a negative size": raw({"message": {}, "tensors": [["a", "uint8", [-1, -1]]]}, b"1"),
    "an empty tensor": raw({"message": {}, "tensors": [["a", "uint8", [0]]]}),
    "a huge size": raw({"message": {}, "tensors": [["a", "uint8", [10**300]]]}, b"1"),
    "many axes": raw({"message": {}, "tensors": [["a", "uint8", [1] * 9]]}, b"1"),
    "a body that is short": raw({"message": {}, "tensors": [["a", "int64", [2]]]}, b"12345678"),
    "a body that is long": raw({"message": {}, "tensors": [["a", "uint8", [2]]]}, b"12345678"),
    "a long header": LENGTHS.pack(2**32 - 1, 0),
    "a long body": LENGTHS.pack(2, 2**32 - 1),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_a_wire_error_and_the_end(lie):
    parser = Parser()
    with pytest.raises(WireError):
        parser.feed(LIES[lie])
    with pytest.raises(WireError, match="already failed"):
        parser.feed(pack({}))


def test_memory_is_taken_for_what_arrives_not_for_what_is_announced():
    size = wire.LARGEST_BODY
    header = raw({"message": {}, "tensors": [["a", "uint8", [size]]]})[LENGTHS.size :]
    parser = Parser()
    tracemalloc.start()
    try:
        assert parser.feed(LENGTHS.pack(len(header), size) + header + b"1" * 1000) == []
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The frame with a few bytes changed, taken out, put in, cut off, or moved."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(changed) + 1)
        match dice.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                del changed[at : at + dice.randint(1, 9)]
            case 2:
                changed[at:at] = dice.randbytes(dice.randint(1, 9))
            case 3:
                changed = changed[:at] or changed
            case _:
                changed[at:at] = changed[: dice.randint(1, 40)]
    return bytes(changed)


VALUES = (None, True, -1, 0, 1.5, 2**70, "", "done", "request", [], [1], [None], {}, {"a": 1})


def altered(data: bytes, dice: random.Random) -> bytes:
    """A frame whose lengths are true, with a few fields of its message replaced or taken out."""
    length, _ = LENGTHS.unpack_from(data)
    header = json.loads(data[LENGTHS.size : LENGTHS.size + length])
    part = dice.choice((header["message"], header["message"], header))
    for _ in range(dice.randint(1, 2)):
        name = dice.choice([*part, "foreign"])
        if dice.random() < 0.2:
            part.pop(name, None)
        else:
            part[name] = dice.choice(VALUES)
    return raw(header, data[LENGTHS.size + length :])


def test_ten_thousand_random_and_mutated_messages():
    """Each is a message as it should be, an incomplete one, or one of two typed errors."""
    dice = random.Random(0)
    request = Request(model="m", seeds=(1, 2), condition={"x": torch.zeros(2, 3)}, prompt=(1, 2))
    good = [pack(*write_event(event)) for event in EVENTS] + [pack(*write_request(request))]
    seen = {"frames": 0, "wire": 0, "input": 0, "open": 0}
    for turn in range(10_000):
        noise = dice.randbytes(dice.randint(0, 200))
        data = (
            noise,
            LENGTHS.pack(dice.randint(0, 99), dice.randint(0, 99)) + noise,
            mutated(dice.choice(good), dice),
            altered(dice.choice(good), dice),
        )[turn % 4]
        try:
            frames = Parser().feed(data)
            for frame in frames:
                (read_request if frame[0].get("kind") == "request" else read_event)(*frame)
            seen["frames" if frames else "open"] += 1
        except WireError:
            seen["wire"] += 1
        except BadInput:
            seen["input"] += 1
    assert sum(seen.values()) == 10_000
    assert min(seen.values()) > 20, seen


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_come_out_as_they_went_in(event):
    ((message, tensors),) = Parser().feed(pack(*write_event(event)))
    again = read_event(message, tensors)
    assert type(again) is type(event)
    for name, value in vars(event).items():
        other = getattr(again, name)
        assert torch.equal(other, value) if isinstance(value, torch.Tensor) else other == value


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ({"kind": "dnoe", "id": "a"}, "did you mean 'done'"),
        ({"kind": ["done"]}, "no event"),
        ({"kind": "accepted"}, "has the fields id"),
        ({"kind": "accepted", "id": "a", "x": 1}, "has the fields id"),
        ({"kind": "accepted", "id": 3}, "is not"),
        ({"kind": "done", "id": "a", "items": [1], "records": []}, "items"),
    ],
)
def test_an_event_has_its_fields_and_no_others(message, hint):
    with pytest.raises(WireError, match=hint):
        read_event(message, {})


def test_a_request_comes_out_as_it_went_in():
    request = Request(
        model="m",
        seeds=(3, 2**63 - 1),
        label=("a", 1),
        condition={"x": torch.zeros(2, 3)},
        options={"steps": 3, "solver": "heun"},
        prompt=(1, 2),
        previews=2,
        tokens=True,
        most=4,
        stop=((1, 2), (3,)),
        logprobs=2,
        scored=True,
        source=torch.zeros(1, 1, 4, 4, dtype=torch.uint8),
        mask=torch.eye(4)[None].bool(),
        strength=0.5,
    )
    ((message, tensors),) = Parser().feed(pack(*write_request(request)))
    again = read_request(message, tensors)
    for name, value in vars(request).items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == getattr(again, name).dtype
            assert torch.equal(getattr(again, name), value)
        elif name != "condition":
            assert getattr(again, name) == value
    assert torch.equal(again.condition["x"], request.condition["x"])
    with pytest.raises(WireError, match="not a request"):
        read_request({**message, "code": "1"}, tensors)
    with pytest.raises(WireError, match="not a request"):
        read_request(message, {**tensors, "weights": torch.zeros(1)})
    wish = Encode(model="m", items=torch.arange(6).view(2, 3))
    ((message, tensors),) = Parser().feed(pack(*write_request(wish)))
    again = read_request(message, tensors)
    assert isinstance(again, Encode) and (again.id, again.model) == (wish.id, "m")
    assert torch.equal(again.items, wish.items)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seeds": ()},
        {"seeds": (-1,)},
        {"seeds": (2**63,)},
        {"seeds": (True,)},
        {"seeds": (1.0,)},
        {"prompt": ("a",)},
        {"label": 1.5},
        {"label": (1, None, [])},
        {"previews": -1},
        {"previews": True},
        {"tokens": 1},
        {"options": (1,)},
        {"model": 3},
    ],
)
def test_a_request_of_wrong_values_is_not_made(wrong):
    with pytest.raises(BadInput):
        Request(**{"model": "m", "seeds": (0,), **wrong})
