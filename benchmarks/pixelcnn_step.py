"""Training step and sampling of PixelCNN and PixelCNN++ beside the usual loop, on the same nets.

No maintained package trains either net, so the other side is the papers' loop as plain PyTorch: the
likelihood of all places at once (PixelCNN++'s mixture written anew), Adam, and for sampling a pass
over the whole picture for each pixel. Ours is the library's `Learner` step with all that it does
beside (moving average, gradient norm, checks), with Adam for both, and `sample`, which keeps what
it has computed. First, six steps of both must lead to the same loss, and equal draws to the same
sample. For PixelCNN there is also pythae's plain one, in the usual loop: masked convolutions with
batch normalization in place of gates and two stacks, with about as many weights that act. Those
under its masks, 48 % of them, have no part in what it computes, and are not counted.

    python -m benchmarks.pixelcnn_step --model pixelcnn
    python -m benchmarks.pixelcnn_step --model pixelcnnpp
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import chosen, contest, parser, report
from genloom.core import Generative, Real, Rng, Tokens
from genloom.learner import Learner, Micro, reseed
from genloom.models.autoregressive import Autoregressive
from genloom.models.pixel import pixelcnn
from genloom.models.pixelcnnpp import PixelCnnPlusPlus
from genloom.options import TrainOptions
from genloom.sampling import sample

BATCH, DRAWN, CODES, LEVELS = 16, 4, 16, 256
Work = Literal["step", "sample"]


def of_tokens(model: Autoregressive, x: Tensor) -> Tensor:
    """PixelCNN's loss: nats a token."""
    shifted = F.pad(x.flatten(1)[:, :-1], (1, 0), value=CODES)
    return F.cross_entropy(model.net(shifted, {}).flatten(0, 1), x.flatten())


def of_values(model: PixelCnnPlusPlus, x: Tensor) -> Tensor:
    """PixelCNN++'s loss: nats a value, Eq. 2 and 3 as differences of sigmoids or a density."""
    out = model.net(x, {}) + model.start[:, None, None]
    k, c = model.mixture.mixtures, x.shape[1]
    weights, means, scales, ties = out.split([k, k * c, k * c, k * c * (c - 1) // 2], 1)
    means, scales, ties = (v.unflatten(1, (k, -1)) for v in (means, scales, ties))
    ties, x = ties.tanh(), x[:, None]
    green = means[:, :, 1] + ties[:, :, 0] * x[:, :, 0]
    blue = means[:, :, 2] + ties[:, :, 1] * x[:, :, 0] + ties[:, :, 2] * x[:, :, 1]
    off = x - torch.stack([means[:, :, 0], green, blue], 2)
    scales, half = scales.clamp(min=model.mixture.floor), 1 / (LEVELS - 1)
    middle, above, below = (v * (-scales).exp() for v in (off, off + half, off - half))
    between = above.sigmoid() - below.sigmoid()
    dense = middle - scales - 2 * F.softplus(middle) + math.log(2 * half)
    mass = torch.where(between > 1e-5, between.clamp(min=1e-12).log(), dense)
    mass = torch.where(x < half - 1, F.logsigmoid(above), mass)
    mass = torch.where(x > 1 - half, -F.softplus(below), mass).sum(2)
    return -(weights.log_softmax(1) + mass).logsumexp(1).mean() / c


def tokens(model: Autoregressive, u: Tensor) -> Tensor:
    """A full pass for each token; u: float64 in [0, 1), (n, L)."""
    x = torch.zeros(len(u), model.length, dtype=torch.long)
    for i in range(model.length):
        shifted = F.pad(x[:, :-1], (1, 0), value=CODES)
        chances = model.net(shifted, {})[:, i].double().softmax(1).cumsum(1)
        x[:, i] = (chances <= u[:, i, None] * chances[:, -1:]).sum(1).clamp(max=CODES - 1)
    return x.view(-1, *model.space.shape)


def values(model: PixelCnnPlusPlus, u: Tensor) -> Tensor:
    """A full pass for each pixel; u: float64 in [0, 1), (n, H, W, 1 + C)."""
    x = torch.zeros(len(u), *model.space.shape)
    for r, c in itertools.product(range(u.shape[1]), range(u.shape[2])):
        out = model.net(x, {})[:, :, r, c] + model.start
        x[:, :, r, c] = model.mixture.draw(out, u[:, r, c])
    return x


@dataclass(frozen=True)
class Setting:
    """What is raced: a model, its loss and its sampler in the usual loop, its data and draws."""

    make: Callable[[], Any]
    loss: Callable[[Any, Tensor], Tensor]
    drawn: Callable[[Any, Tensor], Tensor]
    data: Callable[[int], Tensor]
    draws: tuple[int, ...]


SIDE, COLOUR = 14, Real((3, 12, 12), levels=LEVELS)
SETTINGS = {
    "pixelcnn": Setting(
        partial(pixelcnn, Tokens((SIDE, SIDE), CODES), {}),
        of_tokens,
        tokens,
        lambda n: torch.randint(CODES, (n, SIDE, SIDE)),
        (SIDE * SIDE,),
    ),
    "pixelcnnpp": Setting(
        partial(PixelCnnPlusPlus, COLOUR, {}),
        of_values,
        values,
        lambda n: torch.randint(LEVELS, (n, *COLOUR.shape)) * (2 / (LEVELS - 1)) - 1,
        (*COLOUR.shape[1:], 1 + COLOUR.shape[0]),
    ),
}


def pythae_net() -> nn.Module:
    """Pythae's PixelCNN over the same tokens."""
    from pythae.models.normalizing_flows import PixelCNN, PixelCNNConfig

    config = PixelCNNConfig(input_dim=(1, SIDE, SIDE), n_embeddings=CODES, n_layers=13)
    return PixelCNN(config)


def acting(net: nn.Module) -> int:
    """Parameters that no mask hides."""
    hidden = sum(int((b == 0).sum()) for name, b in net.named_buffers() if name.endswith("mask"))
    return sum(p.numel() for p in net.parameters()) - hidden


def pythae_loss(net: Any, x: Tensor) -> Tensor:
    """Nats a token."""
    return net({"data": x[:, None].float()}).loss


def pythae_tokens(net: Any, u: Tensor) -> Tensor:
    """A full pass for each token, drawn from the same place as pythae's sampler does."""
    x = torch.zeros(len(u), 1, SIDE, SIDE)
    for i in range(SIDE * SIDE):
        chances = net({"data": x}).out[:, :, 0].flatten(2)[:, :, i].softmax(1)
        x.view(len(u), -1)[:, i] = torch.multinomial(chances, 1)[:, 0].float()
    return x


def setting(seed: int) -> TrainOptions:
    """The options of both loops: Adam, no warm-up, no warm-down."""
    kept = {**Autoregressive.recommended, "optimizer": "adamw", "schedule": "constant"}
    return TrainOptions(steps=1, **{**kept, "warmup": 0.0, "seed": seed})


def usual(
    model: nn.Module, options: TrainOptions, loss: Callable[[Any, Tensor], Tensor]
) -> Callable[[int, Tensor], None]:
    """The papers' loop."""
    betas = (options.beta1, options.beta2)
    adam = torch.optim.Adam(model.parameters(), lr=options.lr, betas=betas)

    def step(index: int, x: Tensor) -> None:
        adam.zero_grad()
        loss(model, x).backward()
        adam.step()

    return step


def ours(model: Generative, options: TrainOptions) -> Callable[[int, Tensor], None]:
    """The library's step."""
    learner = Learner(model, options, total=10**6)

    def step(index: int, x: Tensor) -> None:
        learner.step(index, [Micro(x, {}, 0, len(x), range(len(x)))])

    return step


def differences(kind: str, seed: int) -> tuple[float, float]:
    """Of a loss after six steps of both sides, in nats; share of a sample that differs.

    Not of weights, as in other races: the nets' norm computes in float32, where Adam's first steps
    make much of little.
    """
    about = SETTINGS[kind]
    torch.manual_seed(seed)
    model = about.make()
    twin, options = copy.deepcopy(model), setting(seed)
    sides = usual(model, options, about.loss), ours(twin, options)
    for index in range(6):
        x = about.data(4)
        for step in sides:
            step(index, x)
    x = about.data(4)
    with torch.no_grad():
        gap = float((about.loss(model, x) - twin.loss(x, {})["nats"]).abs())
        drawn = about.drawn(twin.eval(), Rng([seed]).uniform(*about.draws))
    return gap, float((drawn != sample(twin, 1, seed=seed)).double().mean())


def side(kind: str, work: Work, name: str, seed: int) -> Callable[[], Any]:
    """A call that takes one step, or draws some samples."""
    about, options = SETTINGS[kind], setting(seed)
    reseed(seed, 0, "weights")
    model: Any = pythae_net() if name == "pythae" else about.make()
    loss, drawn = about.loss, about.drawn
    if name == "pythae":
        loss, drawn = pythae_loss, pythae_tokens
    if work == "step":
        loop = ours(model, options) if name == "genloom" else usual(model, options, loss)
        turn = itertools.count()
        return lambda: loop(next(turn), about.data(BATCH))
    if name == "genloom":
        return lambda: sample(model, DRAWN)
    model.eval()

    def run() -> Tensor:
        with torch.inference_mode():
            return drawn(model, torch.rand(DRAWN, *about.draws, dtype=torch.float64))

    return run


def main(argv: Sequence[str] | None = None) -> None:
    """Compare weights and samples, then race."""
    options = parser(__doc__)
    options.add_argument("--model", choices=list(SETTINGS), default="pixelcnn")
    args = options.parse_args(argv)
    torch.set_num_threads(args.threads)
    gap, differing = differences(args.model, args.seed)
    if gap > 1e-3 or differing:
        raise SystemExit(f"the losses differ by {gap:.1e}, {differing:.0%} of a sample")
    nets: dict[str, Any] = {name: SETTINGS[args.model].make() for name in ("usual", "genloom")}
    if args.model == "pixelcnn":
        nets["pythae"] = pythae_net()
    parameters = {name: acting(net) for name, net in nets.items()}
    works: dict[Work, int] = {"step": BATCH, "sample": DRAWN}
    for work, items in works.items():
        result = contest(
            {name: partial(side, args.model, work, name, args.seed) for name in nets},
            **chosen(args),
            items=items,
            baseline="usual",
            unit="images",
            benchmark=f"pixelcnn_step/{args.model}/{work}",
            batch=items,
            parameters=parameters,
            losses_differ_by=gap,
            pythae=version("pythae"),
        )
        report(f"{args.model}, {work}, batch {items}, {parameters}", result, args.json)


if __name__ == "__main__":
    main()
