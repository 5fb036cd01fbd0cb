"""CycleGAN's training step beside labml-nn's, and beside the usual loop on our own nets.

labml-nn has its own nets and loop; ours are made as large: residual blocks of 256 channels at a
quarter of the size, as many of them, parameters equal to 4 %.

The usual loop is that of the published code, as plain PyTorch: six passes of the generators one by
one, one backward pass for both generators, one for each discriminator, separate real and fake
passes, a pool that is a list of pictures, Adam twice. Ours is the library's `Learner` step, with
all that it does beside (moving average, gradient norms, checks). Nets, parameters, batch and
weights at the start are equal; first, six steps of both without a pool, in float64, must give the
same weights.

    python -m benchmarks.cyclegan_step
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import arguments, chosen, contest, report
from benchmarks.peers import labml_cyclegan
from genloom.core import Real
from genloom.learner import Learner, Micro, reseed
from genloom.models.cyclegan import CycleGan
from genloom.nets.layout import channels_last, to_channels_last
from genloom.nets.translator import translator_players
from genloom.options import TrainOptions

BATCH, CYCLE, IDENTITY, POOL = 4, 5.0, 0.5, 50
OURS = {"width": 32}
LABML = {"width": 128, "levels": 2, "patch_width": 64, "halvings": 3}  # with as many blocks
BLOCKS = 6
SPACE = Real((3, 64, 64), levels=256)
Loop = Callable[[int, Tensor, Tensor], None]


class History:
    """The published pool: a list, which a coin mixes with new pictures."""

    def __init__(self, size: int):
        self.size, self.images = size, []

    def query(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, some of them earlier ones."""
        if not self.size:
            return images
        shown = []
        for image in images.detach().unsqueeze(1):
            if len(self.images) < self.size:
                self.images.append(image)
            elif random.random() > 0.5:
                k = random.randrange(self.size)
                image, self.images[k] = self.images[k].clone(), image
            shown.append(image)
        return torch.cat(shown)


def usual(model: CycleGan, options: TrainOptions, *, pool: int) -> Loop:
    """The loop of the published code, on our nets."""
    to_b, to_a = (model.generators[side] for side in ("target", "source"))
    judge_b, judge_a = (model.discriminators[side] for side in ("target", "source"))
    both = {"lr": options.lr, "betas": (options.beta1, options.beta2)}
    adam_g = torch.optim.Adam(itertools.chain(to_b.parameters(), to_a.parameters()), **both)
    adam_d = torch.optim.Adam(itertools.chain(judge_b.parameters(), judge_a.parameters()), **both)
    history_a, history_b = History(pool), History(pool)

    def go(net: nn.Module, x: Tensor) -> Tensor:
        return net(x, None, {})

    def least_squares(net: nn.Module, x: Tensor, real: bool) -> Tensor:
        logits = net(x, {})
        return F.mse_loss(logits, torch.full_like(logits, float(real)))

    def told(net: nn.Module, real: Tensor, fake: Tensor) -> None:
        loss = least_squares(net, real, True) + least_squares(net, fake.detach(), False)
        (loss * 0.5).backward()

    def step(index: int, a: Tensor, b: Tensor) -> None:
        fake_b, fake_a = go(to_b, a), go(to_a, b)
        back_a, back_b = go(to_a, fake_b), go(to_b, fake_a)
        model.discriminators.requires_grad_(False)
        adam_g.zero_grad()
        same = F.l1_loss(go(to_b, b), b) + F.l1_loss(go(to_a, a), a)
        # half of the published loss as a whole: 1 / 2, and 5 for its 10
        fooled = least_squares(judge_b, fake_b, True) + least_squares(judge_a, fake_a, True)
        cycle = F.l1_loss(back_a, a) + F.l1_loss(back_b, b)
        (fooled / 2 + CYCLE * cycle + CYCLE * IDENTITY * same).backward()
        adam_g.step()
        model.discriminators.requires_grad_(True)
        adam_d.zero_grad()
        told(judge_a, a, history_a.query(fake_a))
        told(judge_b, b, history_b.query(fake_b))
        adam_d.step()

    return step


def ours(model: CycleGan, options: TrainOptions) -> Loop:
    """The library's step, with channels last as in its trainer."""
    to_channels_last(model)
    learner = Learner(model, options, total=10**6)

    def step(index: int, a: Tensor, b: Tensor) -> None:
        cond = {"source": channels_last(a)}
        learner.step(index, [Micro(channels_last(b), cond, 0, len(b), range(len(b)))])

    return step


def built(sizes: dict[str, int], pool: int) -> CycleGan:
    """A model in the paper's weights."""
    net = partial(translator_players, **sizes)
    conditions = {"source": SPACE}
    return CycleGan(SPACE, conditions, net=net, cycle=CYCLE, identity=IDENTITY, pool=pool)


def setting(seed: int) -> TrainOptions:
    """The options of both loops: no warm-up, no warm-down."""
    kept = {**CycleGan.recommended, "schedule": "constant", "warmup": 0.0, "seed": seed}
    return TrainOptions(steps=1, **kept)


def pictures(n: int) -> Tensor:
    """Of both sides, (2, n, 3, 64, 64)."""
    return torch.rand(2, n, *SPACE.shape) * 2 - 1


def difference(seed: int) -> float:
    """Largest difference of any weight after six steps of both sides, in float64."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    model = built({"width": 8}, 0)
    twin = copy.deepcopy(model)
    sides = usual(model, setting(seed), pool=0), ours(twin, setting(seed))
    for index in range(6):
        a, b = pictures(2)
        for step in sides:
            step(index, a, b)
    torch.set_default_dtype(torch.float32)
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


def side(kind: str, sizes: dict[str, int], seed: int) -> Callable[[], None]:
    """A call that takes one step on fresh pictures."""
    reseed(seed, 0, "weights")
    random.seed(seed)
    turn = itertools.count()
    if kind == "labml-nn":
        theirs = labml_cyclegan.steps(SPACE.shape[-1], BLOCKS)
        return lambda: theirs(*pictures(BATCH))
    model = built(sizes, POOL)
    if kind == "usual, channels last":
        to_channels_last(model)
    loop = (
        ours(model, setting(seed)) if kind == "genloom" else usual(model, setting(seed), pool=POOL)
    )

    def step() -> None:
        a, b = pictures(BATCH)
        if kind == "usual, channels last":
            a, b = channels_last(a), channels_last(b)
        loop(next(turn), a, b)

    return step


def main() -> None:
    """Compare the weights, then race."""
    args = arguments(__doc__)
    gap = difference(args.seed)
    if gap > 1e-6:
        raise SystemExit(f"after six steps the weights differ by {gap:.1e}")
    races = {
        "labml-nn": (LABML | {"blocks": BLOCKS}, ("labml-nn", "genloom")),
        "usual": (OURS, ("usual", "usual, channels last", "genloom")),
    }
    for baseline, (sizes, sides) in races.items():
        count = sum(p.numel() for p in built(sizes, POOL).parameters())
        parameters = dict.fromkeys(sides, count)
        if baseline == "labml-nn":
            parameters[baseline] = labml_cyclegan.parameters(SPACE.shape[-1], BLOCKS)
        result = contest(
            {kind: partial(side, kind, sizes, args.seed) for kind in sides},
            **chosen(args),
            items=BATCH,
            baseline=baseline,
            unit="pairs",
            benchmark=f"cyclegan_step/{baseline}",
            batch=BATCH,
            parameters=parameters,
            weights_differ=gap,
        )
        report(f"CycleGAN, batch {BATCH}, {parameters}", result, args.json)


if __name__ == "__main__":
    main()
