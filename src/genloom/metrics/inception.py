"""The Inception-v3 network of FID and IS, for weights that the user supplies as safetensors.

Szegedy et al. 2016 (arXiv:1512.00567), as the 2015-12-05 graph has it: 1008 classes, average pools
that do not count their padding, and a maximum pool in the last block. Parameters are named as in
the file pt_inception-2015-12-05 that PyTorch toolkits use. The names FID and IS are used with these
features only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from genloom.core import Items
from genloom.errors import BadInput
from genloom.metrics.extractor import Extractor

SIDE = 299
DIMS = 2048
Kernel = int | tuple[int, int]
Conv = tuple[int, int, Kernel, int]  # channels before and after, kernel, stride
Link = str | tuple[str, str]  # a convolution, a pool, or two convolutions side by side


class Unit(nn.Module):
    """Convolution, batch norm, ReLU; stride 2 without padding, stride 1 to the same size."""

    def __init__(self, before: int, after: int, kernel: Kernel, stride: int = 1, pad: bool = True):
        super().__init__()
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        inside = pad and stride == 1
        padding = (size[0] // 2, size[1] // 2) if inside else (0, 0)
        self.conv = nn.Conv2d(before, after, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, H, W) -> (n, after, H', W')."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Chains of units and pools side by side, joined along the channels."""

    def __init__(self, units: Mapping[str, Conv], chains: tuple[tuple[Link, ...], ...]):
        super().__init__()
        for name, (before, after, kernel, stride) in units.items():
            self.add_module(name, Unit(before, after, kernel, stride))
        self.chains = chains

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, H, W) -> (n, sum of the chains' channels, H', W')."""
        return torch.cat([self._follow(x, chain) for chain in self.chains], 1)

    def _follow(self, x: Tensor, chain: tuple[Link, ...]) -> Tensor:
        for link in chain:
            if isinstance(link, tuple):
                x = torch.cat([self.get_submodule(name)(x) for name in link], 1)
            elif link == "mean":
                x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            elif link == "max":
                x = F.max_pool2d(x, 3, 1, 1)
            elif link == "halve":
                x = F.max_pool2d(x, 3, 2)
            else:
                x = self.get_submodule(link)(x)
        return x


def _a(before: int, pool: int) -> Mixed:
    units: dict[str, Conv] = {
        "branch1x1": (before, 64, 1, 1),
        "branch5x5_1": (before, 48, 1, 1),
        "branch5x5_2": (48, 64, 5, 1),
        "branch3x3dbl_1": (before, 64, 1, 1),
        "branch3x3dbl_2": (64, 96, 3, 1),
        "branch3x3dbl_3": (96, 96, 3, 1),
        "branch_pool": (before, pool, 1, 1),
    }
    five = ("branch5x5_1", "branch5x5_2")
    three = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return Mixed(units, (("branch1x1",), five, three, ("mean", "branch_pool")))


def _b(before: int) -> Mixed:
    units: dict[str, Conv] = {
        "branch3x3": (before, 384, 3, 2),
        "branch3x3dbl_1": (before, 64, 1, 1),
        "branch3x3dbl_2": (64, 96, 3, 1),
        "branch3x3dbl_3": (96, 96, 3, 2),
    }
    three = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return Mixed(units, (("branch3x3",), three, ("halve",)))


def _c(before: int, width: int) -> Mixed:
    across, down = (1, 7), (7, 1)
    units: dict[str, Conv] = {
        "branch1x1": (before, 192, 1, 1),
        "branch7x7_1": (before, width, 1, 1),
        "branch7x7_2": (width, width, across, 1),
        "branch7x7_3": (width, 192, down, 1),
        "branch7x7dbl_1": (before, width, 1, 1),
        "branch7x7dbl_2": (width, width, down, 1),
        "branch7x7dbl_3": (width, width, across, 1),
        "branch7x7dbl_4": (width, width, down, 1),
        "branch7x7dbl_5": (width, 192, across, 1),
        "branch_pool": (before, 192, 1, 1),
    }
    seven = tuple(f"branch7x7_{i}" for i in (1, 2, 3))
    double = tuple(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5))
    return Mixed(units, (("branch1x1",), seven, double, ("mean", "branch_pool")))


def _d(before: int) -> Mixed:
    units: dict[str, Conv] = {
        "branch3x3_1": (before, 192, 1, 1),
        "branch3x3_2": (192, 320, 3, 2),
        "branch7x7x3_1": (before, 192, 1, 1),
        "branch7x7x3_2": (192, 192, (1, 7), 1),
        "branch7x7x3_3": (192, 192, (7, 1), 1),
        "branch7x7x3_4": (192, 192, 3, 2),
    }
    seven = tuple(f"branch7x7x3_{i}" for i in (1, 2, 3, 4))
    return Mixed(units, (("branch3x3_1", "branch3x3_2"), seven, ("halve",)))


def _e(before: int, pool: str) -> Mixed:
    units: dict[str, Conv] = {
        "branch1x1": (before, 320, 1, 1),
        "branch3x3_1": (before, 384, 1, 1),
        "branch3x3_2a": (384, 384, (1, 3), 1),
        "branch3x3_2b": (384, 384, (3, 1), 1),
        "branch3x3dbl_1": (before, 448, 1, 1),
        "branch3x3dbl_2": (448, 384, 3, 1),
        "branch3x3dbl_3a": (384, 384, (1, 3), 1),
        "branch3x3dbl_3b": (384, 384, (3, 1), 1),
        "branch_pool": (before, 192, 1, 1),
    }
    three = ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b"))
    double = ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b"))
    return Mixed(units, (("branch1x1",), three, double, (pool, "branch_pool")))


class Inception(nn.Module):
    """uint8 images to 2048 features; `fc` gives 1008 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, pad=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _a(192, 32), _a(256, 64), _a(288, 64)
        self.Mixed_6a = _b(288)
        self.Mixed_6b, self.Mixed_6c = _c(768, 128), _c(768, 160)
        self.Mixed_6d, self.Mixed_6e = _c(768, 160), _c(768, 192)
        self.Mixed_7a = _d(768)
        self.Mixed_7b, self.Mixed_7c = _e(1280, "mean"), _e(2048, "max")
        self.fc = nn.Linear(DIMS, 1008)

    def forward(self, items: Tensor) -> Tensor:
        """uint8 images (n, 1 or 3, H, W) -> features, (n, 2048)."""
        x = self._resized(items)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean((2, 3))

    def logits(self, items: Tensor) -> Tensor:
        """Without the bias, as the first code of the score had it: (n, 1008)."""
        return self(items) @ self.fc.weight.T

    def _resized(self, items: Tensor) -> Tensor:
        """To 299 pixels a side, antialiased (Parmar et al. 2022, arXiv:2104.11222), in [-1, 1]."""
        x = items.float()
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        x = F.interpolate(x, size=(SIDE, SIDE), mode="bicubic", antialias=True)
        return x.clamp(0, 255).round() / 127.5 - 1


def load(path: str | Path, items: Items) -> Extractor:
    """The extractor of FID and IS from a user's safetensors file.

    Args:
        path: Weights named as in pt_inception-2015-12-05.
        items: What the data set stores; images of one or three channels.

    Raises:
        BadInput: Another file format, other names or shapes, or items that are not such images.
    """
    path = Path(path)
    if items.kind != "image" or items.shape[0] not in (1, 3):
        raise BadInput(f"Inception looks at grey or RGB images, not {items.kind} {items.shape}.")
    if not path.is_file():
        raise BadInput(f"{path} does not exist. Give a safetensors file of Inception weights.")
    try:
        weights = load_file(str(path))
    except SafetensorError as error:
        raise BadInput(f"{path} is not safetensors ({error}). No other form is read.") from error
    net = Inception()
    known = {k: v.shape for k, v in net.state_dict().items() if "num_batches" not in k}
    wrong = sorted(k for k in known if k not in weights or weights[k].shape != known[k])
    if wrong:
        raise BadInput(
            f"{path} lacks {len(wrong)} of {len(known)} Inception weights, or has them in another "
            f"shape; the first is {wrong[0]}. Names must be those of pt_inception-2015-12-05."
        )
    net.load_state_dict({k: v.float() for k, v in weights.items() if k in known}, strict=False)
    net.eval().requires_grad_(False)
    content = b"".join(weights[k].float().contiguous().numpy().tobytes() for k in sorted(known))
    return Extractor(
        "inception",
        hashlib.sha256(content).hexdigest()[:12],
        items,
        DIMS,
        net,
        f"uint8; antialiased bicubic to {SIDE}",
        str(path.name),
        logits=net.logits,
    )
