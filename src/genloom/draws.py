"""Where randomness comes from: one stream per sample, and training noise by rows of the batch.

Sample i depends on its own seed, whatever it is drawn beside; a row of a batch sees the same noise
in whichever micro-batch or process it comes to stand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor


def like(v: Tensor, x: Tensor) -> Tensor:
    """Give a (B,) tensor as many axes as x, to multiply with it."""
    return v.view(-1, *(1,) * (x.ndim - 1))


class Rng:
    """One stream of random numbers per sample, so that sample i depends on seed i alone.

    Numbers are drawn on the CPU and then moved: the device does not change them.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.streams = [torch.Generator().manual_seed(int(seed)) for seed in seeds]

    def __len__(self) -> int:
        return len(self.streams)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, (len(self), *shape)."""
        draws = torch.empty(len(self), *shape)
        for row, stream in zip(draws, self.streams):
            row.normal_(generator=stream)
        return draws.to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), float64, (len(self), *shape)."""
        draws = [torch.rand(shape, generator=s, dtype=torch.float64) for s in self.streams]
        return torch.stack(draws).to(self.device)

    def categorical(self, logits: Tensor) -> Tensor:
        """Draw from (len(self), V) logits by the inverse distribution function, in float64."""
        cdf = logits.double().softmax(-1).cumsum(-1)
        u = self.uniform(1) * cdf[:, -1:]
        return (cdf <= u).sum(-1).clamp(max=logits.shape[-1] - 1)


class Walk(Rng):
    """Streams on the way from one seed to another; at 0 and 1 they are those of the two seeds.

    Normal numbers are mixed on the circle, a cos + b sin, and stay standard normal; uniform ones
    are mixed as the normal numbers of the same ranks. So near places give near numbers, whatever a
    model makes of them.

    Args:
        seeds: Where each sample's walk starts.
        toward: Where it leads.
        mix: How far each sample is, in [0, 1].
        device: As for `Rng`.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        toward: Sequence[int],
        mix: Sequence[float],
        device: torch.device | str = "cpu",
    ):
        super().__init__(seeds, device)
        self.others = Rng(toward, device)
        self.mix = torch.tensor(mix, dtype=torch.float64)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, (len(self), *shape)."""
        return self._between(super().normal(*shape), self.others.normal(*shape))

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), float64, (len(self), *shape)."""
        a, b = super().uniform(*shape), self.others.uniform(*shape)
        tiny = 2**-53  # the normal numbers of 0 and 1 are infinite
        ranked = [(2 * u.clamp(tiny, 1 - tiny) - 1).erfinv() for u in (a, b)]
        u = (1 + self._between(*ranked).erf()).div(2).clamp(max=1 - tiny)
        mix = like(self.mix, u).to(u)
        return torch.where(mix == 0, a, torch.where(mix == 1, b, u))

    def _between(self, a: Tensor, b: Tensor) -> Tensor:
        angle = like(self.mix.to(self.device) * (torch.pi / 2), a)
        mixed = (a * angle.cos() + b * angle.sin()).to(a.dtype)
        return torch.where(angle == 0, a, torch.where(angle == torch.pi / 2, b, mixed))


_rows: ContextVar[tuple[int, int] | None] = ContextVar("rows", default=None)


@contextmanager
def rows(start: int, total: int) -> Generator[None]:
    """Within this, draws are rows start... of those of a batch of `total`.

    So micro-batches and ranks see the very noise that the whole batch would have seen.
    """
    token = _rows.set((start, total))
    try:
        yield
    finally:
        _rows.reset(token)


def _draw(make: Callable[..., Tensor], shape: Sequence[int], device: torch.device) -> Tensor:
    part = _rows.get()
    if part is None or part[1] == shape[0]:
        return make(tuple(shape), device=device)
    start, total = part
    return make((total, *shape[1:]), device=device)[start : start + shape[0]]


def normal_like(x: Tensor) -> Tensor:
    """Standard normal noise of x's shape, for training: independent for each row of the batch."""
    return _draw(torch.randn, x.shape, x.device).to(x.dtype)


def normal(n: int, *shape: int, device: torch.device) -> Tensor:
    """Standard normal noise, (n, *shape), for training."""
    return _draw(torch.randn, (n, *shape), device)


def uniform(n: int, *shape: int, device: torch.device) -> Tensor:
    """Uniform draws in [0, 1), (n, *shape), for training."""
    return _draw(torch.rand, (n, *shape), device)


def stratified(n: int, *, device: torch.device) -> Tensor:
    """One uniform draw in each n-th of [0, 1), shuffled: (n,); a loss over it varies less."""
    start, total = _rows.get() or (0, n)
    u = (torch.arange(total, device=device) + torch.rand(total, device=device)) / total
    return u[torch.randperm(total, device=device)][start : start + n]
