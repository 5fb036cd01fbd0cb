"""Weight-only int8 for decoding: a matrix is read in a quarter of the bytes.

Each output has a scale, the largest of its weights over 127 (Dettmers et al., 2022,
arXiv:2208.07339, section 2.1, for weights alone), and inputs are bfloat16. A step of one row does
little but read weights, so that bytes are what counts: on one core (AVX-512) a step of one row
was 1.9 times as fast at a width of 384, 1.8 times at 512, 1.5 times at 256 and 1.4 times at 128. It
changes the texts a little, and not with the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.errors import BadInput
from genloom.nets.transformer import Transformer
from genloom.nets.transformer_block import Block

LANE = 16  # inputs that the kernel reads at once; it has no way with a rest
LEAST = 2**16  # numbers of a matrix; smaller ones are read from a cache anyhow


@final
class Packed:
    """A matrix, or a stack of some, that takes a weight's place in `torch.nn.functional.linear`.

    Args:
        weight: (..., outputs, inputs); the inputs are a multiple of LANE.
    """

    def __init__(self, weight: Tensor):
        assert weight.shape[-1] % LANE == 0, weight.shape
        rows = weight.flatten(0, -2)
        scale = rows.abs().amax(1).clamp(min=torch.finfo(rows.dtype).tiny) / 127
        self.scale = scale.bfloat16()
        self.rows = (rows / self.scale[:, None].float()).round().clamp(-127, 127).to(torch.int8)
        self.matrices = len(weight)

    def __len__(self) -> int:
        return self.matrices

    def flatten(self, *_: int) -> Packed:
        """All matrices of the stack as one."""
        return self

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), more: Mapping | None = None
    ) -> Tensor:
        assert function is F.linear, function
        x, packed = args[:2]
        flat = x.flatten(0, -2).bfloat16()
        y = torch._weight_int8pack_mm(flat, packed.rows, packed.scale)
        y = y.to(x.dtype).unflatten(0, x.shape[:-1])
        bias = args[2] if len(args) > 2 else (more or {}).get("bias")
        return y if bias is None else y + bias


def packs(net: Any) -> bool:
    """Whether `pack` takes a net."""
    return isinstance(net, Transformer) and net.embed.weight.device.type == "cpu"


def packed(net: nn.Module) -> list[Packed]:
    """The matrices of a net, or of a model with one, that were packed."""
    return [v for module in net.modules() for v in vars(module).values() if isinstance(v, Packed)]


@torch.no_grad()
def pack(net: nn.Module) -> None:
    """Pack the large matrices of a net, which is for sampling alone from then on.

    Raises:
        BadInput: It is not a transformer on a CPU.
    """
    if not packs(net):
        raise BadInput("int8 is for the transformer, on a CPU: leave it out.")
    for module in net.modules():
        if isinstance(module, nn.Linear | Block):
            for name, weight in list(module.named_parameters(recurse=False)):
                if weight.numel() >= LEAST and weight.shape[-1] % LANE == 0:
                    delattr(module, name)
                    setattr(module, name, Packed(weight))
