"""Small networks that look at images for the verdict: an encoder for features, a judge for labels.

Both are trained on the training split alone, with fixed seeds and a fixed number of steps. The
encoder's 64 features must serve to rebuild the picture and, where there are labels, to name its
class: so they react to blur, to noise and to missing classes alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LARGEST = 64  # pixels a side that the networks see
TARGET = 32  # pixels a side that the features must rebuild
FEATURES = 64


def look(items: Tensor) -> Tensor:
    """uint8 images (n, C, H, W) as a network sees them: at most 64 pixels a side, in [-1, 1]."""
    x = items.float() / 127.5 - 1
    return _shrink(x, LARGEST)


def _shrink(x: Tensor, side: int) -> Tensor:
    height, width = x.shape[-2:]
    if max(height, width) <= side:
        return x
    scale = side / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return F.interpolate(x, size=size, mode="area")


def _block(before: int, after: int, stride: int, act: type[nn.Module]) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), act())


class Encoder(nn.Module):
    """Images to 64 features, with heads that rebuild and classify. x: (n, C, H, W) from `look`."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 32):
        super().__init__()
        channels, height, width_px = shape
        self.stride = 4 if max(height, width_px) > 32 else 2
        self.padding = (-width_px % self.stride, -height % self.stride)
        seen = channels * self.stride**2
        self.body = nn.Sequential(
            _block(seen, width, 1, nn.GELU),
            _block(width, 2 * width, 2, nn.GELU),
            _block(2 * width, 4 * width, 2, nn.GELU),
            nn.Flatten(),
        )
        cells = math.prod(math.ceil(math.ceil(s / self.stride) / 4) for s in (height, width_px))
        self.features = nn.Linear(4 * width * cells, FEATURES)
        target = _shrink(torch.zeros(1, *shape), TARGET)
        self.rebuild = nn.Linear(FEATURES, target.numel())
        self.classify = nn.Linear(FEATURES, classes) if classes else None

    def forward(self, x: Tensor) -> Tensor:
        """Features, (n, 64)."""
        x = F.pad(x, (0, self.padding[0], 0, self.padding[1]))
        return self.features(self.body(F.pixel_unshuffle(x, self.stride)))

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """Rebuilding error relative to the data's variance, plus the cross-entropy of the class."""
        found = self(x)
        target = _shrink(x, TARGET).flatten(1)
        error = F.mse_loss(self.rebuild(found), target) / target.var().clamp(min=1e-4)
        if self.classify is None:
            return error
        return error + F.cross_entropy(self.classify(found), labels, ignore_index=-1)


class Judge(nn.Module):
    """Images to logits of their class; another design than any encoder. x: (n, C, H, W)."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 16):
        super().__init__()
        channels, height, width_px = shape
        stride = 4 if max(height, width_px) > 32 else 2 if max(height, width_px) > 12 else 1
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 5, stride, 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _block(width, 2 * width, 1, nn.ReLU),
            _block(2 * width, 4 * width, 2, nn.ReLU),
            _block(4 * width, 4 * width, 2, nn.ReLU),
        )
        self.head = nn.Sequential(nn.Linear(8 * width, 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (n, classes)."""
        x = self.body(x)
        return self.head(torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1))

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the class, a little smoothed."""
        return F.cross_entropy(self(x), labels, label_smoothing=0.05, ignore_index=-1)


class Glance(nn.Module):
    """A judge of anything that has features: a small net on standardised features (n, D)."""

    def __init__(self, dims: int, classes: int, width: int = 64):
        super().__init__()
        self.norm = nn.BatchNorm1d(dims, affine=False)
        self.body = nn.Sequential(
            nn.Linear(dims, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (n, classes)."""
        return self.head(self.body(self.norm(x)))

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the class."""
        return F.cross_entropy(self(x), labels, ignore_index=-1)


def budget(shape: tuple[int, ...], rows: int) -> int:
    """Images to see in training: 30 passes, within 6,000 and 45,000 of 32 x 32 pixels."""
    pixels = math.prod(shape[-2:]) if len(shape) == 3 else 256
    most = int(45_000 * min(1.0, (32 * 32 / pixels)))
    return max(6_000, min(most, 30 * rows))


def fit(
    net: Encoder | Judge | Glance, inputs: Tensor, labels: Tensor, *, seen: int, seed: int
) -> None:
    """Train in place: AdamW, one cycle of the rate, batches of 128; images are shifted a little.

    Args:
        net: What has a `loss(x, labels)`.
        inputs: uint8 images (N, C, H, W), or features (N, D).
        labels: (N,), -1 where there is none.
        seen: Rows to see in all.
        seed: Of the order and the shifts.
    """
    batch = min(128, len(inputs))
    steps = max(1, seen // batch)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + 1)
    generator = torch.Generator().manual_seed(seed)
    image = inputs.dtype == torch.uint8
    net.train()
    for _, rows in zip(range(steps), _orders(len(inputs), batch, generator)):
        x = look(inputs[rows]) if image else inputs[rows].float()
        x = _shift(x, generator) if image else x
        loss = net.loss(x, labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    net.eval().requires_grad_(False)


def _orders(rows: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(rows, generator=generator)
        yield from order[: rows // batch * batch].split(batch)


def _shift(x: Tensor, generator: torch.Generator) -> Tensor:
    """Move a batch by up to a sixteenth of its side; the edge is repeated."""
    most = max(1, min(x.shape[-2:]) // 16)
    dy, dx = (int(torch.randint(0, 2 * most + 1, (), generator=generator)) for _ in range(2))
    padded = F.pad(x, (most, most, most, most), mode="replicate")
    moved = padded[..., dy : dy + x.shape[-2], dx : dx + x.shape[-1]]
    return moved.contiguous(memory_format=torch.channels_last)
