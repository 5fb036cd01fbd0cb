"""The features in which sets are compared: trained on the training split, stored and hashed.

Images get an encoder trained on the spot (`encoder`), or the user's Inception weights; points are
seen as waves of their coordinates; text is counted in hashed runs of characters. A judge, of
another design and seed, names the class of an item. Both take stored items only, so no value range
is ambiguous.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genloom.core import Items
from genloom.data.cache import root
from genloom.errors import BadInput
from genloom.metrics import encoder, text

VERSION = 1  # of the design: another one is another extractor
BATCH = 512
WAVES = 48
SEEDS = {"encoder": 1, "judge": 2, "glance": 3, "waves": 4}


class Rows(Protocol):
    """A split of a data set, as far as a metric needs it."""

    @property
    def items(self) -> Tensor:
        """(N, *shape), as stored."""
        ...

    @property
    def cond(self) -> dict[str, Tensor]:
        """Name -> (N, ...)."""
        ...

    @property
    def fingerprint(self) -> str:
        """sha256 of the values."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Extractor:
    """Items to features (n, dims), float64.

    Args:
        name: "encoder", "waves", "runs" or "inception".
        hash: Of its weights and design, 12 hexadecimal digits.
        items: What it takes.
        dims: Features of an item.
        compute: (n, *shape) -> (n, dims), for up to 512 items.
        how: What happens to an item on the way in.
        trained_on: Fingerprint of the split, or where its weights come from.
        seconds: Its training took, when it was trained.
        logits: (n, *shape) -> class logits, where it is a classifier too.
    """

    name: str
    hash: str
    items: Items
    dims: int
    compute: Callable[[Tensor], Tensor]
    how: str
    trained_on: str = ""
    seconds: float = 0.0
    logits: Callable[[Tensor], Tensor] | None = None

    @property
    def id(self) -> str:
        """What a number in these features is called."""
        return f"{self.name}{self.dims}@{self.hash}; {self.how}; float64"

    def __call__(self, items: Tensor) -> Tensor:
        """Features of stored items, (n, *shape) -> (n, dims).

        Raises:
            BadInput: They are not as stored: of another shape, or images that are not uint8.
        """
        return _each(self.compute, _stored(items, self.items))


@dataclass(frozen=True)
class Judge:
    """Items to class logits, by a net that no model has seen.

    Args:
        hash: Of its weights and design, 12 hexadecimal digits.
        items: What it takes.
        compute: (n, *shape) -> (n, classes).
        seconds: Its training took.
    """

    hash: str
    items: Items
    compute: Callable[[Tensor], Tensor]
    seconds: float = 0.0

    @property
    def id(self) -> str:
        """What a number of this judge is called."""
        return f"judge@{self.hash}"

    def __call__(self, items: Tensor) -> Tensor:
        """Logits of stored items, (n, *shape) -> (n, classes)."""
        return _each(self.compute, _stored(items, self.items))


def _stored(items: Tensor, about: Items) -> Tensor:
    if tuple(items.shape[1:]) != about.shape:
        raise BadInput(f"items of shape {tuple(items.shape[1:])} are not {about.shape}.")
    if about.kind == "image" and items.dtype != torch.uint8:
        raise BadInput(
            f"images are {items.dtype}: is 1.0 white, or nearly black? Give uint8, 0 to 255."
        )
    return items


def _each(compute: Callable[[Tensor], Tensor], items: Tensor) -> Tensor:
    with torch.inference_mode():
        parts = [compute(part).double() for part in items.split(BATCH)]
    return torch.cat(parts).clone()


def folder() -> Path:
    """Where trained extractors are kept, beside the packed data sets."""
    return root() / "extractors"


def extractor(items: Items, train: Rows, *, cache: Path | None = None) -> Extractor:
    """The extractor of a data set, from the cache or trained now.

    Args:
        items: What the data set stores.
        train: Its training split.
        cache: Folder of stored extractors; `folder()` where it is left out.
    """
    if items.kind == "points":
        return _waves(items, train)
    if items.kind == "text":
        mark = _digest(torch.tensor(text.BUCKETS), repr(items.lexicon))
        rows = partial(text.features, end=items.end)
        how = "frequencies of hashed 1-, 2- and 3-character runs"
        return Extractor("runs", mark, items, sum(text.BUCKETS), rows, how)
    classes = len(items.classes) if "label" in train.cond else 0
    net, seconds = _trained(
        "encoder", train, cache, lambda: encoder.Encoder(_image(items), classes)
    )
    head = net.classify
    return Extractor(
        "encoder",
        _digest_of(net, "encoder"),
        items,
        encoder.FEATURES,
        lambda x: net(encoder.look(x)),
        f"uint8; area to at most {encoder.LARGEST}",
        train.fingerprint,
        seconds,
        None if head is None else lambda x: head(net(encoder.look(x))),
    )


def _waves(items: Items, train: Rows) -> Extractor:
    """Standardised coordinates and cosines of them at four scales (Rahimi and Recht 2007).

    Coordinates alone would show a cubic kernel three moments and no modes.
    """
    known, dims = train.items[:100_000].double(), items.shape[0]
    centre, scale = known.mean(0), known.std(0).clamp(min=1e-12)
    generator = torch.Generator().manual_seed(SEEDS["waves"])
    speeds = torch.tensor([1.0, 2.0, 4.0, 8.0]).double().repeat_interleave(WAVES // 4)
    turns = torch.randn(dims, WAVES, generator=generator).double() / dims**0.5 * speeds
    phases = 2 * math.pi * torch.rand(WAVES, generator=generator).double()

    def compute(x: Tensor) -> Tensor:
        z = (x.double() - centre) / scale
        return torch.cat((z, (z @ turns + phases).cos()), 1)

    mark = _digest(torch.cat((centre, scale, turns.flatten(), phases)), "waves")
    how = f"standardised by the training split, and {WAVES} cosines"
    return Extractor("waves", mark, items, dims + WAVES, compute, how, train.fingerprint)


def judge(
    items: Items, train: Rows, features: Extractor, *, cache: Path | None = None
) -> Judge | None:
    """A classifier of the data set's labels; None where it has none.

    Of images it is a net of its own design and seed; of anything else, one on the features.
    """
    classes = len(items.classes)
    if not classes or "label" not in train.cond:
        return None
    if items.kind == "image":
        net, seconds = _trained(
            "judge", train, cache, lambda: encoder.Judge(_image(items), classes)
        )
        return Judge(_digest_of(net, "judge"), items, lambda x: net(encoder.look(x)), seconds)
    seen = features(train.items[:50_000]).float()
    net, seconds = _trained(
        "glance", train, cache, lambda: encoder.Glance(features.dims, classes), seen
    )
    return Judge(
        _digest_of(net, "glance"), items, lambda x: net(features.compute(x).float()), seconds
    )


def _image(items: Items) -> tuple[int, int, int]:
    channels, height, width = items.shape
    return channels, height, width


Net = TypeVar("Net", encoder.Encoder, encoder.Judge, encoder.Glance)


def _trained(
    name: str,
    train: Rows,
    cache: Path | None,
    make: Callable[[], Net],
    inputs: Tensor | None = None,
) -> tuple[Net, float]:
    """A net from the cache, or trained now and stored there; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEEDS[name])
        net = make()
    if train.items.ndim == 4:
        net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    path = (cache or folder()) / f"{name}{VERSION}-{train.fingerprint[:24]}.safetensors"
    stored = _read(path, net)
    if stored is not None:
        return net, stored
    start = time.monotonic()
    labels = train.cond.get("label", torch.full((len(train),), -1))
    inputs = train.items if inputs is None else inputs
    seen = encoder.budget(tuple(train.items.shape[1:]), len(train))
    encoder.fit(net, inputs, labels[: len(inputs)], seen=seen, seed=SEEDS[name])
    seconds = time.monotonic() - start
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.part")
    weights = {key: value.contiguous() for key, value in net.state_dict().items()}
    note = {"seconds": seconds, "trained_on": train.fingerprint, "version": VERSION}
    save_file(weights, str(aside), {"genloom": json.dumps(note)})
    aside.replace(path)
    return net, seconds


def _read(path: Path, net: nn.Module) -> float | None:
    """Fill a net from a stored file; the seconds of its training, or None where it does not fit."""
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            note = json.loads((file.metadata() or {}).get("genloom", "{}"))
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        net.load_state_dict(weights)
    except (SafetensorError, RuntimeError, ValueError):
        return None  # of another shape or cut short: train again
    net.eval().requires_grad_(False)
    return float(note.get("seconds", 0.0))


def _digest_of(net: nn.Module, design: str) -> str:
    flat = torch.cat([value.flatten().double() for value in net.state_dict().values()])
    return _digest(flat, f"{design}{VERSION}")


def _digest(weights: Tensor, design: str) -> str:
    content = weights.contiguous().numpy().tobytes() + design.encode()
    return hashlib.sha256(content).hexdigest()[:12]
