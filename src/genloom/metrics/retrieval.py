"""Retrieval: is a picture's own caption the one that fits it best, among a hundred?

The judge is a contrastive pair of small nets (Radford et al., 2021, arXiv:2103.00020, Fig. 3; its
loss is that of van den Oord et al., 2018, arXiv:1807.03748, Eq. 4), trained on the training split
alone, stored and hashed like the other extractors. The measure is the R-precision of Xu et al.,
2017 (arXiv:1711.10485), section 4.1: the true caption against 99 others.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from genloom.core import Items
from genloom.data.augment import Augment
from genloom.errors import BadInput, Refused
from genloom.metrics.encoder import LARGEST, budget, look
from genloom.metrics.estimate import Estimate, enough, wilson
from genloom.metrics.extractor import BATCH, folder

VERSION = 1  # of the design: another one is another judge
SEED = 5
FEATURES = 64
AMONG = 100  # captions, the true one included
LEAST = 30  # pictures
STEP = 128  # pairs of a training step
FIRM = 2  # times the passes that an encoder gets


class Pairs(Protocol):
    """A split of pictures with captions, as far as the judge needs it."""

    @property
    def fingerprint(self) -> str:
        """sha256 of the values."""
        ...

    def __len__(self) -> int: ...

    def batch(
        self, position: int, size: int, seed: int
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Items, conditions with "caption" (size, L), and ids, in an endless order."""
        ...


@final
class Dual(nn.Module):
    """Pictures and captions to unit vectors of one space.

    Args:
        shape: Of a picture, (C, H, W).
        vocab: Of a caption's numbers; 0 fills up.
        width: Of the first layer.
    """

    def __init__(self, shape: tuple[int, ...], vocab: int, width: int = 32):
        super().__init__()
        channels, height, width_px = shape
        self.stride = 4 if max(height, width_px) > 32 else 2 if max(height, width_px) > 12 else 1
        layers: list[nn.Module] = []
        sizes = (channels, width, 2 * width, 4 * width)
        strides = (self.stride, 2, 2)
        for i, (before, after, stride) in enumerate(zip(sizes, sizes[1:], strides, strict=False)):
            conv = nn.Conv2d(before, after, 5 if i == 0 else 3, stride, 2 if i == 0 else 1)
            layers += [conv, nn.BatchNorm2d(after), nn.GELU()]
        self.picture = nn.Sequential(*layers)
        self.picture_head = nn.Linear(8 * width, FEATURES)
        self.letters = nn.Embedding(vocab, 2 * width, padding_idx=0)
        self.words = nn.ModuleList(
            nn.Conv1d(before, 4 * width, 5, padding=2) for before in (2 * width, 4 * width)
        )
        self.caption_head = nn.Linear(8 * width, FEATURES)
        self.sharpness = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def pictures(self, items: Tensor) -> Tensor:
        """uint8 (n, C, H, W) -> (n, 64)."""
        x = self.picture(look(items))
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return F.normalize(self.picture_head(pooled), dim=1)

    def captions(self, ids: Tensor) -> Tensor:
        """Integers (n, L) -> (n, 64); nothing of what fills up is seen."""
        text = (ids > 0).unsqueeze(1)  # (n, 1, L)
        x = self.letters(ids.clamp(min=0)).transpose(1, 2) * text
        for word in self.words:
            x = F.gelu(word(x)) * text
        count = text.sum(2).clamp(min=1)
        pooled = torch.cat([x.sum(2) / count, x.amax(2)], 1)
        return F.normalize(self.caption_head(pooled), dim=1)

    def loss(self, items: Tensor, ids: Tensor) -> Tensor:
        """Cross-entropy of the true partner, both ways; pairs that share their caption are none."""
        logits = self.pictures(items) @ self.captions(ids).T * self.sharpness.exp().clamp(max=100)
        same = (ids[:, None] == ids[None]).all(-1) & ~torch.eye(len(ids), dtype=torch.bool)
        logits = logits.masked_fill(same, -torch.inf)
        own = torch.arange(len(ids))
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


@dataclass(frozen=True)
class Matcher:
    """Says how well pictures and captions fit.

    Args:
        hash: Of its weights and design, 12 hexadecimal digits.
        net: In evaluation mode.
        seconds: Its training took.
    """

    hash: str
    net: Dual
    seconds: float = 0.0

    @property
    def id(self) -> str:
        """What a number of this judge is called."""
        return f"matcher@{self.hash}; 1 of {AMONG}; uint8, area to at most {LARGEST}"

    def scores(self, items: Tensor, ids: Tensor) -> Tensor:
        """Cosines: pictures (n, C, H, W), captions (m, L) -> (n, m)."""
        return _each(self.net.pictures, items) @ _each(self.net.captions, ids).T


@torch.inference_mode()
def _each(compute: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    return torch.cat([compute(part) for part in rows.split(BATCH)])


def matcher(items: Items, train: Pairs, *, cache: Path | None = None) -> Matcher:
    """The judge of a data set, from the cache or trained now.

    Args:
        items: What the data set stores: pictures with captions.
        train: Its training split.
        cache: Folder of stored extractors; that of `extractor` where it is left out.

    Raises:
        BadInput: There are no captions, or no pictures.
    """
    if items.kind != "image" or items.caption is None:
        raise BadInput("retrieval needs pictures with captions: set data.captions=true.")
    told = f"{items.shape} {items.caption}"  # the same data may be read with other captions
    mark = hashlib.sha256(f"{train.fingerprint} {told}".encode()).hexdigest()[:24]
    path = (cache or folder()) / f"matcher{VERSION}-{mark}.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        net = Dual(items.shape, items.caption.space.vocab)
        seconds = _read(path, net)
        if seconds is None:
            start = time.monotonic()
            _fit(net, items, train)
            seconds = time.monotonic() - start
            _write(path, net, {"seconds": seconds, "trained_on": train.fingerprint})
    net.eval().requires_grad_(False)
    flat = torch.cat([value.flatten().double() for value in net.state_dict().values()])
    content = flat.numpy().tobytes() + f"matcher{VERSION}".encode()
    return Matcher(hashlib.sha256(content).hexdigest()[:12], net, seconds)


def _fit(net: Dual, items: Items, train: Pairs) -> None:
    """AdamW, one cycle of the rate; pictures are moved a little."""
    size = min(STEP, len(train))
    steps = max(1, FIRM * budget(items.shape, len(train)) // size)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps + 1)
    move = Augment(shift=max(1, min(items.shape[1:]) // 16))
    net.train()
    for step in range(steps):
        pictures, cond, _ = train.batch(step, size, SEED)
        told = (cond["caption"] > 0).any(1)
        if int(told.sum()) < 2:
            continue
        loss = net.loss(move(pictures)[told], cond["caption"][told])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()


def _read(path: Path, net: nn.Module) -> float | None:
    """Fill a net from a stored file; the seconds of its training, or None where it does not fit."""
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            note = json.loads((file.metadata() or {}).get("genloom", "{}"))
            net.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except (SafetensorError, RuntimeError, ValueError):
        return None  # cut short: train again
    return float(note.get("seconds", 0.0))


def _write(path: Path, net: nn.Module, note: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.part")
    weights = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(weights, str(aside), {"genloom": json.dumps(note)})
    aside.replace(path)


def retrieval(
    judge: Matcher, items: Tensor, captions: Tensor, real: Tensor, *, seed: int = 0
) -> list[Estimate]:
    """How often a picture's caption is the best, and among the best five, of 100.

    The other 99 are captions of the other held-out pictures that say something else, drawn by the
    seed for each picture. The floor is the same measure of the real held-out pictures, what a
    perfect model would get; the trivial value is that of chance.

    Args:
        judge: Of the data set.
        items: Samples, uint8 (n, C, H, W).
        captions: What each was asked for, (n, L); rows without text are left out.
        real: The held-out pictures of these captions, (n, C, H, W).
        seed: Of the other captions.

    Raises:
        Refused: Fewer than 30 pictures with a caption, or fewer than 100 different captions.
    """
    told = (captions > 0).any(1)
    items, captions, real = items[told], captions[told], real[told]
    n = len(items)
    enough("retrieval", n, LEAST)
    pool, own = torch.unique(captions, dim=0, return_inverse=True)
    if len(pool) < AMONG:
        raise Refused(
            f"retrieval needs {AMONG} different captions, the held-out part has {len(pool)}."
        )
    others = _others(own, len(pool), seed)
    made, floor = (_rank(judge.scores(pictures, pool), own, others) for pictures in (items, real))
    found: list[Estimate] = []
    for best in (1, 5):
        right = int((made < best).sum())
        low, high = wilson(right, n)
        floor_value = float((floor < best).double().mean())
        found.append(
            Estimate(
                f"retrieval@{best}", right / n, low, high, n, judge.id, "higher",
                floor=floor_value, floor_n=n, trivial=best / AMONG,
            )
        )  # fmt: skip
    return found


def _others(own: Tensor, pool: int, seed: int) -> Tensor:
    """99 captions for each picture, not its own: (n, 99), indices of the pool."""
    stream = torch.Generator().manual_seed(seed)
    chosen = torch.stack([torch.randperm(pool - 1, generator=stream)[: AMONG - 1] for _ in own])
    return chosen + (chosen >= own[:, None])  # step over the own one


def _rank(scores: Tensor, own: Tensor, others: Tensor) -> Tensor:
    """How many of the others fit at least as well as the own caption: (n,)."""
    return (~(scores.gather(1, others) < scores.gather(1, own[:, None]))).sum(1)  # also NaN
