"""Weights of a net that is read and not trained, laid out for whoever reads them.

A step of a decoder multiplies a few rows by large matrices. The general kernel of a CPU lays a
matrix out anew at each product, which costs more than the product of so few rows: with blocks that
oneDNN lays out once a product of 4 to 16 rows is about twice as fast, and each row comes out the
same, bit for bit, in any company. See docs/decisions/0011-packed-weights.md.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from genloom.nets.transformer_block import Block

BLOCK = 4  # rows that the kernels of a CPU sum in one and the same way, wherever they lie
LEAST = 2**16  # numbers of a matrix; smaller ones are read from a cache anyhow
LANE = 16  # inputs that kernels read at once; that of int8 has no way with a rest
ROWS = 16  # of an input that blocks are chosen for; they serve any number

Place = tuple[nn.Module, str, Tensor]
"""The owner of a matrix, its name there, and itself."""


class Packed(ABC):
    """A matrix, or a stack of some, that takes a weight's place in `torch.nn.functional.linear`.

    Args:
        weight: (..., outputs, inputs).

    Attributes:
        nbytes: Of what is held.
    """

    nbytes: int

    def __init__(self, weight: Tensor):
        self.matrices = len(weight)

    def __len__(self) -> int:
        return self.matrices

    def flatten(self, *_: int) -> Self:
        """All matrices of the stack as one."""
        return self

    @abstractmethod
    def product(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(..., inputs) -> (..., outputs); no gradient is recorded."""

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), more: Mapping | None = None
    ) -> Tensor:
        assert function is F.linear and not torch.is_grad_enabled(), function
        bias = args[2] if len(args) > 2 else (more or {}).get("bias")
        return args[1].product(args[0], bias)


@final
class Blocked(Packed):
    """The same numbers in the blocks that a CPU's kernel reads.

    Args:
        weight: float32 (..., outputs, inputs) on a CPU.
    """

    def __init__(self, weight: Tensor):
        super().__init__(weight)
        rows = weight.detach().flatten(0, -2).contiguous()
        self.readers = 0  # see `Blocks`
        self.held, self.nbytes = torch.ops.mkldnn._reorder_linear_weight(rows, ROWS), rows.nbytes

    def product(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """See `Packed`; few rows are computed as those of a block are, and so by the same sums."""
        x = x.float()  # autocast may have made it something else
        if x.shape[:-1].numel() < BLOCK:
            return self._product(torch.cat([x] * BLOCK, -2), bias)[..., : x.shape[-2], :]
        return self._product(x, bias)

    def _product(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.held, bias, "none", [], "")


def large(net: nn.Module) -> Iterator[Place]:
    """The matrices that it pays to pack."""
    for module in net.modules():
        if isinstance(module, Block) or type(module) is nn.Linear:
            for name, weight in module.named_parameters(recurse=False):
                whole = weight.ndim > 1 and weight.shape[-1] % LANE == 0
                if whole and weight.numel() >= LEAST:
                    yield module, name, weight


def packed(net: nn.Module) -> list[Packed]:
    """The matrices of a net, or of a model with one, that are packed."""
    return [v for module in net.modules() for v in vars(module).values() if isinstance(v, Packed)]


def replace(places: Iterable[Place], make: Callable[[Tensor], Packed]) -> None:
    """Pack matrices of a net for good: it is for reading alone from then on."""
    for module, name, weight in list(places):
        delattr(module, name)
        setattr(module, name, make(weight))


def block(net: nn.Module) -> None:
    """Pack the large matrices of a net in blocks for good, where a kernel reads these."""
    replace(_fit(net), Blocked)


@final
class Blocks:
    """The large matrices of a net in blocks, which stand in their place within this context.

    They are laid out when this is made, unless they were before and have not changed since. The
    net's own weights stay as they are. Elsewhere than on a CPU with float32 it does nothing. Of
    several such contexts of one net, nested or in threads, the last to end puts its weights back.

    Args:
        net: Of any kind; `large` says which of its matrices are read so.
    """

    def __init__(self, net: Any):
        self._places: list[tuple[dict[str, Any], str, Blocked]] = [
            (vars(module), name, _blocked(weight)) for module, name, weight in _fit(net)
        ]

    def __enter__(self) -> None:
        with _turns:
            for place, name, blocked in self._places:
                blocked.readers += 1
                place[name] = blocked

    def __exit__(self, *_: object) -> None:
        with _turns:
            for place, name, blocked in self._places:
                blocked.readers -= 1
                if not blocked.readers:
                    place.pop(name, None)


_turns = threading.Lock()
_known = WeakIdKeyDictionary()
"""Parameter -> its version and its blocks then."""


def _blocked(weight: Tensor) -> Blocked:
    if weight.is_inference():  # it may change and has no versions
        return Blocked(weight)
    with _turns:
        known = _known.get(weight)
        if known is None or known[0] != weight._version:
            known = _known[weight] = weight._version, Blocked(weight)
        return known[1]


def _fit(net: nn.Module) -> Iterator[Place]:
    """The large matrices that a kernel reads in blocks."""
    if torch.backends.mkldnn.is_available():
        for place in large(net):
            if place[2].device.type == "cpu" and place[2].dtype == torch.float32:
                yield place
