"""Differentially private training: gradients of single rows, clipped, summed, with noise on top.

Abadi et al., Deep learning with differential privacy, 2016 (arXiv:1607.00133), Alg. 1. What it
costs is counted by Renyi differential privacy: Mironov, Talwar and Zhang, 2019 (arXiv:1908.10530).
The guarantee is about adding or removing one row, and it holds for the weights alone, of models
whose loss of a row looks at no other row. `UNCOVERED` lists what it does not cover.

`train.dp_epsilon` and `train.dp_noise` turn it on. The trainer then draws rows, noise and the
losses' own draws from seeds of the system that nobody keeps: such a run cannot be made again. It
lets `prepare` and the rehearsal see `stand_ins` for the data, logs no loss of a row, watches for no
alarm, and counts a step on disk before it takes it. Not done: noise of a cryptographic generator
(torch's is one that its outputs betray), and noise that is safe against attacks on rounding
(Mironov, 2012, doi:10.1145/2382196.2382264).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self, final

import torch
from torch import Tensor, nn

from genloom.core import Condition, Generative, Items, Step
from genloom.errors import BadInput
from genloom.options import TrainOptions

if TYPE_CHECKING:
    from genloom.data import Dataset

ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512)
START = Step(0, 1)
LARGEST_DELTA = 1e-5  # where nobody names one
ACCOUNTANT = (
    "Renyi divergence of the Poisson-sampled Gaussian mechanism at integer orders "
    "(arXiv:1908.10530), converted by arXiv:1905.09982"
)
UNIT = "one training row, added or removed"
UNCOVERED = (
    "the validation and test parts, and whatever is measured on them or on the training rows: "
    "validation losses, verdicts, reports, tests for copies",
    "a choice among several trainings on the same rows, or a second training: their epsilons add",
    "what was known before the first step: how many rows there are, their size, classes and "
    "letters, and the options and the codec, where somebody or a default chose them by the rows",
    "an autoencoder or a teacher that learned from the same rows",
    "other rows about the same person: several rows of one together are protected less",
    "the run folder, which holds the fingerprint of the data",
)

BatchNorm = nn.modules.batchnorm._BatchNorm


def check(model: Generative) -> None:
    """Refuse what cannot be trained so.

    Raises:
        BadInput: Several players, each of which would have to pay, or batch normalization.
    """
    if len(model.players) > 1:
        raise BadInput(
            f"{type(model).__name__} has {len(model.players)} players: private training counts the "
            "steps of one. Choose a family with one player, such as vae or flow."
        )
    mixing = [name for name, part in model.named_modules() if isinstance(part, BatchNorm)]
    if mixing:
        raise BadInput(
            f"{mixing[0]!r} normalizes over the batch, so a row's gradient depends on the others. "
            "Choose a net without batch normalization."
        )


def gradient(
    model: Generative,
    x: Tensor,
    cond: Condition,
    *,
    clip: float,
    noise: float,
    expected: float,
    step: Step = START,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """The noisy mean of clipped gradients, by parameter: (sum + noise * clip * eps) / expected.

    The divisor is the expected size of a batch, not its own: that would tell the batch's size.

    Args:
        model: One player, no batch normalization; see `check`.
        x: The rows that Poisson sampling chose, (B, *shape); B = 0 is noise alone.
        cond: Their conditions.
        clip: Largest L2 norm of one row's gradient, over all parameters.
        noise: Deviation of the noise in units of `clip`.
        expected: Rows that a batch has on average.
        step: Where training stands.
        generator: Of the noise. None takes a fresh one, seeded by the system: whoever knows the
            seed can subtract the noise, so a seed that is recorded beside the weights undoes the
            guarantee. It is for tests.
    """
    total, _ = clipped(model, x, cond, clip=clip, step=step)
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    for value in total.values():
        eps = torch.randn(value.shape, generator=generator).to(value)
        value.add_(eps, alpha=noise * clip).div_(expected)
    return total


def clipped(
    model: Generative, x: Tensor, cond: Condition, *, clip: float, step: Step = START
) -> tuple[dict[str, Tensor], Tensor]:
    """The sum of the rows' gradients, each scaled to an L2 norm of at most `clip`; no noise yet.

    One backward pass a row: exact for every model, and as much slower as that is. (The transforms
    of torch.func would be faster, but few nets here pass them: memory formats, autograd functions.)

    Returns:
        Parameter -> sum, and the norms before clipping, (B,). Neither is private.

    Raises:
        BadInput: See `check`; or a loss that changes a buffer of the model.
    """
    check(model)
    if not 0 < clip < math.inf:
        raise BadInput(f"clip = {clip}: it must be above 0.")
    moved = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = [torch.zeros_like(p) for p in moved.values()]
    held = {name: b.clone() for name, b in model.named_buffers()}
    norms: list[Tensor] = []
    for i in range(len(x)):
        row = {name: value[i : i + 1] for name, value in cond.items()}
        terms = [t for _, played in model.losses(x[i : i + 1], row, step) for t in played.values()]
        found = torch.autograd.grad(
            torch.stack(terms).sum(), list(moved.values()), allow_unused=True
        )
        pairs = [(sum_, grad) for sum_, grad in zip(total, found) if grad is not None]
        norm = torch.nn.utils.get_total_norm([grad for _, grad in pairs])
        norms.append(norm)
        if not norm.isfinite():
            continue  # counts as zero: else one row could ruin the weights, whatever the noise
        scale = float(clip / norm.clamp(min=clip))
        for sum_, grad in pairs:
            sum_.add_(grad, alpha=scale)
    for name, b in model.named_buffers():
        if not torch.equal(b, held[name]):
            raise BadInput(
                f"the loss of {type(model).__name__} writes what it sees of the data to {name!r}, "
                "where no noise protects it. Choose another family for private training."
            )
    return dict(zip(moved, total)), torch.stack(norms) if norms else torch.zeros(0)


def poisson(n: int, rate: float, generator: torch.Generator) -> Tensor:
    """Rows of a batch: each of n is in it with probability `rate`, on its own; (B,), B may be 0.

    This is the sampling that `epsilon` assumes. Fixed batches of a shuffled order are not it: their
    published bounds are weaker, and a figure of `epsilon` for them is no guarantee.
    """
    u = torch.rand(n, generator=generator, dtype=torch.float64)  # float32 has steps of 6e-8
    return (u < rate).nonzero()[:, 0]


def epsilon(noise: float, rate: float, steps: int, delta: float) -> float:
    """The epsilon of (epsilon, delta)-differential privacy after so many steps.

    The conversion is that of Balle et al., 2020 (arXiv:1905.09982), Theorem 21. Only integer orders
    are tried: valid, and up to about a tenth larger than what fractional ones give at low noise.

    Args:
        noise: See `gradient`.
        rate: Chance of a row to be in a batch, in [0, 1]; see `poisson`.
        steps: Updates.
        delta: Chance that the bound fails; well below 1 / rows.

    Raises:
        BadInput: A value out of its range.
    """
    if not (noise >= 0 and 0 <= rate <= 1 and steps >= 0 and 0 < delta < 1):
        raise BadInput(
            f"noise = {noise}, rate = {rate}, steps = {steps}, delta = {delta}: noise and steps "
            "must be at least 0, rate in [0, 1], delta between 0 and 1."
        )
    if steps == 0 or rate == 0:
        return 0.0
    if noise == 0:
        return math.inf
    found = [
        steps * renyi(noise, rate, order)
        + math.log1p(-1 / order)
        - math.log(delta * order) / (order - 1)
        for order in ORDERS
    ]
    return max(0.0, min(found))


@cache
def renyi(noise: float, rate: float, order: int) -> float:
    """Renyi divergence of one step of the sampled Gaussian mechanism, at an integer order.

    Mironov et al., 2019, section 3.3: log A(order) / (order - 1), with
    A = sum_k binomial(order, k) (1 - rate)^(order - k) rate^k exp((k^2 - k) / (2 noise^2)).
    """
    if rate == 1:
        return order / (2 * noise**2)
    logs = [
        math.lgamma(order + 1)
        - math.lgamma(k + 1)
        - math.lgamma(order - k + 1)
        + (order - k) * math.log1p(-rate)
        + k * math.log(rate)
        + (k * k - k) / (2 * noise**2)
        for k in range(order + 1)
    ]
    top = max(logs)
    return (top + math.log(math.fsum(math.exp(v - top) for v in logs))) / (order - 1)


def noise_for(epsilon_: float, rate: float, steps: int, delta: float) -> float:
    """The least noise, to one part in a thousand, that keeps a run within an epsilon.

    Raises:
        BadInput: An epsilon that is not above 0, or so small that noise of 10,000 exceeds it.
    """
    low, high = 1e-2, 1e4
    if not epsilon_ > 0 or epsilon(high, rate, steps, delta) > epsilon_:
        raise BadInput(
            f"epsilon = {epsilon_} cannot be kept in {steps} steps: allow a larger one, or take "
            "fewer steps or smaller batches."
        )
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        if epsilon(middle, rate, steps, delta) > epsilon_:
            low = middle
        else:
            high = middle
    return high


@final
@dataclass(frozen=True)
class Mechanism:
    """What a private training does in each of its steps.

    Args:
        rows: Of the training part.
        batch: Rows that a step expects; each row is in it with probability batch / rows.
        noise: See `gradient`.
        clip: See `gradient`.
        delta: See `epsilon`.
        target: The epsilon that was asked for, or None.
    """

    rows: int
    batch: int
    noise: float
    clip: float
    delta: float
    target: float | None = None

    @property
    def rate(self) -> float:
        """Chance of a row to be in a step's batch."""
        return self.batch / self.rows

    def epsilon(self, steps: int) -> float:
        """What so many steps cost."""
        return epsilon(self.noise, self.rate, steps, self.delta)

    def told(self, steps: int) -> dict[str, Any]:
        """For run.json and a card: what so many steps spent, how, and what is not covered."""
        return {
            "epsilon": self.epsilon(steps),
            "target": self.target,
            "delta": self.delta,
            "noise": self.noise,
            "clip": self.clip,
            "rows": self.rows,
            "batch": self.batch,
            "rate": self.rate,
            "steps": steps,
            "accountant": ACCOUNTANT,
            "unit": UNIT,
            "uncovered": list(UNCOVERED),
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Back from what `told` gave."""
        names = ("rows", "batch", "noise", "clip", "delta", "target")
        return cls(**{name: told[name] for name in names})

    def words(self, steps: int) -> str:
        """What a run of so many steps will have cost, for people."""
        return (
            f"private: epsilon {self.epsilon(steps):.4g} at delta {self.delta:.2g} after {steps} "
            f"steps; noise {self.noise:.4g}, clip {self.clip:g}, a row in {self.rate:.2%} of steps"
        )


def mechanism(options: TrainOptions, rows: int, steps: int) -> Mechanism:
    """The mechanism of a private run of so many steps.

    Raises:
        BadInput: More rows in a batch than there are, a delta that protects no row, or an epsilon
            that no noise keeps.
    """
    if options.batch > rows:
        raise BadInput(
            f"batch = {options.batch} of {rows} training rows: a row can be in a private batch "
            f"once at most. Bring more data, or set train.batch to {rows} or less."
        )
    delta = options.dp_delta
    if delta is None:
        delta = min(LARGEST_DELTA, 1 / (10 * rows))
    if delta >= 1 / rows:
        raise BadInput(
            f"dp_delta = {delta} with {rows} training rows: it allows that one row in {rows} is "
            f"told to all. Set it well below {1 / rows:.2g}, or leave it out."
        )
    assert options.dp_clip is not None  # TrainOptions has filled it in
    noise = options.dp_noise
    if noise is None:
        assert options.dp_epsilon is not None
        noise = noise_for(options.dp_epsilon, options.batch / rows, steps, delta)
    return Mechanism(rows, options.batch, noise, options.dp_clip, delta, options.dp_epsilon)


def check_run(model: Generative, dataset: Dataset, options: TrainOptions, world: int) -> None:
    """Refuse a run that cannot be private, before it begins.

    Raises:
        BadInput: See `check` and `mechanism`; several processes; a text, which has no rows; sources
            that belong to no row.
    """
    check(model)
    if world > 1:
        raise BadInput(
            f"{world} processes: private training counts the noise of one. Leave torchrun away."
        )
    if dataset.items.kind == "text":
        raise BadInput(
            "a text is one row, cut at any place, and private training protects single rows. Bring "
            "images or points."
        )
    mates = dataset.train.has_mate
    if mates is not None and not bool(mates.all()):
        raise BadInput(
            f"{int((~mates).sum())} training rows have no source picture of their own, and would "
            "learn from those of others. Bring pairs: --set data.given=paired"
        )
    mechanism(options, len(dataset.train), options.planned or 1)


def stand_ins(items: Items, n: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Rows that tell nothing of the data: noise in the range of what is stored; (n, *shape).

    A model that measures them starts from mean 0 and the spread of the whole range (of points: 1).
    Their conditions are drawn alike: "label", "caption" and, where a picture is stored, "source".
    """
    generator = torch.Generator().manual_seed(0)

    def whole(top: int, *shape: int) -> Tensor:
        return torch.randint(0, top, (n, *shape), generator=generator)

    cond = {"label": whole(len(items.classes))} if items.classes else {}
    if items.caption:
        cond["caption"] = whole(items.caption.space.vocab, items.caption.length)
    if items.given in ("paired", "unpaired"):
        cond["source"] = whole(256, *items.shape).byte()
    if items.kind == "image":
        return whole(256, *items.shape).byte(), cond
    return torch.randn(n, *items.shape, generator=generator), cond
