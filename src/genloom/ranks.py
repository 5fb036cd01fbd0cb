"""Several processes as one: who am I, average the gradients, wait for each other (`torchrun`)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def join() -> tuple[int, int]:
    """Join the processes that torchrun started; (rank, how many), (0, 1) without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


def add(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over the processes, in one message."""
    if not (dist.is_initialized() and dist.get_world_size() > 1) or not tensors:
        return
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    start = 0
    for t in tensors:
        t.copy_(flat[start : start + t.numel()].view_as(t))
        start += t.numel()


def share(value: float) -> float:
    """The first process's number, on every process: where clocks would disagree."""
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return value
    box = torch.tensor([value], dtype=torch.float64)
    if dist.get_backend() == "nccl":
        box = box.cuda()
    dist.broadcast(box, 0)
    return float(box)


def wait() -> None:
    """Go on when every process has come here."""
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.barrier()
