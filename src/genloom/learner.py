"""One step of training, for every family: each player's turn, in the order in which it asks."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genloom import optim, private, ranks
from genloom.checkpoint import Tensors, pack_optimizers, unpack_optimizers
from genloom.core import Condition, Generative, Step, rows
from genloom.errors import Diverged
from genloom.options import TrainOptions
from genloom.pace import average, exponent, rate

STRIDE = 4  # steps from one move of the average to the next, for each reads all weights


@dataclass(frozen=True)
class Micro:
    """A part of a batch: rows start, start + 1, ... of `total`."""

    x: Tensor
    cond: Condition
    start: int
    total: int
    ids: Sequence[int] | Tensor


class Player:
    """The parameters of one submodule and what updates them."""

    def __init__(self, module: nn.Module, options: TrainOptions):
        self.params = [p for p in module.parameters() if p.requires_grad]
        self.optimizers = optim.build(
            module,
            name=options.optimizer,
            lr=options.lr,
            matrix_lr=options.matrix_lr,
            beta1=options.beta1,
            beta2=options.beta2,
            eps=options.eps,
            weight_decay=options.weight_decay,
        )
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimizers]

    def update(
        self, grads: Sequence[Tensor], norm: float, clip: float | None, scale: float
    ) -> None:
        """Clip, step with `scale` times the full rates, and forget the gradients."""
        if clip is not None and norm > clip:
            torch._foreach_mul_(list(grads), clip / (norm + 1e-6))
        for optimizer, full in zip(self.optimizers, self.rates):
            for group, lr in zip(optimizer.param_groups, full):
                group["lr"] = lr * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


class Learner:
    """A model in training: its players, its moving average, and the step that moves both.

    Args:
        model: Left on its device; updated in place.
        options: Of the run.
        total: Steps of the run, from which the schedule follows; a rehearsal stays at its start.
    """

    def __init__(self, model: Generative, options: TrainOptions, total: int = 1_000_000):
        self.model, self.options, self.total = model, options, total
        self.players = {name: Player(model.get_submodule(name), options) for name in model.players}
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.gamma = exponent(options.ema) if options.ema else None
        self.halvings = 0
        self.precision = torch.float32
        self.mechanism: private.Mechanism | None = None  # of a private run
        self._averaged: list[tuple[Tensor, Tensor]] = [
            (mean, value)
            for part in model.averaged
            for (mean, value) in zip(
                self.average.get_submodule(part).parameters(),
                model.get_submodule(part).parameters(),
            )
        ]

    def step(self, index: int, micros: Sequence[Micro]) -> dict[str, float]:
        """Update every player once or as often as the model asks; figures by name.

        Where there is a `mechanism`, the one player moves by `private.gradient`, `clip` does not
        apply, and the figures are those that noise protects: none of the losses is among them.

        Raises:
            Diverged: A gradient is NaN or infinite; the message says where it comes from. The
                weights of the players that had their turn before are already changed.
        """
        self.model.train()
        step = Step(index, self.total)
        scale = 0.5**self.halvings * rate(
            self.options.schedule,
            step.fraction,
            warmup=self.options.warmup,
            warmdown=self.options.warmdown,
        )
        if self.mechanism is not None:
            figures = self._move_privately(step, micros[0], scale, self.mechanism)
            self._follow(index)
            return figures
        turns = [self.model.losses(m.x, m.cond, step) for m in micros]
        streams = _Streams(self.options.seed, index, len(turns), micros[0].x.device)
        figures = {}
        share = len(micros[0].x) / micros[0].total
        while (played := self._turn(turns, micros, streams, share)) is not None:
            name, terms = played
            player = self.players[name]
            grads = [p.grad for p in player.params if p.grad is not None]
            ranks.add(grads)
            norm = float(torch.nn.utils.get_total_norm(grads))
            if not norm < float("inf"):
                raise Diverged(self._diagnose(name, terms, micros, index))
            player.update(grads, norm, self.options.clip, scale)
            prefix = f"{name}/" if name else ""
            figures |= {f"{prefix}{key}": value for key, value in terms.items()}
            figures[f"{prefix}grad_norm"] = norm
        self._follow(index)
        return figures

    def _turn(
        self, turns: Sequence[Iterator], micros: Sequence[Micro], streams: _Streams, share: float
    ) -> tuple[str, dict[str, float]] | None:
        """Advance every micro-batch to its next yield; its player, and the mean terms."""
        name, mean = None, {}
        for k, (turn, micro) in enumerate(zip(turns, micros)):
            with streams(k), rows(micro.start, micro.total), self._casting(micro.x.device):
                played = next(turn, None)
            if played is None:
                continue
            name, terms = played
            loss = torch.stack([v.float() for v in terms.values()]).sum() * share
            loss.backward(inputs=self.players[name].params)
            for key, value in terms.items():
                mean[key] = mean.get(key, 0.0) + float(value.detach()) / len(turns)
        return None if name is None else (name, mean)

    def _move_privately(
        self, step: Step, micro: Micro, scale: float, mechanism: private.Mechanism
    ) -> dict[str, float]:
        """A step by the noisy mean of the rows' clipped gradients.

        The rows' draws are seeded by the system. With a seed that others know, a row that is added
        would shift the draws of those behind it, and change the sum by more than its own gradient.
        """
        torch.seed()
        with self._casting(micro.x.device):
            grads = private.gradient(
                self.model,
                micro.x,
                micro.cond,
                clip=mechanism.clip,
                noise=mechanism.noise,
                expected=mechanism.batch,
                step=step,
            )
        norm = float(torch.nn.utils.get_total_norm(list(grads.values())))
        if not math.isfinite(norm):
            where = f"at step {step.index + 1} of {step.total}"
            raise Diverged(f"the noisy gradient is not finite {where}.")
        for name, p in self.model.named_parameters():
            p.grad = grads.get(name)
        (player,) = self.players.values()
        player.update([], norm, None, scale)
        return {"grad_norm": norm}

    def _casting(self, device: torch.device) -> Any:
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(device.type, self.precision)

    @torch.no_grad()
    def _follow(self, index: int) -> None:
        """Move the average where it is due; buffers are copied."""
        done = index + 1
        often = done <= STRIDE**2 or self.gamma is None
        if not often and done % STRIDE and done != self.total:
            return
        means = [mean for mean, _ in self._averaged]
        values = [value for _, value in self._averaged]
        if self.gamma is None:
            torch._foreach_copy_(means, values)
        else:
            average(means, values, done, self.gamma, 1 if often else done % STRIDE or STRIDE)
        for part in self.model.averaged:
            pairs = zip(
                self.average.get_submodule(part).buffers(),
                self.model.get_submodule(part).buffers(),
            )
            for mean, value in pairs:
                mean.copy_(value)

    def _diagnose(
        self, name: str, terms: dict[str, float], micros: Sequence[Micro], index: int
    ) -> str:
        """Where a NaN or an infinity comes from: the batch, a weight, a term, or a gradient."""
        where = f"at step {index + 1} of {self.total}"
        for micro in micros:
            if micro.x.is_floating_point():
                bad = ~micro.x.flatten(1).isfinite().all(1)
                if bad.any():
                    ids = [int(micro.ids[i]) for i in bad.nonzero()[:5, 0].tolist()]
                    return f"training items {ids} hold NaN or infinity {where}."
        for key, value in self.model.state_dict().items():
            if value.is_floating_point() and not value.isfinite().all():
                return f"the weight {key!r} is not finite {where}."
        for key, value in terms.items():
            if not abs(value) < float("inf"):
                return f"the loss {key!r} is {value} {where}."
        module = self.model.get_submodule(name)
        for key, p in module.named_parameters():
            if p.grad is not None and not p.grad.isfinite().all():
                return f"the gradient of {key!r} is not finite {where}."
        return f"the gradient of player {name!r} is not finite {where}."

    def finite(self) -> bool:
        """Whether every weight, and every one of the average, is a number."""
        values = [v for v in self.model.state_dict().values() if v.is_floating_point()]
        return bool(torch.stack([v.isfinite().all() for v in values]).all())

    def state(self) -> Tensors:
        """All that the next step depends on, but the step's number and `halvings`."""
        return {
            "weights": dict(self.model.state_dict()),
            "average": dict(self.average.state_dict()),
            "optimizer": pack_optimizers(self._optimizers()),
        }

    def restore(self, tensors: Tensors) -> None:
        """Take back what `state` gave."""
        self.model.load_state_dict(tensors["weights"])
        self.average.load_state_dict(tensors["average"])
        unpack_optimizers(self._optimizers(), tensors["optimizer"])
        for player in self.players.values():
            for p in player.params:
                p.grad = None

    def sampler(self) -> Generative:
        """The model to sample from: averaged where it is averaged, and the rest as it is."""
        averaged = {f"{part}." if part else "" for part in self.model.averaged}
        own = self.average.state_dict()
        for key, value in self.model.state_dict().items():
            if not any(key.startswith(prefix) for prefix in averaged):
                own[key].copy_(value)
        return self.average

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            f"{name}.{i}": optimizer
            for name, player in self.players.items()
            for i, optimizer in enumerate(player.optimizers)
        }


def reseed(seed: int, index: int, purpose: str) -> None:
    """Make torch's global draws a function of the run's seed, the step and what they are for."""
    word = hashlib.blake2b(f"{seed}/{index}/{purpose}".encode(), digest_size=8).digest()
    value = int.from_bytes(word) >> 1
    torch.default_generator.manual_seed(value)  # torch.manual_seed takes 100 times as long
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(value)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(value)


class _Streams:
    """The global random state, a function of (seed, step); each micro-batch sees all of it."""

    def __init__(self, seed: int, index: int, n: int, device: torch.device):
        self.device, self.n = device, n
        reseed(seed, index, "losses")
        self.states = [self._get()] * n if n > 1 else []

    @contextmanager
    def __call__(self, k: int) -> Iterator[None]:
        if self.n == 1:
            yield
            return
        cpu, gpu = self.states[k]
        torch.set_rng_state(cpu)
        if gpu is not None:
            torch.cuda.set_rng_state(gpu, self.device)
        yield
        self.states[k] = self._get()

    def _get(self) -> tuple[Tensor, Tensor | None]:
        cuda = self.device.type == "cuda"
        return torch.get_rng_state(), torch.cuda.get_rng_state(self.device) if cuda else None
